package store

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
)

// The bounds of one transaction (measured: a larger cap gains little and costs the tail), of a call's part, and of what
// may wait.
const (
	capRows   = 300
	capJobs   = 32
	partRows  = 100
	queueRows = 1 << 16
	queueJobs = 1 << 12
)

// The states of a request.
const (
	stateQueued = int32(iota)
	stateTaken
	stateDropped
)

// request is a part of one call, written in one transaction. Exactly one of accepts, decisions and job is set.
type request struct {
	accepts   []Application
	accepted  []AcceptResult
	decisions []decisionRow
	decided   []DecideResult
	job       func(*tx) error

	// state moves once, from queued to taken (by the writer) or to dropped (by the caller whose context ended).
	state atomic.Int32
	err   error
	done  chan struct{}
}

func (r *request) rows() int { return len(r.accepts) + len(r.decisions) }

func (r *request) finish(err error) {
	r.err = err
	close(r.done)
}

// wait blocks until the request's commit, or the end of ctx: then the request is dropped if it is still queued, and what
// becomes of it is unknown otherwise.
func (r *request) wait(ctx context.Context) error {
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
	}
	r.state.CompareAndSwap(stateQueued, stateDropped)
	return ctx.Err()
}

// queue holds what waits for the writer. It is bounded and never blocks.
type queue struct {
	mu        sync.Mutex
	accepts   []*request
	decisions []*request
	jobs      []*request
	// rows waiting, by kind
	acceptRows, decisionRows int
	closed                   bool
	// wake holds at most one token: there is something to do.
	wake chan struct{}
}

func newQueue() *queue { return &queue{wake: make(chan struct{}, 1)} }

var errQueueFull = errors.New("too many writes wait")

// put queues all parts of a call or none.
func (q *queue) put(rs ...*request) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return ErrClosed
	}
	if q.acceptRows >= queueRows || q.decisionRows >= queueRows || len(q.jobs) >= queueJobs {
		return &Unavailable{Code: "queue_full", Err: errQueueFull}
	}
	for _, r := range rs {
		r.state.Store(stateQueued)
		r.done = make(chan struct{})
		switch {
		case r.job != nil:
			q.jobs = append(q.jobs, r)
		case r.accepts != nil:
			q.accepts = append(q.accepts, r)
			q.acceptRows += len(r.accepts)
		default:
			q.decisions = append(q.decisions, r)
			q.decisionRows += len(r.decisions)
		}
	}
	q.poke()
	return nil
}

func (q *queue) poke() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// group is what one transaction writes.
type group struct {
	accepts, decisions, jobs []*request
}

func (g *group) empty() bool { return len(g.accepts)+len(g.decisions)+len(g.jobs) == 0 }

func (g *group) each(f func(*request)) {
	for _, rs := range [][]*request{g.accepts, g.decisions, g.jobs} {
		for _, r := range rs {
			f(r)
		}
	}
}

// take moves what is queued now, up to the caps, into g.
func (q *queue) take(g *group) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var rows int
	g.accepts, q.accepts, rows = pop(g.accepts[:0], q.accepts, capRows)
	q.acceptRows -= rows
	g.decisions, q.decisions, rows = pop(g.decisions[:0], q.decisions, capRows)
	q.decisionRows -= rows
	g.jobs, q.jobs, _ = pop(g.jobs[:0], q.jobs, capJobs)
}

// pop moves requests of at most max rows (a job counts as one) from the head of from to dst, leaving out dropped ones,
// and returns both and the rows that left the queue.
func pop(dst, from []*request, most int) (_, rest []*request, left int) {
	n, taken := 0, 0
	for ; n < len(from); n++ {
		r := from[n]
		size := max(r.rows(), 1)
		if taken > 0 && taken+size > most {
			break
		}
		left += r.rows()
		from[n] = nil // the array lives on; it must not keep the row
		if r.state.CompareAndSwap(stateQueued, stateTaken) {
			taken += size
			dst = append(dst, r)
		}
	}
	if n == len(from) {
		return dst, from[:0], left
	}
	return dst, from[n:], left
}

// close refuses further writes; false if that was done before.
func (q *queue) close() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	was := q.closed
	q.closed = true
	return !was
}

// lengths are the rows and jobs that wait.
func (q *queue) lengths() (accepts, decisions, jobs int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.acceptRows, q.decisionRows, len(q.jobs)
}

package agents

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"aura/agents/bus"
	"aura/agents/event"
)

// uncleanSingles is how many messages at least a lane takes one by one after an unclean exit.
const uncleanSingles = 64

// box is one mailbox of an agent.
type box struct {
	Input
	topic   event.Topic
	mailbox bus.Mailbox
}

// lane is one ordered queue of an agent's mailbox, with what outlives the lives that read it.
type lane struct {
	agent *agent
	box   *box
	index int
	queue bus.Lane
	// token is held by the one loop that is in queue.Take, so that what an old loop still gets there can be returned
	// before the next one reads.
	token    chan struct{}
	deadline atomic.Int64 // of the next event, nanoseconds
	slowAt   atomic.Int64 // clock when an event last took longer than the stage deadline, 0 for never

	mu sync.Mutex // never held while anything waits
	// owner may publish, ack and return; a loop that is no longer the owner is fenced.
	owner *loop
	// aside holds messages that failed and were acked, in the order they failed.
	aside []*strike
	// suspect is a message at the head that failed and could not be set aside yet, because its life was over or aside
	// was full.
	suspect *strike
	// held says that this lane ended a life that was young; the next one begins with the other lanes.
	held bool
	// single counts the messages that are still to be taken one by one.
	single int
}

func newLane(a *agent, b *box, index int, q bus.Lane) *lane {
	l := &lane{agent: a, box: b, index: index, queue: q, token: make(chan struct{}, 1)}
	l.deadline.Store(int64(a.sup.opts.StageDeadline))
	return l
}

// begin is called once, before the first life.
func (l *lane) begin(o Options) {
	if o.AfterUncleanExit {
		// What ended the process is among the first that are delivered again: what the lane still holds, or what the
		// sweeper will publish again.
		l.single = min(max(l.queue.Len(), uncleanSingles), o.BatchLimit)
	}
}

// claim makes p the owner if nobody else is, and returns the present owner otherwise.
func (l *lane) claim(p *loop) (owner *loop) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.owner == nil {
		l.owner = p
		l.queue.Return()
	}
	return l.owner
}

// fence takes the lane from p and abandons it: its context ends, what it yields from now on is refused. mu is held.
func (l *lane) fence(p *loop) {
	l.owner = nil
	p.watch.word.Load() // what p wrote to its messages is seen before Return copies them
	l.queue.Return()
	p.abandoned = true
	l.agent.zombies.Add(1)
	p.life.zombies.Add(1)
	p.cancel()
}

// evict fences p if it still owns the lane.
func (l *lane) evict(p *loop) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.owner == p {
		l.fence(p)
	}
}

// leave ends p's ownership when its goroutine ends.
func (l *lane) leave(p *loop) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.abandoned {
		l.agent.zombies.Add(-1)
		p.life.zombies.Add(-1)
	}
	if l.owner == p {
		l.owner = nil
		l.queue.Return()
	}
	p.cancel()
}

// owned runs f under the lock if p owns the lane, and reports whether it does.
func (l *lane) owned(p *loop, f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.owner != p {
		return false
	}
	if f != nil {
		f()
	}
	return true
}

// ack acks the n oldest messages for p, unless it is fenced.
func (l *lane) ack(p *loop, n int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.owner != p {
		return false
	}
	if n > 0 {
		l.queue.Ack(n)
		l.single = max(0, l.single-n)
	}
	return true
}

// limit is how much may be taken now.
func (l *lane) limit() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.single > 0 {
		return 1
	}
	return l.agent.sup.opts.BatchLimit
}

// take waits for messages on behalf of p, until ctx ends.
func (l *lane) take(ctx context.Context, p *loop, limit int) ([]*bus.Message, error) {
	select {
	case l.token <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-l.token }()
	batch, err := l.queue.Take(ctx, limit)
	if len(batch) > 0 && !l.owned(p, nil) {
		// Fenced meanwhile; the next owner can't have taken anything before the token is free.
		l.mu.Lock()
		l.queue.Return()
		l.mu.Unlock()
		return nil, context.Canceled
	}
	return batch, err
}

// depth counts the messages set aside and says when the oldest of all that wait was published.
func (l *lane) depth() (aside int, oldest time.Time) {
	oldest = l.queue.OldestAt()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.aside {
		if oldest.IsZero() || s.message.Time.Before(oldest) {
			oldest = s.message.Time
		}
	}
	return len(l.aside), oldest
}

// slower doubles the deadline and reports whether it was at its limit already.
func (l *lane) slower(limit time.Duration) bool {
	d := l.deadline.Load()
	l.deadline.Store(min(2*d, int64(limit)))
	return d >= int64(limit)
}

// quicker halves the deadline where the slowest of a batch took less than a quarter of it.
func (l *lane) quicker(slowest int64, least time.Duration) {
	if d := l.deadline.Load(); d > int64(least) && slowest < d/4 {
		l.deadline.Store(max(d/2, int64(least)))
	}
}

// working is how long the owner's present call has been running.
func (l *lane) working(now int64) time.Duration {
	l.mu.Lock()
	p := l.owner
	l.mu.Unlock()
	if p == nil {
		return 0
	}
	return p.watch.age(now)
}

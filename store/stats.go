package store

import (
	"errors"
	"sync/atomic"
	"time"
)

// Stats are counters since Open and what is true now, for metrics.
type Stats struct {
	// Transactions committed and Failed (rolled back, or in doubt); Accepted, Decided and Jobs are rows and other writes
	// handled in committed ones.
	Transactions, Failed, Accepted, Decided, Jobs int64
	// QueueAccepts, QueueDecisions and QueueJobs are rows (other writes) that wait now.
	QueueAccepts, QueueDecisions, QueueJobs int
	// LastTx is the whole last transaction, LastCommit its COMMIT alone: mostly the sync of the log.
	LastTx, LastCommit time.Duration
	// FailingSince is when transactions began to fail without one that succeeded since; zero while they succeed.
	FailingSince time.Time
	// FailingCode says by what the last of them failed, as Unavailable does; empty while they succeed.
	FailingCode string
	// Checkpoints counts rounds of the background connection; LogPages is the log's length when last looked at. SQLite's alone.
	Checkpoints, LogPages int64
	// EarlyWaiting are outcomes that wait for their decision.
	EarlyWaiting int64
	// Commits are the COMMITs by how long they took.
	Commits CommitTimes
}

// commitEdges are the upper edges of the histogram of COMMITs.
var commitEdges = [...]time.Duration{
	100 * time.Microsecond, 200 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond,
	10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 300 * time.Millisecond, time.Second, 5 * time.Second,
}

// CommitTimes is a histogram: UpTo counts, for each of Edges, what took no longer.
type CommitTimes struct {
	Edges []time.Duration
	UpTo  []int64
	N     int64
	Sum   time.Duration
}

// commitTimes is filled by the writer alone and read by anybody; the last count is of what took longer than every edge.
type commitTimes struct {
	counts [len(commitEdges) + 1]atomic.Int64
	sum    atomic.Int64
}

func (c *commitTimes) add(took time.Duration) {
	i := 0
	for i < len(commitEdges) && took > commitEdges[i] {
		i++
	}
	c.counts[i].Add(1)
	c.sum.Add(int64(took))
}

func (c *commitTimes) read() CommitTimes {
	out := CommitTimes{Edges: commitEdges[:], UpTo: make([]int64, len(commitEdges)), Sum: time.Duration(c.sum.Load())}
	for i := range c.counts {
		out.N += c.counts[i].Load()
		if i < len(out.UpTo) {
			out.UpTo[i] = out.N
		}
	}
	return out
}

type counters struct {
	transactions, failed, accepted, decided, jobs, lastTx, lastCommit, early atomic.Int64

	failing atomic.Pointer[failing] // nil while transactions succeed
	commits commitTimes
}

type failing struct {
	since time.Time
	code  string
}

// fail counts a failed transaction; only the writer calls it.
func (c *counters) fail(err error) {
	now := failing{since: time.Now(), code: failureCode(err)}
	if before := c.failing.Load(); before != nil {
		now.since = before.since
	}
	var u *Unavailable
	if errors.As(err, &u) {
		now.code = u.Code
	}
	c.failed.Add(1)
	c.failing.Store(&now)
}

func (c *counters) count(g *group, took time.Duration) {
	c.transactions.Add(1)
	c.failing.Store(nil)
	c.lastTx.Store(int64(took))
	for _, r := range g.accepts {
		c.accepted.Add(int64(len(r.accepts)))
	}
	for _, r := range g.decisions {
		c.decided.Add(int64(len(r.decisions)))
	}
	c.jobs.Add(int64(len(g.jobs)))
}

// Stats may be called at any time; its numbers are each right, but not of one instant.
func (s *Store) Stats() Stats {
	c := &s.w.st
	out := Stats{
		Transactions: c.transactions.Load(), Failed: c.failed.Load(), Accepted: c.accepted.Load(),
		Decided: c.decided.Load(), Jobs: c.jobs.Load(),
		LastTx: time.Duration(c.lastTx.Load()), LastCommit: time.Duration(c.lastCommit.Load()),
		EarlyWaiting: c.early.Load(), Commits: c.commits.read(),
	}
	if s.ck != nil {
		out.Checkpoints, out.LogPages = s.ck.rounds.Load(), s.ck.pages.Load()
	}
	if f := c.failing.Load(); f != nil {
		out.FailingSince, out.FailingCode = f.since, f.code
	}
	out.QueueAccepts, out.QueueDecisions, out.QueueJobs = s.w.q.lengths()
	return out
}

package agents

import (
	"context"
	"sync/atomic"
	"time"
)

// States of a watched call, the low bits of watch.word.
const (
	idle uint64 = iota
	running
	cancelled
)

// watch is where a loop tells the watchdog what it is doing. Entering and leaving cost three atomic writes; the context
// is made anew only after a cancel.
type watch struct {
	// word is the number of the call and its state. The watchdog cancels by changing running to cancelled, so that it
	// can't hit the next call by mistake.
	word  atomic.Uint64
	start atomic.Int64
	cell  atomic.Pointer[cell]
	seq   uint64 // the loop's own

	cancelledAt int64 // the watchdog's own
}

type cell struct {
	ctx    context.Context
	cancel context.CancelFunc
}

// renew makes a fresh context for the calls to come.
func (w *watch) renew(base context.Context) {
	ctx, cancel := context.WithCancel(base)
	w.cell.Store(&cell{ctx, cancel})
}

// enter begins a call.
func (w *watch) enter(now int64) context.Context {
	w.seq++
	w.start.Store(now)
	w.word.Store(w.seq<<2 | running)
	return w.cell.Load().ctx
}

// leave ends the call; it reports whether the watchdog left it alone.
func (w *watch) leave() (inTime bool) {
	if w.word.CompareAndSwap(w.seq<<2|running, w.seq<<2) {
		return true
	}
	w.word.Store(w.seq << 2) // idle
	return false
}

// age is how long the present call has been running, 0 without one.
func (w *watch) age(now int64) time.Duration {
	word := w.word.Load()
	start := w.start.Load()
	if word&3 == idle || w.word.Load()>>2 != word>>2 {
		return 0
	}
	return time.Duration(now - start)
}

// check cancels a call past its deadline, and returns the number of a call that has not returned within the grace
// after that, 0 if there is none.
func (w *watch) check(now, deadline, grace int64) (hung uint64) {
	word := w.word.Load()
	start, c := w.start.Load(), w.cell.Load() // of this call, if the word is still the same below
	switch word & 3 {
	case running:
		if now-start > deadline && w.word.CompareAndSwap(word, word&^3|cancelled) {
			w.cancelledAt = now
			c.cancel()
		}
	case cancelled:
		if now-w.cancelledAt > grace {
			return word
		}
	}
	return 0
}

// watch is the watchdog: one goroutine for all lanes of all agents.
func (s *Supervisor) watch() {
	period := min(max(min(s.opts.StageDeadline, s.opts.Grace)/10, time.Millisecond), 50*time.Millisecond)
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	for {
		select {
		case <-s.root.Done():
			return
		case <-ticker.C:
		}
		now := s.clock()
		for _, a := range s.list() {
			for _, l := range a.lanes {
				l.check(now)
			}
		}
	}
}

// check looks after the loop that owns the lane. A hung one is fenced at once: its message stays, marked as a suspect,
// and its life is over.
func (l *lane) check(now int64) {
	l.mu.Lock()
	p := l.owner
	l.mu.Unlock()
	if p == nil {
		return
	}
	opts := &l.agent.sup.opts
	hung := p.watch.check(now, l.deadline.Load(), int64(opts.Grace))
	if hung == 0 {
		return
	}
	caught, over := false, p.life.over.Load()
	l.owned(p, func() {
		// The handler may have returned meanwhile. If not, its loop can't go on before it has seen that it is fenced, so
		// what it has in hand stands still.
		if caught = p.watch.word.Load() == hung; caught {
			p.accuse(errHung)
			l.fence(p)
		}
	})
	if caught {
		if over { // a further lane of a life that has ended: the slot is that of the life after it
			l.agent.stats.late(&tally{failed: 1})
		} else {
			l.agent.stats.merge(&tally{failed: 1})
		}
		l.agent.sup.opts.Logger.Error("an agent hangs", "agent", l.agent.spec.Name, "incarnation", p.life.number,
			"topic", string(l.box.Topic), "lane", l.index)
		p.life.end(Hung, errHung.Error()+" ("+string(l.box.Topic)+")")
	}
}

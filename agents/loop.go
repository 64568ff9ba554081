package agents

import (
	"context"
	"errors"
	"time"

	"aura/agents/bus"
)

const (
	// flushAfter is how long what is done may wait for the rest of its batch.
	flushAfter = 2 * time.Millisecond
	// handAge is how long a batch of a filtered lane is kept in hand; then the rest goes back and is taken again, so that
	// the filter can change its mind about it.
	handAge = 50 * time.Millisecond

	waitBase, waitLimit = 10 * time.Millisecond, 100 * time.Millisecond
)

// loop is the goroutine of one lane in one life.
type loop struct {
	life     *life
	lane     *lane
	sup      *Supervisor
	handler  Handler
	finisher Finisher // the handler, if it is one

	base      context.Context // ends when the loop is fenced or has left
	cancel    context.CancelFunc
	watch     watch
	done      chan struct{}
	abandoned bool // guarded by lane.mu

	hand
	spans
	out   Outbox
	tally tally
	waits int // in a row, for their backoff
	// othersTurn says that a batch was taken since the last message that had been set aside: the two take turns.
	othersTurn bool
}

func newLoop(l *life, lane *lane) *loop {
	p := &loop{life: l, lane: lane, sup: l.agent.sup, done: make(chan struct{})}
	p.base, p.cancel = context.WithCancel(p.sup.root)
	p.watch.renew(p.base)
	p.out.now = time.Now
	return p
}

func (p *loop) run() {
	defer close(p.done)
	defer p.endSpans("abandoned") // those that no flush has ended
	defer p.lane.leave(p)
	if !p.takeOver() {
		return
	}
	state, cause := Crashed, "a handler ended its goroutine" // runtime.Goexit must not leave a lane without a reader
	defer func() {
		if p.lane.owned(p, nil) {
			p.life.end(state, cause)
		}
	}()
	if p.construct() && p.letOthersBegin() {
		for !p.life.over.Load() && p.turn() {
		}
	}
	state, cause = Stopped, "the lane was closed"
}

// takeOver waits until the lane's present owner has left, for the grace at most; then the owner is fenced.
func (p *loop) takeOver() bool {
	timer := time.NewTimer(p.sup.opts.Grace)
	defer timer.Stop()
	for !p.life.over.Load() {
		owner := p.lane.claim(p)
		if owner == p {
			return true
		}
		select {
		case <-owner.done:
		case <-timer.C:
			p.lane.evict(owner)
		case <-p.life.taking.Done():
		}
	}
	return false
}

// letOthersBegin waits a little where this lane has ended a young life: messages in a row that crash the agent must not
// keep the other lanes from being read at all.
func (p *loop) letOthersBegin() bool {
	held := false
	p.lane.owned(p, func() { held, p.lane.held = p.lane.held, false })
	if !held {
		return true
	}
	timer := time.NewTimer(asideDelay / 2)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.life.taking.Done():
		return false
	}
}

// construct makes the handler; a panic there is a crash like any other.
func (p *loop) construct() bool {
	var s stumble
	func() {
		defer p.catch(&s)
		a := p.life.agent
		p.handler = a.spec.NewHandler(Life{
			Agent: a.spec.Name, Instance: p.sup.opts.Instance, Incarnation: p.life.number,
			Topic: p.lane.box.Topic, Lane: p.lane.index,
		})
		p.finisher, _ = p.handler.(Finisher)
	}()
	if s.kind == crashed {
		p.crash(s)
		return false
	}
	return true
}

// turn handles a message that was set aside, if one is due, or else what the lane holds. They take turns, so that
// neither keeps the other from being done. It reports whether the loop goes on.
func (p *loop) turn() bool {
	now := time.Now()
	s, due := p.lane.next(now)
	if s != nil && (p.othersTurn || p.lane.queue.Len() == 0) {
		p.othersTurn = false
		return p.work(p.again(s))
	}
	p.othersTurn = true
	ctx, cancel := p.life.taking, context.CancelFunc(nil)
	if s == nil && !due.IsZero() {
		ctx, cancel = context.WithDeadline(ctx, due)
		defer cancel()
	}
	batch, err := p.lane.take(ctx, p, p.lane.limit())
	switch {
	case len(batch) > 0:
		return p.work(p.take(batch))
	case p.life.over.Load():
		return false
	case err == nil || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled):
		return p.lane.owned(p, nil)
	case errors.Is(err, bus.ErrClosed):
		return false
	}
	p.log().Error("a lane can't be read", "err", err)
	return p.wait()
}

// wait pauses the lane, longer each time in a row; it reports whether the loop goes on.
func (p *loop) wait() bool {
	timer := time.NewTimer(backoff(p.waits, waitBase, waitLimit))
	defer timer.Stop()
	p.waits++
	select {
	case <-timer.C:
		return true
	case <-p.life.taking.Done():
		return false
	}
}

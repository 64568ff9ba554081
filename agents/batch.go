package agents

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"aura/agents/bus"
	"aura/agents/tracing"
)

// kind of a stumble: why a batch did not go through.
type kind int

const (
	smooth     kind = iota
	over            // the life has ended; what was done is flushed
	stale           // the batch has been in hand for too long
	fenced          // the lane belongs to another loop
	notReady        // the handler can't work yet
	slow            // the handler returned after its context was cancelled
	failed          // the handler returned an error
	crashed         // the handler panicked
	suspected       // the message at the cursor failed before and could not be set aside then
	unreadable      // the message at the cursor can't be decoded
	unfinished      // Finish or Publish failed
)

type stumble struct {
	kind  kind
	err   error
	stack []byte
	trace string // of the message at fault, "" where that isn't known
}

// hand is the batch that a loop has in hand. Everything before flushed is published and acked, everything before the
// cursor is handled.
type hand struct {
	taken, kept, scratch []*bus.Message
	cursor, flushed      int
	acked                int // of taken
	retrying             *strike
	suspect              *strike
	finishing            bool
	mark                 int   // of the outbox, before the message at the cursor
	now, since, last     int64 // clock: now, when the batch was taken, when it was last flushed
	slowest              int64
}

// take puts a batch in hand; the filter sees it first.
func (p *loop) take(batch []*bus.Message) stumble {
	p.begin(batch, nil)
	p.kept = batch
	if p.lane.box.Filter == nil {
		return stumble{}
	}
	p.scratch = append(p.scratch[:0], batch...)
	return p.filter()
}

// again puts a message in hand that was set aside.
func (p *loop) again(s *strike) stumble {
	p.begin(nil, s)
	m := *s.message // a zombie may still read the last try's
	p.lane.owned(p, func() { s.message = &m })
	p.scratch = append(p.scratch[:0], &m)
	p.kept = p.scratch
	if p.lane.box.Filter == nil || s.out() {
		return stumble{}
	}
	return p.filter()
}

// filter asks the filter what of scratch shall be handled.
func (p *loop) filter() (s stumble) {
	defer p.catch(&s)
	taken := p.taken
	p.taken, p.kept = nil, nil // should it panic, nothing is in hand, so nothing is acked
	if p.retrying != nil {
		p.kept = p.scratch // and nothing is dropped
	}
	kept := p.lane.box.Filter(time.Now(), p.lane.index, p.scratch)
	p.taken, p.kept = taken, kept
	return stumble{}
}

func (p *loop) begin(taken []*bus.Message, retrying *strike) {
	p.taken, p.retrying = taken, retrying
	p.cursor, p.flushed, p.acked, p.finishing = 0, 0, 0, false
	p.lane.owned(p, func() { p.suspect = p.lane.suspect })
	p.now = p.sup.clock()
	p.since, p.last, p.slowest = p.now, p.now, 0
}

// pass handles event by event from the cursor on, flushing on the way and at the end.
func (p *loop) pass() (s stumble) {
	defer p.catch(&s)
	for p.cursor < len(p.kept) {
		if s := p.one(p.kept[p.cursor]); s.kind != smooth {
			return s
		}
		p.cursor++
		ended := p.life.over.Load()
		if !ended && p.now-p.last <= int64(flushAfter) {
			continue
		}
		if s := p.flush(); s.kind != smooth {
			return s
		}
		switch {
		case ended:
			return stumble{kind: over}
		case p.lane.box.Filter != nil && p.now-p.since > int64(handAge) && p.cursor < len(p.kept):
			return stumble{kind: stale}
		}
	}
	return p.flush()
}

// one handles one message under the watchdog.
func (p *loop) one(m *bus.Message) stumble {
	m.Open()
	if p.retrying == nil {
		if m.Err != nil {
			return stumble{kind: unreadable, err: m.Err}
		}
		if p.suspect != nil && p.suspect.message.ID == m.ID {
			return stumble{kind: suspected}
		}
	}
	m.Attempt++
	p.mark = len(p.out.messages)
	p.out.parent = m.TraceParent
	start := p.now
	ctx := p.watch.enter(start)
	if p.sup.opts.Tracer != nil {
		ctx = p.beginSpan(ctx, m)
	}
	err := p.call(ctx, m)
	inTime := p.watch.leave()
	p.now = p.sup.clock()
	took := p.now - start
	p.slowest = max(p.slowest, took)
	if took > int64(p.sup.opts.StageDeadline) {
		p.lane.slowAt.Store(p.now)
	}
	p.tally.add(took)
	if err == nil && inTime {
		p.keepSpan()
		return stumble{}
	}
	var s stumble
	if inTime {
		s = p.refuse(err)
	} else {
		s = p.late(err)
	}
	if s.kind == smooth {
		p.keepSpan()
		return s
	}
	s.trace = tracing.TraceID(m.TraceParent)
	p.failSpan(s.kind)
	return s
}

func (p *loop) call(ctx context.Context, m *bus.Message) error {
	if p.retrying != nil && p.retrying.out() {
		return p.giveUp(ctx, p.retrying)
	}
	if i := p.sup.opts.Injector; i != nil {
		life := Life{
			Agent: p.life.agent.spec.Name, Instance: p.sup.opts.Instance, Incarnation: p.life.number,
			Topic: p.lane.box.Topic, Lane: p.lane.index,
		}
		if err := i.Before(ctx, life.Agent, life); err != nil {
			return err
		}
	}
	return p.handler.Handle(ctx, m, &p.out)
}

// errEndless is the failure of a message that is too slow for the longest deadline. From then on each time it is slow
// counts, whatever the deadline has shrunk to.
var errEndless = errors.New("slow at the longest deadline")

// late judges a call that returned after its context was cancelled: refused if the lane was fenced meanwhile, done if
// it did its work all the same, slow otherwise; slow at the longest deadline counts as a failure.
func (p *loop) late(err error) stumble {
	p.watch.renew(p.base)
	if !p.lane.owned(p, nil) {
		p.life.agent.refuse(1 + p.cursor - p.flushed)
		return stumble{kind: fenced}
	}
	atLimit := p.lane.slower(p.sup.opts.MaxDeadline)
	switch {
	case err == nil:
		return stumble{}
	case atLimit || p.retrying != nil && errors.Is(p.retrying.cause, errEndless):
		return p.refuse(fmt.Errorf("%w: %w", errEndless, err))
	}
	p.truncate()
	return stumble{kind: slow, err: err}
}

// refuse drops what a failed call emitted.
func (p *loop) refuse(err error) stumble {
	p.truncate()
	if errors.Is(err, ErrNotReady) {
		return stumble{kind: notReady, err: err}
	}
	return stumble{kind: failed, err: err}
}

func (p *loop) truncate() {
	clear(p.out.messages[p.mark:])
	p.out.messages = p.out.messages[:p.mark]
}

// catch turns a panic into a stumble. It must be deferred directly.
func (p *loop) catch(s *stumble) {
	r := recover()
	if r == nil {
		return
	}
	inTime := p.watch.leave()
	p.now = p.sup.clock()
	if !inTime {
		p.watch.renew(p.base)
	}
	*s = stumble{kind: crashed, err: fmt.Errorf("panic: %v", r), stack: debug.Stack()}
	if !p.finishing && p.cursor < len(p.kept) {
		s.trace = tracing.TraceID(p.kept[p.cursor].TraceParent)
	}
	p.failSpan(crashed)
}

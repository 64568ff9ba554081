package agents

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// work brings the hand to its end, through all stumbles (begun is one that came before the first event); it reports
// whether the loop goes on.
func (p *loop) work(begun stumble) bool {
	if begun.kind != smooth {
		_, goOn := p.settle(begun)
		return goOn
	}
	for {
		s := p.pass()
		if s.kind == smooth {
			return true
		}
		resume, goOn := p.settle(s)
		if !resume {
			return goOn
		}
	}
}

// settle deals with a stumble: resume says that the hand can be continued, goOn that the loop can.
func (p *loop) settle(s stumble) (resume, goOn bool) {
	switch s.kind {
	case crashed:
		p.crash(s)
		return false, false
	case fenced, over:
		return false, false
	case stale:
		return false, p.giveBack()
	case unfinished:
		return false, p.unfinished(s)
	}
	// The message at the cursor is the matter. What was done before it goes out first.
	if f := p.flushSafely(); f.kind != smooth {
		return p.settle(f)
	}
	switch s.kind {
	case slow:
		return false, p.giveBack()
	case notReady:
		p.life.agent.unready.Say(p.log(), slog.LevelInfo, "the agent is not ready", "err", s.err)
		if p.retrying != nil {
			return false, p.lane.owned(p, func() { p.retrying.postpone(time.Now()) })
		}
		return false, p.giveBack() && p.wait()
	}
	return p.strike(s)
}

// strike records a failure of the message at the cursor and sets it aside, so that the lane goes on.
func (p *loop) strike(s stumble) (resume, goOn bool) {
	a := p.life.agent
	room := true
	if !p.lane.owned(p, func() {
		switch {
		case p.retrying != nil:
			p.retrying.blame(s, a.finished.Load())
			return
		case p.cursor >= len(p.kept):
			return
		}
		r := p.lane.record(p.kept[p.cursor])
		if s.kind != suspected {
			r.blame(s, a.finished.Load())
		}
		if room = p.lane.setAside(r); room {
			p.acked++
			p.cursor++
			p.flushed = p.cursor
		}
		p.suspect = p.lane.suspect
	}) {
		return false, false
	}
	if s.kind != suspected {
		a.fail(&p.tally)
		p.logOnce(slog.LevelWarn, "a handler failed", s)
	}
	if p.retrying != nil {
		return false, true
	}
	if !room {
		return false, p.giveBack() && p.wait()
	}
	return true, true
}

// blame records the failure that a stumble stands for.
func (s *strike) blame(st stumble, finished int64) {
	now := time.Now()
	switch {
	case st.kind == unreadable:
		s.strikes, s.cause, s.due = maxStrikes, st.err, now
	case s.out():
		// It was GiveUp that failed; the first cause stands.
		s.postpone(now)
	default:
		s.fail(st.err, finished, now)
	}
}

// unfinished gives back what could not be finished or published, and waits. An agent that only waits for something has not
// failed.
func (p *loop) unfinished(s stumble) bool {
	const text = "a batch could not be finished"
	if errors.Is(s.err, ErrNotReady) {
		p.life.agent.unready.Say(p.log(), slog.LevelWarn, text, "err", s.err)
	} else {
		p.life.agent.fail(&p.tally)
		p.logOnce(slog.LevelWarn, text, s)
	}
	if p.retrying != nil && !p.lane.owned(p, func() { p.retrying.postpone(time.Now()) }) {
		return false
	}
	return p.giveBack() && p.wait()
}

// giveBack returns what is taken and not acked to the head of the lane.
func (p *loop) giveBack() bool {
	return p.lane.owned(p, p.lane.queue.Return)
}

// crash ends the life: what was done goes out, the message at the cursor is struck.
func (p *loop) crash(s stumble) {
	if !p.lane.owned(p, nil) {
		p.life.agent.refuse(1 + p.cursor - p.flushed)
		return
	}
	inFinish := p.finishing
	if inFinish {
		p.discard()
	} else if p.handler != nil {
		p.truncate()
		p.flushSafely() // if this panics as well, what was done comes again with the next life
	}
	p.lane.owned(p, func() {
		p.finishing = inFinish
		p.accuse(s.err)
	})
	p.life.agent.fail(&p.tally)
	p.logOf(s).Error("an agent crashed", "incarnation", p.life.number, "cause", s.err, "stack", string(s.stack))
	p.life.end(Crashed, s.err.Error())
}

// accuse strikes the message that a life has ended at; it stays where it is, and the next life sets it aside. Of a batch
// that was being finished any message may be at fault: they come again one by one. lane.mu is held.
func (p *loop) accuse(cause error) {
	p.lane.held = time.Since(p.life.began) < 2*asideDelay
	at := p.cursor
	if p.finishing {
		at = p.flushed
	}
	s := stumble{kind: crashed, err: cause}
	switch undone := p.cursor - p.flushed; {
	case p.retrying != nil:
		p.retrying.blame(s, p.life.agent.finished.Load())
	case p.finishing && undone > 1:
		p.lane.single = max(p.lane.single, undone)
	case at < len(p.kept):
		r := p.lane.record(p.kept[at])
		r.blame(s, p.life.agent.finished.Load())
		p.lane.suspect = r
	}
}

// flushSafely flushes after a failure; a panic there is a stumble too.
func (p *loop) flushSafely() (s stumble) {
	defer p.catch(&s)
	return p.flush()
}

// giveUp ends the way of a message that failed too often, or that can't be decoded.
func (p *loop) giveUp(ctx context.Context, s *strike) error {
	give := p.life.agent.spec.GiveUp
	if give == nil {
		p.log().Error("a message is given up", "id", s.message.ID, "cause", s.cause)
		return nil
	}
	if err := give(ctx, s.message, s.cause); err != nil {
		return fmt.Errorf("give up: %w", errors.Join(err, s.cause))
	}
	return nil
}

func (p *loop) log() *slog.Logger {
	return p.sup.opts.Logger.With("agent", p.life.agent.spec.Name, "topic", string(p.lane.box.Topic), "lane", p.lane.index)
}

// logOf names the trace of the message that a stumble is about.
func (p *loop) logOf(s stumble) *slog.Logger {
	if s.trace == "" {
		return p.log()
	}
	return p.log().With("trace_id", s.trace)
}

// logOnce logs the first of a row of stumbles of the agent, at most one a second.
func (p *loop) logOnce(level slog.Level, text string, s stumble) {
	if now := p.sup.clock(); p.life.agent.mayLog(now) {
		p.logOf(s).Log(context.Background(), level, text, "err", s.err)
	}
}

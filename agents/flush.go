package agents

import "fmt"

// flush finishes, publishes and acks what is handled and not flushed yet. Spans of it end with that.
func (p *loop) flush() stumble {
	s := p.deliver()
	p.endSpans(s.kind.String())
	return s
}

func (p *loop) deliver() stumble {
	n := p.cursor - p.flushed
	if !p.lane.owned(p, nil) {
		p.life.agent.refuse(n)
		return stumble{kind: fenced}
	}
	if p.finisher != nil && n > 0 && !p.givingUp() {
		if s := p.finish(); s.kind != smooth {
			return s
		}
	}
	if len(p.out.messages) > 0 {
		err := p.sup.opts.Transport.Publish(p.base, p.out.messages...)
		p.discard()
		if err != nil && p.base.Err() == nil {
			return stumble{kind: unfinished, err: fmt.Errorf("publish: %w", err)}
		}
		if err != nil {
			return stumble{kind: fenced}
		}
	}
	if !p.commit() {
		p.life.agent.refuse(n)
		return stumble{kind: fenced}
	}
	p.lane.quicker(p.slowest, p.sup.opts.StageDeadline)
	p.flushed = p.cursor
	p.slowest = 0
	if n > 0 {
		p.waits = 0
	}
	p.now = p.sup.clock()
	p.last = p.now
	p.life.agent.finish(n, p.givingUp(), &p.tally)
	return stumble{}
}

// finish calls the Finisher under the watchdog.
func (p *loop) finish() stumble {
	p.finishing = true
	p.out.parent = "" // what Finish emits is about many; it can use EmitFor
	err := p.finisher.Finish(p.watch.enter(p.sup.clock()), &p.out)
	if inTime := p.watch.leave(); inTime {
		p.finishing = false
	} else {
		p.watch.renew(p.base)
		// Under the lane's lock: the watchdog may be looking at what this loop was doing when it hung.
		if !p.lane.owned(p, func() { p.finishing = false }) {
			p.life.agent.refuse(p.cursor - p.flushed)
			return stumble{kind: fenced}
		}
		p.lane.slower(p.sup.opts.MaxDeadline)
	}
	if err != nil {
		p.discard()
		return stumble{kind: unfinished, err: err}
	}
	return stumble{}
}

// discard empties the outbox.
func (p *loop) discard() {
	clear(p.out.messages)
	p.out.messages = p.out.messages[:0]
	p.mark = 0
}

// commit acks everything before the message at the cursor, or drops the record of the message that was tried again.
func (p *loop) commit() bool {
	if p.retrying != nil {
		return p.lane.owned(p, func() {
			if p.cursor == len(p.kept) {
				p.lane.remove(p.retrying)
			}
		})
	}
	n := len(p.taken) - p.acked
	if p.cursor < len(p.kept) {
		next := p.kept[p.cursor]
		for n = 0; p.acked+n < len(p.taken) && p.taken[p.acked+n] != next; n++ {
		}
		if p.acked+n == len(p.taken) {
			n = 0 // a filter that reorders gets its acks late, but nothing is acked unhandled
		}
	}
	if !p.lane.ack(p, n) {
		return false
	}
	p.acked += n
	return true
}

func (p *loop) givingUp() bool { return p.retrying != nil && p.retrying.out() }

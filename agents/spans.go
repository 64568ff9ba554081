package agents

import (
	"context"

	"aura/agents/bus"
	"aura/agents/tracing"
)

// spans are a loop's: of the message at the cursor, and of those that are handled and not flushed yet.
type spans struct {
	current *tracing.Span
	handled []*tracing.Span
}

// beginSpan begins the span of the message at the cursor, if it is sampled; what the handler emits carries it on.
func (p *loop) beginSpan(ctx context.Context, m *bus.Message) context.Context {
	if !tracing.Sampled(m.TraceParent) {
		return ctx
	}
	ctx, p.current = p.sup.opts.Tracer.Process(ctx, m.TraceParent, tracing.Delivery{
		Agent: p.life.agent.spec.Name, Topic: string(p.lane.box.Topic), MessageID: m.ID, Lane: p.lane.index, Attempt: m.Attempt,
		Incarnation: p.life.number,
	})
	if p.current != nil {
		p.out.parent = p.current.TraceParent()
	}
	return ctx
}

// keepSpan leaves the span of a message that is handled to the next flush.
func (p *loop) keepSpan() {
	if p.current != nil {
		p.handled = append(p.handled, p.current)
		p.current = nil
	}
}

// failSpan ends the span of the message at the cursor.
func (p *loop) failSpan(k kind) {
	if p.current != nil {
		p.current.Fail(k.String())
		p.current.End()
		p.current = nil
	}
}

// endSpans ends the spans of what was handled; failure is why it comes again, "" if it is done.
func (p *loop) endSpans(failure string) {
	if p.current != nil && failure != "" {
		p.handled = append(p.handled, p.current)
		p.current = nil
	}
	for _, s := range p.handled {
		if failure != "" {
			s.Fail(failure)
		}
		s.End()
	}
	clear(p.handled)
	p.handled = p.handled[:0]
}

// String names the kind for a span.
func (k kind) String() string {
	switch k {
	case smooth:
		return ""
	case over:
		return "over"
	case stale:
		return "stale"
	case fenced:
		return "fenced"
	case notReady:
		return "not_ready"
	case slow:
		return "slow"
	case failed:
		return "failed"
	case crashed:
		return "crashed"
	case suspected:
		return "suspected"
	case unreadable:
		return "unreadable"
	}
	return "unfinished"
}

package agents

import (
	"time"

	"aura/agents/bus"
	"aura/agents/event"
)

// EmitFor adds an event that carries on the given W3C trace context. It is for Finish, whose events belong to messages
// that were handled before: a handler keeps what Outbox.TraceParent said.
func (o *Outbox) EmitFor(traceParent string, e event.Event) {
	m := bus.NewMessage(e, o.now())
	m.TraceParent = traceParent
	o.messages = append(o.messages, m)
}

// TraceParent is the trace context that what is emitted now carries on: of the handling, or the message's own where that isn't
// sampled.
func (o *Outbox) TraceParent() string { return o.parent }

// NewOutbox makes an outbox outside of a loop, for the tests of a handler; emitted lists what was put into it.
func NewOutbox(now func() time.Time) (out *Outbox, emitted func() []event.Event) {
	out = &Outbox{now: now}
	return out, func() []event.Event {
		events := make([]event.Event, len(out.messages))
		for i, m := range out.messages {
			events[i] = m.Event
		}
		return events
	}
}

package agents

import (
	"aura/agents/bus"
	"aura/agents/event"
)

// EmitFor adds an event that carries on the given W3C trace context. It is for Finish, whose events belong to messages
// that were handled before: a handler keeps their TraceParent.
func (o *Outbox) EmitFor(traceParent string, e event.Event) {
	m := bus.NewMessage(e, o.now())
	m.TraceParent = traceParent
	o.messages = append(o.messages, m)
}

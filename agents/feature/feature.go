// Package feature is the agent that turns an accepted application into the model's input.
//
// It validates once more (an application may come from another producer than our edge), encodes every column and
// builds the vector. It owns no state, so its lanes share nothing. It imports agents, agents/event, agents/bus and
// mlops/schema.
package feature

import (
	"context"
	"fmt"

	"aura/agents"
	"aura/agents/bus"
	"aura/agents/event"
	"aura/mlops/schema"
)

// Name of the agent.
const Name = "feature"

// Spec describes the agent; giveUp ends the way of an application that fails it three times.
func Spec(s *schema.Schema, giveUp func(context.Context, *bus.Message, error) error) agents.Spec {
	return agents.Spec{
		Name:       Name,
		Inputs:     []agents.Input{{Topic: event.RawEvents}},
		NewHandler: func(agents.Life) agents.Handler { return handler{s} },
		GiveUp:     giveUp,
	}
}

type handler struct{ schema *schema.Schema }

// Handle implements agents.Handler.
func (h handler) Handle(_ context.Context, m *bus.Message, out *agents.Outbox) error {
	raw, ok := m.Event.(*event.RawEvent)
	if !ok {
		return fmt.Errorf("feature: %T on %s", m.Event, event.RawEvents)
	}
	record, err := h.schema.Check(raw.Features)
	if err != nil {
		return fmt.Errorf("feature: application does not fit schema %s: %w", h.schema.Name, err)
	}
	values, err := h.schema.Encode(record)
	if err != nil {
		return fmt.Errorf("feature: encode: %w", err)
	}
	out.Emit(&event.Features{Subject: raw.Subject, Values: values, Vector: h.schema.Vector(values)})
	return nil
}

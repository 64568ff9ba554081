// Package feature is the agent that turns an accepted application into the model's input.
//
// It validates once more (an application may come from another producer than our edge), encodes every column, builds the
// vector, and counts each application's columns against the reference, once: not when it comes again. Its lanes share
// nothing but the collector of those counts. It imports agents, agents/{event,bus,tally}, healing/detect, mlops/schema.
package feature

import (
	"context"
	"fmt"

	"aura/agents"
	"aura/agents/bus"
	"aura/agents/event"
	"aura/agents/tally"
	"aura/healing/detect"
	"aura/mlops/schema"
)

// Name of the agent.
const Name = "feature"

// Options of the agent.
type Options struct {
	Schema *schema.Schema
	// Reference is the sample that columns are counted against; nil, or a nil result, counts nothing.
	Reference func() *detect.Reference
	// GiveUp ends the way of an application that fails the agent three times.
	GiveUp func(context.Context, *bus.Message, error) error
}

// Spec describes the agent.
func Spec(o Options) agents.Spec {
	counts := &tally.Collector{}
	return agents.Spec{
		Name:       Name,
		Inputs:     []agents.Input{{Topic: event.RawEvents}},
		NewHandler: func(agents.Life) agents.Handler { return &handler{Options: o, counts: counts} },
		Counts:     counts.Take,
		GiveUp:     o.GiveUp,
	}
}

type handler struct {
	Options
	counts *tally.Collector
	sketch *detect.Sketch // of this lane since the last Finish; nil before the first reference
	used   bool
}

// Handle implements agents.Handler.
func (h *handler) Handle(_ context.Context, m *bus.Message, out *agents.Outbox) error {
	raw, ok := m.Event.(*event.RawEvent)
	if !ok {
		return fmt.Errorf("feature: %T on %s", m.Event, event.RawEvents)
	}
	record, err := h.Schema.Check(raw.Features)
	if err != nil {
		return fmt.Errorf("feature: application does not fit schema %s: %w", h.Schema.Name, err)
	}
	values, err := h.Schema.Encode(record)
	if err != nil {
		return fmt.Errorf("feature: encode: %w", err)
	}
	if m.Attempt <= 1 && !raw.Again {
		h.count(values)
	}
	out.Emit(&event.Features{Subject: raw.Subject, Values: values, Vector: h.Schema.Vector(values)})
	return nil
}

// count adds a row to the lane's sketch, against the reference in force.
func (h *handler) count(values schema.Vector) {
	if h.Reference == nil {
		return
	}
	r := h.Reference()
	if r == nil {
		return
	}
	if h.sketch == nil || h.sketch.Reference != r.ID {
		h.flush()
		h.sketch = detect.NewSketch(r)
	}
	h.sketch.Add(values)
	h.used = true
}

func (h *handler) flush() {
	if !h.used {
		return
	}
	h.used = false
	// Both count against the same reference by construction; counts that can't be added are left out.
	_ = h.counts.Merge(h.sketch)
	h.sketch.Reset()
}

// Finish implements agents.Finisher: the lane's counts go to the agent's.
func (h *handler) Finish(context.Context, *agents.Outbox) error {
	h.flush()
	return nil
}

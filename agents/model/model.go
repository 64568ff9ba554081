// Package model is the agent that scores vectors with the champion.
//
// It owns the loaded champion and the trickle that goes through it while the service is in safe mode. A prediction
// names the generation of the champion that made it; the store refuses one of an older generation, the decision agent
// then sends the features again with MinGeneration, and Handle loads that generation before it scores.
//
// Blocking: Handle may load a model (milliseconds). It imports agents, agents/{event,bus,desired}, mlops/{schema,registry}.
package model

import (
	"context"
	"fmt"

	"aura/agents"
	"aura/agents/bus"
	"aura/agents/desired"
	"aura/agents/event"
	"aura/mlops/schema"
)

// Name of the agent.
const Name = "model"

// Options of the agent.
type Options struct {
	Schema   *schema.Schema
	Champion *Champion
	View     *desired.View
	GiveUp   func(context.Context, *bus.Message, error) error
}

// Spec describes the agent.
func Spec(o Options) agents.Spec {
	trickle := newTrickle(o.View)
	return agents.Spec{
		Name:       Name,
		Inputs:     []agents.Input{{Topic: event.FeaturesTopic, Filter: trickle.filter}},
		NewHandler: func(agents.Life) agents.Handler { return &handler{o} },
		Ready:      o.Champion.Ready,
		GiveUp:     o.GiveUp,
	}
}

type handler struct{ Options }

// Handle implements agents.Handler.
func (h *handler) Handle(ctx context.Context, m *bus.Message, out *agents.Outbox) error {
	f, ok := m.Event.(*event.Features)
	if !ok {
		return fmt.Errorf("model: %T on %s", m.Event, event.FeaturesTopic)
	}
	champion := h.Champion.Current()
	if champion == nil || champion.Generation < f.MinGeneration {
		var err error
		if champion, err = h.Champion.Ensure(ctx, f.MinGeneration); err != nil {
			return fmt.Errorf("%w: %w", agents.ErrNotReady, err)
		}
	}
	p := &event.Prediction{
		Features:     *f,
		Probability:  champion.Score(f.Vector),
		ModelVersion: champion.Version, ModelDigest: champion.Digest, Generation: champion.Generation,
		Shadow: h.View.Current().Mode == event.ModeSafe,
	}
	if h.Schema.Decide(p.Probability) != schema.Approve {
		p.Reasons = champion.Reasons(f.Vector)
	}
	out.Emit(p)
	return nil
}

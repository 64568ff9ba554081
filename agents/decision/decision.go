// Package decision is the agent that decides: the policy on predictions, or in safe mode the schema's rules straight
// on the features, and the one row in the store.
//
// It reads predictions and features. In MODEL mode features are skipped (the model's prediction comes); in SAFE_MODE
// they decide, and a prediction that comes late is decided by rule as well, from the features it carries. So every
// message that reaches the agent ends in a decision of the current mode, and doubles meet in the store, where only the
// first row stands. What is emitted is always the row read back, never the value just computed.
//
// In safe mode the champion is asked as well, beside the decision (Options.Beside): the trickle through the model agent tells
// whether that agent works, five times a second; how good the model is takes every outcome that comes.
//
// Handle only judges; Finish commits a batch in one call and blocks until the store has it. The package imports
// agents, agents/{event,bus,desired,tally,shadow}, store, healing/detect, mlops/schema.
package decision

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"aura/agents"
	"aura/agents/bus"
	"aura/agents/desired"
	"aura/agents/event"
	"aura/agents/shadow"
	"aura/healing/detect"
	"aura/mlops/schema"
	"aura/store"
)

// Name of the agent.
const Name = "decision"

// Store commits decisions; *store.Store implements it.
type Store interface {
	Decide(ctx context.Context, decisions []store.Decision) ([]store.DecideResult, error)
}

// Options of the agent.
type Options struct {
	Schema *schema.Schema
	Store  Store
	View   *desired.View
	Now    func() time.Time
	Log    *slog.Logger
	// Observe hears of each decision that this process wrote, once. May be nil.
	Observe func(*event.Decision)
	// Reference is the sample that scores are counted against, Shadow remembers scores given beside safe mode; both may
	// be nil.
	Reference func() *detect.Reference
	Shadow    *shadow.Scores
	// Beside is what the champion would say, while rules decide: only for its outcome to tell how good it is. It takes
	// microseconds and asks no agent. May be nil; ok is false where there is no champion to ask.
	Beside func(*event.Features) (probability float64, version int, ok bool)
	// SLO is the latency objective, for the counts of shadow scores.
	SLO    time.Duration
	GiveUp func(context.Context, *bus.Message, error) error
}

// Spec describes the agent.
func Spec(o Options) agents.Spec {
	c := &counter{reference: o.Reference, shadow: o.Shadow, slo: o.SLO}
	return agents.Spec{
		Name:   Name,
		Inputs: []agents.Input{{Topic: event.Predictions}, {Topic: event.FeaturesTopic, Lazy: true, Filter: o.skipFeatures}},
		NewHandler: func(l agents.Life) agents.Handler {
			return &handler{Options: o, counter: c, incarnation: l.Incarnation}
		},
		Counts: c.Take,
		GiveUp: o.GiveUp,
	}
}

// skipFeatures leaves the features alone while the model decides: its predictions come.
func (o Options) skipFeatures(_ time.Time, _ int, batch []*bus.Message) []*bus.Message {
	if o.View.Current().Mode == event.ModeSafe {
		return batch
	}
	return nil
}

// verdict is a judged application that waits for Finish.
type verdict struct {
	features *event.Features
	// prediction is nil where the rules decide whatever comes.
	prediction *event.Prediction
	trace      string // parent, for what comes of it
}

type handler struct {
	Options
	counter     *counter
	incarnation int64
	pending     []verdict
	under       *commit // under way since an earlier Finish
	owed        []owed
}

// Handle implements agents.Handler.
func (h *handler) Handle(_ context.Context, m *bus.Message, out *agents.Outbox) error {
	switch e := m.Event.(type) {
	case *event.Features:
		if h.View.Current().Mode == event.ModeSafe {
			h.pending = append(h.pending, verdict{features: e, trace: out.TraceParent()})
		}
	case *event.Prediction:
		if e.Shadow {
			h.counter.shadowed(e, h.Now())
			return nil
		}
		h.pending = append(h.pending, verdict{features: &e.Features, prediction: e, trace: out.TraceParent()})
	default:
		return fmt.Errorf("decision: %T is neither a prediction nor features", m.Event)
	}
	return nil
}

// maxRounds bounds how often one batch is decided again because the mode or the champion moved meanwhile; what is
// still stale then goes round by the bus.
const maxRounds = 4

// Finish implements agents.Finisher: it commits what was judged and emits what the store says.
func (h *handler) Finish(ctx context.Context, out *agents.Outbox) error {
	pending := h.pending
	h.pending = h.pending[:0]
	if h.under != nil { // of an earlier Finish; what was stale there has come again
		if _, err := h.settle(ctx); err != nil {
			return err
		}
	}
	for round := 0; len(pending) > 0; round++ {
		rows, judged := h.judgeAll(pending)
		if len(rows) == 0 {
			break
		}
		h.begin(ctx, rows, judged)
		var err error
		if pending, err = h.settle(ctx); err != nil {
			return err
		}
		if len(pending) == 0 {
			break
		}
		if err := h.View.Refresh(ctx); err != nil || round == maxRounds {
			for _, v := range pending {
				h.owe(v.trace, v.again(h.View.Current()))
			}
			break
		}
	}
	h.pay(out)
	return nil
}

// judgeAll judges what can be decided in the present state; the rest goes round again.
func (h *handler) judgeAll(pending []verdict) (rows []store.Decision, judged []verdict) {
	rows, judged = make([]store.Decision, 0, len(pending)), make([]verdict, 0, len(pending))
	state, now := h.View.Current(), h.Now()
	for _, v := range pending {
		if v.prediction == nil && state.Mode == event.ModeModel || v.tooOld(state) {
			h.owe(v.trace, v.again(state))
			continue
		}
		rows = append(rows, h.judge(v, state, now))
		judged = append(judged, v)
	}
	return rows, judged
}

// tooOld reports that the champion has moved on since the prediction was made.
func (v verdict) tooOld(s desired.State) bool {
	return s.Mode == event.ModeModel && v.prediction != nil && v.prediction.Generation < s.ChampionGeneration
}

// again sends the features round once more, to a champion of the current generation.
func (v verdict) again(s desired.State) *event.Features {
	f := *v.features
	f.MinGeneration = s.ChampionGeneration
	return &f
}

// judge applies the rules or the policy, under the generations of the state it was judged in.
func (h *handler) judge(v verdict, s desired.State, now time.Time) store.Decision {
	f := v.features
	now = notBefore(now, f.AcceptedAt)
	d := store.Decision{
		ID: f.ID, ApplicationID: f.ApplicationID, AcceptedAt: f.AcceptedAt, Source: f.Source, TraceID: f.TraceID,
		Mode: store.Mode(s.Mode), ModeGeneration: s.ModeGeneration,
		DecidedAt: now, Latency: now.Sub(f.AcceptedAt), Incarnation: h.incarnation,
	}
	if s.Mode == event.ModeSafe {
		d.Decision, d.Rule, d.Reasons = h.Schema.DecideSafe(f.Values)
		h.noteBeside(f)
		return d
	}
	p := v.prediction
	d.Decision = h.Schema.Decide(p.Probability)
	pd := p.Probability
	d.Probability = &pd
	if d.Decision != schema.Approve {
		d.Reasons = p.Reasons
	}
	d.ModelVersion, d.ModelDigest, d.Generation = p.ModelVersion, p.ModelDigest, p.Generation
	return d
}

// noteBeside remembers what the champion would have said of an application that rules decide.
func (h *handler) noteBeside(f *event.Features) {
	if h.Beside == nil || h.Shadow == nil {
		return
	}
	if p, version, ok := h.Beside(f); ok {
		h.Shadow.Put(f.ID, shadow.Score{Probability: p, Version: version})
	}
}

// notBefore keeps a decision from being older than its application where the clock was set back between the two.
func notBefore(now, accepted time.Time) time.Time {
	if now.Before(accepted) {
		return accepted
	}
	return now
}

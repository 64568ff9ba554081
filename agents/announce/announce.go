// Package announce turns rows of the store into the events that announce them, so that what is emitted is always what
// was read back. It is pure; it imports agents/event and store.
package announce

import (
	"aura/agents/event"
	"aura/store"
)

// Subject of a stored application.
func Subject(a store.Application) event.Subject {
	s := event.Subject{ID: a.ID, ApplicationID: a.ApplicationID, AcceptedAt: a.AcceptedAt, Source: a.Source, TraceID: a.TraceID}
	if s.ApplicationID == "" {
		s.ApplicationID = a.ID
	}
	return s
}

// Decision announces a stored decision.
func Decision(d store.Decision) *event.Decision {
	return &event.Decision{
		Subject:  decided(d),
		Decision: d.Decision, Probability: d.Probability, Reasons: d.Reasons,
		ModelVersion: d.ModelVersion, ModelDigest: d.ModelDigest, Generation: d.Generation,
		Mode: event.Mode(d.Mode), ModeGeneration: d.ModeGeneration, Rule: d.Rule,
		DecidedAt: d.DecidedAt, LatencyMS: float64(d.Latency.Microseconds()) / 1e3,
		Incarnation: d.Incarnation,
	}
}

// Feedback announces an outcome that was joined to its decision.
func Feedback(f store.Feedback) *event.Feedback {
	d := *f.Decision
	return &event.Feedback{
		Subject: decided(d),
		Outcome: event.Outcome(f.Outcome), ObservedAt: f.ObservedAt, ReceivedAt: f.ReceivedAt,
		Decision: d.Decision, Probability: d.Probability,
		Mode: event.Mode(d.Mode), ModelVersion: d.ModelVersion, DecidedAt: d.DecidedAt,
	}
}

func decided(d store.Decision) event.Subject {
	return Subject(store.Application{
		ID: d.ID, ApplicationID: d.ApplicationID, AcceptedAt: d.AcceptedAt, Source: d.Source, TraceID: d.TraceID,
	})
}

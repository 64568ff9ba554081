package decision

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"aura/agents/announce"
	"aura/agents/bus"
	"aura/agents/desired"
	"aura/agents/event"
	"aura/mlops/schema"
	"aura/store"
)

// Publisher sends events on; bus.Transport implements it.
type Publisher interface {
	Publish(ctx context.Context, messages ...*bus.Message) error
}

// Technical decides what no agent can handle: REFER, to a person, with a copy in the dead letters. It is the agents'
// GiveUp.
type Technical struct {
	Store     Store
	Publisher Publisher
	View      *desired.View
	Now       func() time.Time
	Log       *slog.Logger
	Observe   func(*event.Decision)
}

// GiveUp implements agents.Spec.GiveUp for the agent called name.
func (t *Technical) GiveUp(name string) func(context.Context, *bus.Message, error) error {
	return func(ctx context.Context, m *bus.Message, cause error) error { return t.giveUp(ctx, name, m, cause) }
}

func (t *Technical) giveUp(ctx context.Context, agent string, m *bus.Message, cause error) error {
	now := t.Now()
	letter, err := deadLetter(agent, m, cause, now)
	if err != nil {
		return err
	}
	out := []*bus.Message{bus.NewMessage(letter, now)}
	subject, known := subjectOf(m.Event)
	if known {
		d, err := t.decide(ctx, subject, now)
		if err != nil {
			return err
		}
		if d != nil {
			out = append(out, bus.NewMessage(d, now))
		}
	}
	t.Log.Error("an application was given up by its agent and referred to a person",
		"agent", agent, "topic", letter.From, "id", letter.Subject, "err", cause)
	if err := t.Publisher.Publish(ctx, out...); err != nil {
		return fmt.Errorf("decision: publish a technical referral: %w", err)
	}
	return nil
}

// decide returns nil for an application that is gone.
func (t *Technical) decide(ctx context.Context, s event.Subject, now time.Time) (*event.Decision, error) {
	state := t.View.Current()
	now = notBefore(now, s.AcceptedAt)
	results, err := t.Store.Decide(ctx, []store.Decision{{
		ID: s.ID, ApplicationID: s.ApplicationID, AcceptedAt: s.AcceptedAt, Source: s.Source, TraceID: s.TraceID,
		Decision: schema.Refer, Rule: store.RuleTechnical,
		Reasons: []schema.Reason{{Code: "R99", Text: "The application could not be processed automatically; a person decides."}},
		Mode:    store.Mode(state.Mode), ModeGeneration: state.ModeGeneration,
		DecidedAt: now, Latency: now.Sub(s.AcceptedAt),
	}})
	if err != nil {
		return nil, fmt.Errorf("decision: commit a technical referral: %w", err)
	}
	if results[0].Status == store.Gone {
		return nil, nil
	}
	d := announce.Decision(results[0].Decision)
	if results[0].Status == store.Written && t.Observe != nil {
		t.Observe(d)
	}
	return d, nil
}

// subjectOf finds the application that an event is about.
func subjectOf(e event.Event) (event.Subject, bool) {
	switch e := e.(type) {
	case *event.RawEvent:
		return e.Subject, true
	case *event.Features:
		return e.Subject, true
	case *event.Prediction:
		return e.Subject, true
	}
	return event.Subject{}, false
}

func deadLetter(agent string, m *bus.Message, cause error, now time.Time) (*event.DeadLetter, error) {
	payload, err := m.Encoded()
	if err != nil {
		return nil, fmt.Errorf("decision: encode a dead letter: %w", err)
	}
	l := &event.DeadLetter{ID: m.ID, Subject: m.Key(), Agent: agent, Error: cause.Error(), At: now, Payload: payload}
	var unreadable *bus.DecodeError
	switch {
	case m.Event != nil:
		l.From = m.Event.Topic()
	case errors.As(m.Err, &unreadable):
		l.From = unreadable.Topic
	}
	return l, nil
}

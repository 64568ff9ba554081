// Package ingestion takes applications and outcomes in: validated, committed, answered, published.
//
// Accepted means committed: Submit returns an application only after the store has it, and only then is it published.
// What was accepted and is not decided stays in the Window until its decision is seen; the Sweeper publishes it again
// when nothing on the bus holds it any more. Intake is idempotent by application id.
//
// Blocking: Submit waits for one group commit and, if asked, for room in the window; Wait for the decision. Safe for
// use by many goroutines. The package imports agents/{event,bus}, store, mlops/schema; web, simulator and CSV reach it
// through interfaces of their own.
package ingestion

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"aura/agents/announce"
	"aura/agents/bus"
	"aura/agents/event"
	"aura/mlops/schema"
	"aura/store"
)

// Name of the agent.
const Name = "ingestion"

// ErrFull refuses an application because the window of undecided ones is full; try again later.
var ErrFull = errors.New("ingestion: too many undecided applications")

// Store is what intake needs of the store.
type Store interface {
	Accept(ctx context.Context, applications []store.Application) ([]store.AcceptResult, error)
	AddFeedback(ctx context.Context, feedback []store.Feedback) ([]store.FeedbackResult, error)
}

// Publisher sends events; bus.Transport implements it.
type Publisher interface {
	Publish(ctx context.Context, messages ...*bus.Message) error
}

// Counter hears what intake did. Methods must not block.
type Counter interface {
	Accepted(source string, n int)
	Refused(source, why string)
	Feedback(kind string)
}

// Options of the intake.
type Options struct {
	Schema    *schema.Schema
	Store     Store
	Publisher Publisher
	Window    *Window
	Counter   Counter
	Now       func() time.Time
	Log       *slog.Logger
	// SweepAfter is the age at which the sweeper first looks at an application.
	SweepAfter time.Duration
}

// Intake is the way in.
type Intake struct{ Options }

// New makes an intake.
func New(o Options) *Intake { return &Intake{o} }

// Application is what somebody asks to be decided.
type Application struct {
	// ApplicationID is the client's id, empty for "give it one".
	ApplicationID string
	Record        schema.Record
	Source        string
	TraceID       string
}

// Status says what became of a submitted application.
type Status int

// The statuses: accepted now, known already with the same content, known with another content.
const (
	Accepted Status = iota
	Known
	Conflict
)

// Receipt is the answer to a submission.
type Receipt struct {
	Status  Status
	Subject event.Subject
	// Decision is set where a known application is decided.
	Decision *store.Decision
	// Wait yields the decision of an undecided application; nil where nobody asked or too many wait.
	Wait <-chan *event.Decision
}

// Submit takes applications in together. It returns ErrFull, having taken none, when the window has no room and block
// is false; with block it waits for room. wait asks for a channel with the decision of each.
func (in *Intake) Submit(ctx context.Context, block, wait bool, applications ...Application) ([]Receipt, error) {
	n := len(applications)
	if block {
		if err := in.Window.Reserve(ctx, n); err != nil {
			return nil, err
		}
	} else if !in.Window.TryReserve(n) {
		for _, a := range applications {
			in.Counter.Refused(a.Source, "full")
		}
		return nil, ErrFull
	}
	rows, err := in.rows(applications)
	if err != nil {
		in.Window.Release(n)
		return nil, err
	}
	results, err := in.accept(ctx, rows)
	if err != nil {
		// Committed or not: whoever sends it again with the same id learns which, and the sweeper finds it either way
		// at the next start. Without an id it may only be decided in vain.
		in.Window.Release(n)
		return nil, fmt.Errorf("ingestion: commit: %w", err)
	}
	receipts := make([]Receipt, n)
	fresh := make([]*bus.Message, 0, n)
	now := in.Now()
	for i, r := range results {
		receipts[i] = in.receive(applications[i], r, now, wait, &fresh)
	}
	in.publish(ctx, fresh)
	return receipts, nil
}

// commitTimeout bounds how long an id may exist before its row does; the sweeper's floor relies on it.
const commitTimeout = 30 * time.Second

func (in *Intake) accept(ctx context.Context, rows []store.Application) ([]store.AcceptResult, error) {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	return in.Store.Accept(ctx, rows)
}

func (in *Intake) receive(a Application, r store.AcceptResult, now time.Time, wait bool, fresh *[]*bus.Message) Receipt {
	subject := announce.Subject(r.Application)
	if r.Status == store.New {
		e := &event.RawEvent{Subject: subject, Features: a.Record}
		m := bus.NewMessage(e, now)
		m.TraceParent = traceParent(subject.TraceID)
		*fresh = append(*fresh, m)
		in.Counter.Accepted(a.Source, 1)
		return Receipt{Status: Accepted, Subject: subject, Wait: in.Window.track(e, now.Add(in.SweepAfter), in.SweepAfter, wait)}
	}
	in.Window.Release(1)
	if r.Status == store.Conflict {
		in.Counter.Refused(a.Source, "conflict")
		return Receipt{Status: Conflict, Subject: subject}
	}
	receipt := Receipt{Status: Known, Subject: subject, Decision: r.Decision}
	if wait && r.Decision == nil {
		receipt.Wait, _ = in.Window.wait(subject.ID)
	}
	return receipt
}

// rows makes the store's rows: our id, the canonical features and their digest.
func (in *Intake) rows(applications []Application) ([]store.Application, error) {
	rows := make([]store.Application, len(applications))
	now := in.Now()
	for i, a := range applications {
		id, err := uuid.NewV7()
		if err != nil {
			return nil, fmt.Errorf("ingestion: make an id: %w", err)
		}
		features, err := a.Record.MarshalJSON()
		if err != nil {
			return nil, fmt.Errorf("ingestion: encode the application: %w", err)
		}
		digest := sha256.Sum256(features)
		rows[i] = store.Application{
			ID: id.String(), ApplicationID: a.ApplicationID, Features: features, BodyDigest: digest[:],
			Source: a.Source, TraceID: a.TraceID, AcceptedAt: now,
		}
		if rows[i].TraceID == "" {
			rows[i].TraceID = traceID(id)
		}
	}
	return rows, nil
}

// publish sends what was accepted on its way. A failure loses nothing: the sweeper does it again.
func (in *Intake) publish(ctx context.Context, messages []*bus.Message) {
	if len(messages) == 0 {
		return
	}
	if err := in.Publisher.Publish(context.WithoutCancel(ctx), messages...); err != nil {
		in.Log.Warn("accepted applications could not be published; the sweeper will", "n", len(messages), "err", err)
		return
	}
	ids := make([]string, len(messages))
	for i, m := range messages {
		ids[i] = m.Event.(*event.RawEvent).ID
	}
	in.Window.published(ids...)
}

// traceID makes a trace of an application that came without one: its id is unique already.
func traceID(id uuid.UUID) string { return fmt.Sprintf("%x", id[:]) }

func traceParent(trace string) string {
	if len(trace) != 32 {
		return ""
	}
	return "00-" + trace + "-" + trace[16:] + "-00"
}

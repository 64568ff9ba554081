// Package ingestion takes applications and outcomes in: validated, committed, answered, published.
//
// Accepted means committed: Submit returns an application only after the store has it, and only then is it published.
// What was accepted and is not decided stays in the Window until its decision is seen; the Sweeper publishes it again
// when nothing on the bus holds it any more. Intake is idempotent by application id.
//
// The agent is the desk: submissions wait at it, in lanes of their own that outlive its lives like any mailbox, so an
// agent that crashes or hangs makes them wait and loses none. What a lane holds is committed in one call.
//
// Blocking: Submit waits for one group commit and, if asked, for room in the window; a Receipt's Wait for the decision.
// Safe for use by many goroutines. The package imports agents, agents/{event,bus,announce,tracing}, store, mlops/schema; web,
// simulator and CSV reach it through interfaces of their own.
package ingestion

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"aura/agents/bus"
	"aura/agents/desired"
	"aura/agents/event"
	"aura/agents/shadow"
	"aura/agents/tracing"
	"aura/mlops/schema"
	"aura/store"
	"aura/store/complaint"
)

// Name of the agent.
const Name = "ingestion"

// ErrFull refuses an application because the window of undecided ones is full; try again later.
var ErrFull = errors.New("ingestion: too many undecided applications")

// ErrStopping refuses an application because the process is about to end; try again after its next start.
var ErrStopping = errors.New("ingestion: the process is stopping")

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
	// Tracer may be nil: no spans.
	Tracer *tracing.Tracer
	// SweepAfter is the age at which the sweeper first looks at an application.
	SweepAfter time.Duration
	// PublishWithin bounds how long intake waits for the bus (50 ms). It should be far below any stage deadline: behind a
	// pipeline that stands still, intake is not the one that hangs.
	PublishWithin time.Duration
	// View, Shadow and SLO serve the counts for monitoring: latencies against the objective, outcomes against what the
	// model said. A nil View counts nothing.
	View   *desired.View
	Shadow *shadow.Scores
	SLO    time.Duration
}

// Intake is the way in.
type Intake struct {
	Options
	desk                     *bus.Memory
	counts                   *latencyCounter
	unpublished, unannounced complaint.Log // applications and outcomes that the bus would not take
}

// New makes an intake. Its submissions wait until the agent of Spec runs.
func New(o Options) *Intake {
	o.PublishWithin = cmp.Or(o.PublishWithin, 50*time.Millisecond)
	in := &Intake{Options: o, desk: bus.NewMemory(bus.MemoryOptions{Lanes: deskLanes, Logger: o.Log})}
	if o.View != nil {
		in.counts = &latencyCounter{view: o.View, window: o.Window, shadow: o.Shadow, slo: o.SLO, now: o.Now}
		o.Window.counts = in.counts
	}
	return in
}

// Application is what somebody asks to be decided.
type Application struct {
	// ApplicationID is the client's id, empty for "give it one".
	ApplicationID string
	Record        schema.Record
	Source        string
	TraceID       string
	// TraceParent is the W3C trace context that it came with, if any; else the span that Submit's context belongs to counts.
	TraceParent string
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

// Submit takes applications in together and returns when they are committed. It returns ErrFull, having taken none, when
// the window has no room and block is false; with block it waits for room. Once the window is shut it returns ErrStopping. wait asks for a channel with the decision of
// each. When ctx ends first, the applications may be committed all the same, now or later: who sends them again with
// the same ids learns what became of them.
func (in *Intake) Submit(ctx context.Context, block, wait bool, applications ...Application) ([]Receipt, error) {
	applications, spans := in.begin(ctx, applications)
	receipts, err := in.submit(ctx, block, wait, applications)
	end(spans, err)
	return receipts, err
}

func (in *Intake) submit(ctx context.Context, block, wait bool, applications []Application) ([]Receipt, error) {
	n := len(applications)
	if err := in.reserve(ctx, block, applications); err != nil {
		return nil, err
	}
	rows, err := in.rows(applications)
	if err != nil {
		in.Window.Release(n)
		return nil, err
	}
	s := &submission{applications: applications, rows: rows, wait: wait, answer: make(chan answer, 1)}
	if err := in.desk.Publish(ctx, bus.NewMessage(s, in.Now())); err != nil {
		in.Window.Release(n)
		if errors.Is(err, bus.ErrFull) {
			return nil, ErrFull
		}
		return nil, fmt.Errorf("ingestion: %w", err)
	}
	select {
	case a := <-s.answer:
		return a.receipts, a.err
	case <-ctx.Done():
		return nil, fmt.Errorf("ingestion: not committed in time: %w", ctx.Err())
	}
}

func (in *Intake) reserve(ctx context.Context, block bool, applications []Application) error {
	if block {
		return in.Window.Reserve(ctx, len(applications))
	}
	err := in.Window.TryReserve(len(applications))
	if errors.Is(err, ErrFull) {
		for _, a := range applications {
			in.Counter.Refused(a.Source, "full")
		}
	}
	return err
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
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), in.PublishWithin)
	defer cancel()
	if err := in.Publisher.Publish(ctx, messages...); err != nil {
		in.unpublished.Say(in.Log, slog.LevelWarn, "accepted applications could not be published; the sweeper will", "n", len(messages), "err", err)
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

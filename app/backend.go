package app

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"

	"aura/agents/decision"
	"aura/agents/desired"
	"aura/agents/event"
	"aura/agents/ingestion"
	"aura/mlops/schema"
	"aura/store"
	"aura/web/api"
)

// applications answers the API's questions about applications; it and its siblings in the backend_*.go files turn the
// types and errors of the parts into those of web/api, and do nothing else.
type applications struct {
	schema *schema.Schema
	intake *ingestion.Intake
	store  *store.Store
	count  ingestion.Counter
	// elsewhere: the ingestion agent runs in other processes only.
	elsewhere bool
}

// errElsewhere is what who posts to a process without ingestion is told.
func errElsewhere() error {
	return api.RefuseUnavailable("no ingestion agent runs in this process; post to one that has it (agents.select)", retryAfter, nil)
}

const sourceHTTP = "http"

// retryAfter is what a client that came too much is told: the window drains in well under a second.
const retryAfter = time.Second

// lookWithin bounds the look for a decision that was not heard of in time: who asked has waited long enough.
const lookWithin = 250 * time.Millisecond

// Submit implements api.Applications.
func (a *applications) Submit(ctx context.Context, s api.Submission) (api.Submitted, error) {
	if a.elsewhere {
		return api.Submitted{}, errElsewhere()
	}
	record, err := a.schema.ParseRecord(s.Features)
	if err != nil {
		a.count.Refused(sourceHTTP, "invalid")
		return api.Submitted{}, refusal(err)
	}
	receipts, err := a.intake.Submit(ctx, false, s.Wait > 0, ingestion.Application{
		ApplicationID: s.ApplicationID, Record: record, Source: sourceHTTP, TraceID: s.TraceID,
	})
	if err != nil {
		return api.Submitted{}, refusal(err)
	}
	r := receipts[0]
	if r.Status == ingestion.Conflict {
		return api.Submitted{}, api.Refuse(api.Conflict,
			"this application_id is known with other features; send the same body again, or another id")
	}
	if r.Decision != nil {
		return api.Submitted{Record: decidedRecord(*r.Decision), Decided: true}, nil
	}
	pending := api.Record{
		ID: r.Subject.ID, ApplicationID: r.Subject.ApplicationID, Status: api.StatusPending,
		AcceptedAt: r.Subject.AcceptedAt, Source: r.Subject.Source, TraceID: r.Subject.TraceID,
	}
	if r.Wait == nil {
		return api.Submitted{Record: pending}, nil
	}
	timeout := time.NewTimer(s.Wait)
	defer timeout.Stop()
	select {
	case d := <-r.Wait:
		return api.Submitted{Record: announcedRecord(d), Decided: true}, nil
	case <-timeout.C:
	case <-ctx.Done():
	}
	// Where the decision is made by another process its announcement may be lost, or late; the row is there.
	look, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	if d, ok := a.decided(look, r.Subject.ID); ok {
		return api.Submitted{Record: decidedRecord(d), Decided: true}, nil
	}
	return api.Submitted{Record: pending}, nil
}

// decided looks a decision up by our id.
func (a *applications) decided(ctx context.Context, id string) (store.Decision, bool) {
	found, err := a.store.Decisions(ctx, []string{id})
	if err != nil || len(found) == 0 {
		return store.Decision{}, false
	}
	return found[0], true
}

// Rejected implements api.Applications.
func (a *applications) Rejected(features json.RawMessage) []api.Field {
	a.count.Refused(sourceHTTP, "invalid")
	if features == nil {
		return nil
	}
	_, err := a.schema.ParseRecord(features)
	if r := api.IsRefusal(refusal(err)); err != nil && r != nil {
		return r.Fields
	}
	return nil
}

// Application implements api.Applications.
func (a *applications) Application(ctx context.Context, id string) (api.Record, error) {
	r, err := a.store.Application(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return api.Record{}, api.Refuse(api.NotFound, "no application has this id; ids are the client's application_id or AURA's own id")
	}
	if err != nil {
		return api.Record{}, refusal(err)
	}
	out := api.Record{
		ID: r.Application.ID, ApplicationID: r.Application.ApplicationID, Status: api.StatusPending,
		AcceptedAt: r.Application.AcceptedAt, Source: r.Application.Source, TraceID: r.Application.TraceID,
	}
	if r.Decision != nil {
		out = decidedRecord(*r.Decision)
	}
	out.Features = r.Application.Features
	if r.Outcome != nil {
		out.Outcome = string(r.Outcome.Outcome)
		out.ObservedAt = &r.Outcome.ObservedAt
	}
	return out, nil
}

// Decisions implements api.Applications. The cursor is the id of the last one shown.
func (a *applications) Decisions(ctx context.Context, limit int, cursor string) (api.List[api.Record], error) {
	if id, err := uuid.Parse(cursor); cursor != "" && (err != nil || id.String() != cursor) {
		return api.List[api.Record]{}, api.RefuseCursor()
	}
	rows, err := a.store.RecentDecisions(ctx, limit+1, cursor)
	if err != nil {
		return api.List[api.Record]{}, refusal(err)
	}
	list := api.List[api.Record]{Items: make([]api.Record, 0, min(limit, len(rows)))}
	for i, d := range rows {
		if i == limit {
			list.NextCursor = rows[limit-1].ID
			break
		}
		list.Items = append(list.Items, decidedRecord(d))
	}
	return list, nil
}

func decidedRecord(d store.Decision) api.Record {
	ms := float64(d.Latency.Microseconds()) / 1e3
	return api.Record{
		ID: d.ID, ApplicationID: d.ApplicationID, Status: api.StatusDecided,
		AcceptedAt: d.AcceptedAt, Source: d.Source, TraceID: d.TraceID,
		Decision: string(d.Decision), Probability: d.Probability, Reasons: reasons(d.Reasons),
		ModelVersion: d.ModelVersion, ModelDigest: d.ModelDigest,
		Mode: string(d.Mode), Rule: d.Rule, DecidedAt: &d.DecidedAt, LatencyMS: &ms,
	}
}

func announcedRecord(d *event.Decision) api.Record {
	return api.Record{
		ID: d.ID, ApplicationID: d.ApplicationID, Status: api.StatusDecided,
		AcceptedAt: d.AcceptedAt, Source: d.Source, TraceID: d.TraceID,
		Decision: string(d.Decision), Probability: d.Probability, Reasons: reasons(d.Reasons),
		ModelVersion: d.ModelVersion, ModelDigest: d.ModelDigest,
		Mode: string(d.Mode), Rule: d.Rule, DecidedAt: &d.DecidedAt, LatencyMS: &d.LatencyMS,
	}
}

func reasons(in []schema.Reason) []api.Reason {
	out := make([]api.Reason, len(in))
	for i, r := range in {
		out[i] = api.Reason(r)
	}
	return out
}

// feedback answers for outcomes.
type feedback struct {
	intake    *ingestion.Intake
	now       func() time.Time
	elsewhere bool // as applications'
}

// AddFeedback implements api.Feedback.
func (f *feedback) AddFeedback(ctx context.Context, o api.Outcome) (api.FeedbackResult, error) {
	if f.elsewhere {
		return api.FeedbackResult{}, errElsewhere()
	}
	if o.ObservedAt.IsZero() {
		o.ObservedAt = f.now()
	}
	if ingestion.CheckObservedAt(o.ObservedAt, f.now()) != nil {
		return api.FeedbackResult{}, api.RefuseFields(api.Field{
			Field: "observed_at", Problem: "range", Got: o.ObservedAt.Format(time.RFC3339), Want: "a time from 1970 up to now, or nothing for now",
		})
	}
	results, err := f.intake.Feedback(ctx, ingestion.Outcome{
		ApplicationID: o.ApplicationID, Outcome: event.Outcome(o.Outcome), ObservedAt: o.ObservedAt,
	})
	if err != nil {
		return api.FeedbackResult{}, refusal(err)
	}
	return api.FeedbackResult{
		ApplicationID: o.ApplicationID, Kind: string(results[0].Kind), Outcome: string(stands(results[0])),
	}, nil
}

// stands is the outcome that counts: there are two, and what contradicts the first one is the other.
func stands(r store.FeedbackResult) store.Outcome {
	switch {
	case r.Kind != store.Contradicting:
		return r.Feedback.Outcome
	case r.Feedback.Outcome == store.Repaid:
		return store.Defaulted
	}
	return store.Repaid
}

// modes answers for who decides.
type modes struct {
	store   *store.Store
	view    *desired.View
	publish announcer
	fleet   *fleet
}

// Mode implements api.Modes.
func (m *modes) Mode(ctx context.Context) (api.Mode, error) {
	s, err := m.store.Desired(ctx)
	if err != nil {
		return api.Mode{}, refusal(err)
	}
	return modeOf(s), nil
}

func modeOf(s store.State) api.Mode {
	return api.Mode{
		Mode: string(s.Mode), Generation: s.ModeGeneration,
		By: s.ModeSetting.Owner, Reason: s.ModeSetting.Reason, Since: s.ModeSetting.ChangedAt,
	}
}

// SetMode implements api.Modes: the row first, then everything in this process, then the others, which are waited for a little.
func (m *modes) SetMode(ctx context.Context, mode string, by api.Change) (api.Mode, error) {
	if _, err := m.store.SetMode(ctx, store.Mode(mode), by.By, by.Reason); err != nil {
		return api.Mode{}, refusal(err)
	}
	if err := m.view.Refresh(ctx); err != nil {
		return api.Mode{}, refusal(err)
	}
	generation := m.view.Current().ModeGeneration
	m.publish(ctx, "mode", generation)
	m.fleet.followed(ctx, decision.Name, generation)
	return m.Mode(ctx)
}

// announcer tells other processes that a row of desired state changed. They poll too, so a failure is only logged.
type announcer func(ctx context.Context, setting string, generation int64)

// refusal turns the typed errors of the parts into those of the API, in one place. What it doesn't know stays a failure.
func refusal(err error) error {
	var fields schema.FieldErrors
	var unavailable *store.Unavailable
	var refused *store.Refused
	switch {
	case errors.As(err, &fields):
		out := make([]api.Field, len(fields))
		for i, f := range fields {
			out[i] = api.Field(f)
		}
		return api.RefuseFields(out...)
	case errors.Is(err, ingestion.ErrFull):
		return api.RefuseFull(retryAfter)
	case errors.As(err, &unavailable):
		return api.RefuseUnavailable("the store can't take it now ("+unavailable.Code+"); send it again", retryAfter, err)
	case errors.Is(err, store.ErrClosed), errors.Is(err, ingestion.ErrStopping):
		return api.RefuseUnavailable("the service is stopping; send it again", retryAfter, err)
	case errors.As(err, &refused) && refused.Code == store.CodeInvalid: // what no database could hold, or not this one
		return api.Refuse(api.Invalid, "%s", refused.Reason)
	case errors.As(err, &refused):
		return api.Refuse(api.Conflict, "%s", refused.Reason)
	}
	return modelRefusal(err)
}

package store

import (
	"context"
	"database/sql"
	"fmt"
)

// AddFeedback keeps outcomes and says how each counts; those Joined are to be published, once. The first outcome of an
// application stands. Of two outcomes in one call the earlier in the slice is first. On an error some may be kept; the
// same call again counts those as Duplicate. Whoever loses such an answer loses no publication: what is Joined stays
// Unannounced until somebody calls it Announced.
func (s *Store) AddFeedback(ctx context.Context, fs []Feedback) ([]FeedbackResult, error) {
	for i, f := range fs {
		if f.Outcome != Repaid && f.Outcome != Defaulted {
			return nil, refuse(CodeInvalid, "outcome %d is %q, not repaid or defaulted", i, f.Outcome)
		}
	}
	own := append([]Feedback(nil), fs...)
	out := make([]FeedbackResult, len(fs))
	var parts []*request
	for i := 0; i < len(own); i += partRows {
		j := min(i+partRows, len(own))
		part, results := own[i:j], out[i:j]
		parts = append(parts, &request{job: func(t *tx) error {
			for k := range part {
				if err := t.w.addFeedback(part[k], &results[k]); err != nil {
					return err
				}
			}
			return nil
		}})
	}
	if err := s.await(ctx, parts); err != nil {
		return nil, err
	}
	return out, nil
}

// addFeedback classifies and keeps one outcome.
func (w *writer) addFeedback(f Feedback, out *FeedbackResult) error {
	f.ObservedAt, f.ReceivedAt = fromMicros(micros(f.ObservedAt)), fromMicros(micros(f.ReceivedAt))
	var id string
	found, err := w.classify(&f, sqlOutcomeByID, &id)
	if err == nil && !found {
		found, err = w.classify(&f, sqlOutcomeByClient, &id)
	}
	if err != nil {
		return fmt.Errorf("feedback: %w", err)
	}
	if !found {
		f.Kind, f.Decision = Unknown, nil
	}
	err = w.exec("INSERT INTO feedback (application, application_id, outcome, kind, observed_at, received_at, to_announce) "+
		"VALUES (?, ?, ?, ?, ?, ?, ?)", id, f.ApplicationID, string(f.Outcome), string(f.Kind), micros(f.ObservedAt),
		micros(f.ReceivedAt), toAnnounce(f.Kind))
	if err != nil {
		return fmt.Errorf("feedback: %w", err)
	}
	if f.Kind == Early {
		w.memo.early++
	}
	*out = FeedbackResult{Kind: f.Kind, Feedback: f}
	return nil
}

// What an outcome meets, in one row: its application, the outcome that stands, and the decision.
const (
	sqlOutcomeBy = "SELECT a.id, f.outcome, " + decisionFields + " FROM applications a LEFT JOIN decisions d ON d.id = a.id " +
		"LEFT JOIN feedback f ON f.application = a.id AND f.kind IN ('joined', 'early') WHERE "
	sqlOutcomeByID     = sqlOutcomeBy + "a.id = ?"
	sqlOutcomeByClient = sqlOutcomeBy + "a.client_id = ?"
)

// classify finds an outcome's application and sets its kind, and its decision for Joined; false if there is none.
func (w *writer) classify(f *Feedback, query string, id *string) (bool, error) {
	var stands sql.NullString
	var row scannedDecision
	found, err := w.row(query, []any{f.ApplicationID}, append([]any{id, &stands}, row.fields()...)...)
	if err != nil || !found {
		return false, err
	}
	f.Kind, f.Decision = Early, nil
	if stands.Valid {
		f.Kind = Contradicting
		if stands.String == string(f.Outcome) {
			f.Kind = Duplicate
		}
		return true, nil
	}
	var d Decision
	decided, err := row.read(&d)
	if decided {
		f.Kind, f.Decision = Joined, &d
	}
	return err == nil, err
}

func toAnnounce(k FeedbackKind) int {
	if k == Joined {
		return 1
	}
	return 0
}

// joinEarly joins the outcome that was there before the decision, if there is one.
func (w *writer) joinEarly(d *Decision) (*Feedback, error) {
	var outcome string
	var observed, received int64
	f := Feedback{Kind: Joined, Decision: d}
	found, err := w.row("UPDATE feedback SET kind = 'joined', to_announce = 1 WHERE application = ? AND kind = 'early' "+
		"RETURNING application_id, outcome, observed_at, received_at", []any{d.ID}, &f.ApplicationID, &outcome, &observed, &received)
	if err != nil || !found {
		return nil, err
	}
	w.memo.early--
	f.Outcome, f.ObservedAt, f.ReceivedAt = Outcome(outcome), fromMicros(observed), fromMicros(received)
	own := *d
	f.Decision = &own
	return &f, nil
}

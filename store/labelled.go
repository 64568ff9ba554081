package store

import (
	"context"
	"time"

	"aura/mlops/schema"
)

// Labelled is a stored application whose outcome is known, for retraining and its gate.
type Labelled struct {
	ID       string
	Source   string
	Features []byte
	Decision schema.Outcome
	// Probability is what the model said, nil where none took part.
	Probability  *float64
	ModelVersion int
	Mode         Mode
	Outcome      Outcome
	AcceptedAt   time.Time
	ObservedAt   time.Time
	// ReceivedAt is when the outcome came in, on our clock.
	ReceivedAt time.Time
}

type labelledRow struct {
	ID, Source           string
	Features             []byte
	Decision             string
	ProbabilityOfDefault *float64
	ModelVersion         int
	Mode, Outcome        string
	AcceptedAt           int64
	ObservedAt           int64
	ReceivedAt           int64
}

// idSlack is how far an id's own time may be before the acceptance that it stands for.
const idSlack = time.Minute

// LabelledSince returns decided applications accepted at or after from whose joined outcome was observed, and had come
// in, before the cut: latest accepted first, at most limit. What a model learned from a cut could have been known then.
func (s *Store) LabelledSince(ctx context.Context, from, cut time.Time, limit int) ([]Labelled, error) {
	db := s.read(ctx).Table("applications a").
		Select("a.id, a.source, a.features, d.decision, d.probability_of_default, d.model_version, d.mode, f.outcome, "+
			"a.accepted_at, f.observed_at, f.received_at").
		Joins("JOIN decisions d ON d.id = a.id").
		Joins("JOIN feedback f ON f.application = a.id AND f.kind = 'joined'").
		Where("f.observed_at < ? AND f.received_at < ?", micros(cut), micros(cut)).
		Order("a.id DESC").Limit(limit)
	if !from.IsZero() {
		db = db.Where("a.id >= ? AND a.accepted_at >= ?", idFloor(from.Add(-idSlack)), micros(from))
	}
	var rows []labelledRow
	if err := db.Find(&rows).Error; err != nil {
		return nil, readErr("read labelled applications", err)
	}
	out := make([]Labelled, len(rows))
	for i, r := range rows {
		out[i] = Labelled{
			ID: r.ID, Source: r.Source, Features: r.Features, Decision: schema.Outcome(r.Decision), Probability: r.ProbabilityOfDefault,
			ModelVersion: r.ModelVersion, Mode: Mode(r.Mode), Outcome: Outcome(r.Outcome), AcceptedAt: fromMicros(r.AcceptedAt),
			ObservedAt: fromMicros(r.ObservedAt), ReceivedAt: fromMicros(r.ReceivedAt),
		}
	}
	return out, nil
}

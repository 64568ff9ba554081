package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"aura/agents/desired"
	"aura/agents/reference"
	"aura/healing/detect"
	"aura/mlops/dataset"
	"aura/mlops/schema"
	"aura/store"
)

// saveReference keeps what monitoring will compare with: the sample that a model version was trained on, and the scores
// that it gives to rows it has not seen.
func saveReference(ctx context.Context, st *store.Store, s *schema.Schema, version int, rows []dataset.Row, scores []float64, by string) error {
	r, err := referenceOf(s, reference.OfModel(version), rows)
	if err != nil {
		return err
	}
	r.SetScores(version, scores)
	document, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("reference of version %d: %w", version, err)
	}
	return st.PutReference(ctx, store.Reference{
		ID: r.ID, MadeAt: now(), ModelVersion: version, Rows: r.Rows, Document: document, By: by, Reason: "training sample",
	})
}

// firstReference puts the first champion's training sample in force, where no reference is.
func firstReference(ctx context.Context, st *store.Store, version int) error {
	state, err := st.Desired(ctx)
	if err != nil || state.Reference != "" {
		return err
	}
	_, err = st.Set(ctx, store.Change{
		Setting: store.SettingReference, Value: reference.OfModel(version), By: "aura", Reason: "training sample of the first champion", Was: new(""),
	})
	var refused *store.Refused
	if errors.As(err, &refused) && refused.Code == store.CodeConflict {
		return nil // another process was quicker
	}
	return err
}

func referenceOf(s *schema.Schema, id string, rows []dataset.Row) (*detect.Reference, error) {
	fields := make([]detect.Field, len(s.Features))
	for i, f := range s.Features {
		fields[i] = detect.Field{Name: f.Name, Categorical: f.Kind == schema.Categorical, Low: f.Min, High: f.Max}
	}
	values := make([][]float64, len(rows))
	for i := range rows {
		values[i] = rows[i].Values
	}
	r, err := detect.BuildReference(id, fields, values)
	if err != nil {
		return nil, fmt.Errorf("reference %s: %w", id, err)
	}
	return r, nil
}

func newReference(st *store.Store, view *desired.View, log *slog.Logger) *reference.Holder {
	h := reference.New(loadReference(st), view, log)
	view.OnChange(func(ctx context.Context, before, after desired.State) {
		if before.Reference != after.Reference || before.Champion != after.Champion {
			h.Follow(ctx)
		}
	})
	return h
}

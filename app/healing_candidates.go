package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"aura/agents/healing"
	"aura/agents/reference"
	"aura/mlops/dataset"
	"aura/mlops/gate"
	"aura/mlops/registry"
	"aura/store"
)

// candidateNote begins the note of a candidate's version: it names the action, which registers one version at most.
func candidateNote(actionID string) string { return "candidate of " + actionID + ": " }

// recentVersions is how far back a candidate of an action under way is looked for.
const recentVersions = 50

// registered finds the candidate that an action had registered when its process ended, and sees to its reference.
func (s *system) registered(ctx context.Context, t healing.Training) (healing.Trained, error) {
	versions, err := s.registry.Versions(ctx, recentVersions, 0)
	if err != nil {
		return healing.Trained{}, err
	}
	for _, v := range versions {
		why, mine := strings.CutPrefix(v.Note, candidateNote(t.ActionID))
		if !mine || v.CreatedBy != healing.Name {
			continue
		}
		s.log.Info("the candidate was registered before a restart", "action", t.ActionID, "version", v.Number)
		out := promoted(healing.Trained{Reason: why, Params: map[string]string{"gate": string(gate.Promote)}, Numbers: map[string]float64{
			"best_auc": v.Metrics.HoldoutAUC, "best_accuracy": v.Metrics.Accuracy, "rows_held_out": float64(v.Metrics.Rows),
		}}, v)
		_, err := s.store.Reference(ctx, reference.OfModel(v.Number))
		if !errors.Is(err, store.ErrNotFound) {
			return out, err
		}
		m, err := s.registry.Load(ctx, v.Number)
		if err != nil {
			return healing.Trained{}, modelTrouble(err)
		}
		rows, err := s.labelled(ctx, t.Since, trainMost)
		if err != nil {
			return healing.Trained{}, err
		}
		return out, s.bringReference(ctx, v, m, rows, v.Window.To.Add(time.Microsecond))
	}
	return healing.Trained{}, nil
}

// promoted is a training whose candidate passed.
func promoted(t healing.Trained, v registry.Version) healing.Trained {
	t.Outcome = outcomePromote
	t.Params["version"], t.Params["digest"] = fmt.Sprint(v.Number), v.Digest
	return t
}

// register keeps the candidate with the reference that it brings: the rows it was made from, its scores on those held out.
func (s *system) register(ctx context.Context, t healing.Training, out *gate.Outcome, rows []gate.LabelledRow) (registry.Version, error) {
	v, err := s.registry.Register(ctx, out.Candidate, registry.Note{By: healing.Name, Text: candidateNote(t.ActionID) + out.Verdict.Reason})
	if err != nil {
		return v, err
	}
	return v, s.bringReference(ctx, v, out.Candidate, rows, out.Held.From)
}

// bringReference keeps what a candidate brings to be compared with: the rows of its window, and its scores on those accepted
// from unseen on, which it was not trained on.
func (s *system) bringReference(ctx context.Context, v registry.Version, m *registry.Model, rows []gate.LabelledRow, unseen time.Time) error {
	held := slices.DeleteFunc(slices.Clone(rows), func(r gate.LabelledRow) bool { return r.AcceptedAt.Before(unseen) })
	if len(held) == 0 {
		held = rows
	}
	sample := make([]dataset.Row, len(rows))
	for i, r := range rows {
		sample[i] = dataset.Row{Values: r.Values, Bad: r.Bad}
	}
	return saveReference(ctx, s.store, s.schema, v.Number, sample, scoresOf(m, held), healing.Name)
}

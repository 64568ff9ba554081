package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"aura/agents/healing"
	"aura/healing/detect"
	"aura/mlops/dataset"
	"aura/mlops/gate"
	"aura/mlops/registry"
	"aura/mlops/schema"
	"aura/store"
)

const (
	// acceptLeast labelled rows make a reference, acceptMost at most.
	acceptLeast, acceptMost = 1000, 10_000
	// matchRows is how many rows tell that a population is a kept one, and matchPSI below what.
	matchRows, matchPSI = 500, 0.1
	// waitForRows is how often it is looked whether there are enough.
	waitForRows = 500 * time.Millisecond
	// keptReferences bounds how many former ones are compared.
	keptReferences = 10
	changesBack    = 1000
)

// InForce implements healing.References.
func (s *system) InForce(ctx context.Context) (string, error) {
	state, err := s.store.Desired(ctx)
	return state.Reference, err
}

// labelled are decided applications accepted since, whose outcome is known: latest first.
func (s *system) labelled(ctx context.Context, since time.Time, limit int) ([]gate.LabelledRow, error) {
	rows, err := s.store.LabelledSince(ctx, since, now().Add(time.Second), limit)
	if err != nil {
		return nil, err
	}
	return labelledRows(s.schema, rows), nil
}

func labelledRows(s *schema.Schema, rows []store.Labelled) []gate.LabelledRow {
	out := make([]gate.LabelledRow, 0, len(rows))
	for _, r := range rows {
		values, err := valuesOf(s, r.Features)
		if err != nil {
			continue // of another schema
		}
		row := gate.LabelledRow{Values: values, Bad: r.Outcome == store.Defaulted, AcceptedAt: r.AcceptedAt, ObservedAt: r.ObservedAt, Probability: nan}
		if r.Probability != nil {
			row.Probability = *r.Probability
		}
		out = append(out, row)
	}
	return out
}

// heardSince are the applications among the newest labelled ones whose outcome came in since: what the alarm of an accuracy
// rests on, whose onset is a time of outcomes. They were accepted earlier, by as much as outcomes take.
func (s *system) heardSince(ctx context.Context, since time.Time, limit int) ([]gate.LabelledRow, error) {
	rows, err := s.store.LabelledSince(ctx, time.Time{}, now().Add(time.Second), limit)
	if err != nil {
		return nil, err
	}
	return labelledRows(s.schema, slices.DeleteFunc(rows, func(r store.Labelled) bool { return r.ReceivedAt.Before(since) })), nil
}

func valuesOf(s *schema.Schema, features []byte) ([]float64, error) {
	record, err := s.ParseRecord(features)
	if err != nil {
		return nil, err
	}
	return s.Encode(record)
}

// Accept implements healing.References. What a broken feed sends is never adopted.
func (s *system) Accept(ctx context.Context, p store.ActionProof, id string, since time.Time, reason string) (store.Effect, error) {
	if bugs := s.bugs(); len(bugs) > 0 { // it may have been named since the training began
		return store.Effect{}, &healing.Refused{Reason: "the feed is broken (" + bugs[0].Text + "): no reference is made of it"}
	}
	_, err := s.store.Reference(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		err = s.build(ctx, id, since, reason)
	}
	if err != nil {
		return store.Effect{}, err
	}
	return s.Set(ctx, p, id, reason)
}

// build makes a reference of labelled rows from after the change, with the champion's scores on them.
func (s *system) build(ctx context.Context, id string, since time.Time, reason string) error {
	rows, err := s.steady(ctx, since)
	if err != nil {
		return err
	}
	r, err := referenceOf(s.schema, id, samplesOf(rows))
	if err != nil {
		return err
	}
	version := s.view.Current().Champion
	m, err := s.registry.Load(ctx, version)
	if err != nil {
		return modelTrouble(err)
	}
	r.SetScores(version, scoresOf(m, rows))
	r.Until = rows[0].AcceptedAt // latest first
	document, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("reference %s: %w", id, err)
	}
	return s.store.PutReference(ctx, store.Reference{
		ID: id, MadeAt: now(), ModelVersion: version, Rows: r.Rows, Document: document, By: healing.Name, Reason: reason,
	})
}

func samplesOf(rows []gate.LabelledRow) []dataset.Row {
	out := make([]dataset.Row, len(rows))
	for i, r := range rows {
		out[i] = dataset.Row{Values: r.Values, Bad: r.Bad}
	}
	return out
}

// steady waits for acceptLeast labelled rows since a time that are of one population, and returns them, latest first: who
// applies may have changed again since then, and a reference of both fits neither.
func (s *system) steady(ctx context.Context, since time.Time) ([]gate.LabelledRow, error) {
	for {
		rows, err := s.enough(ctx, since, acceptLeast, acceptMost)
		if err != nil {
			return nil, err
		}
		n, err := alike(s.schema, rows)
		if err != nil || n >= acceptLeast {
			return rows[:n], err
		}
		since = rows[n-1].AcceptedAt // the change lies before it: go on with what comes after
	}
}

// alikeBlock rows at a time are compared: as many as a verification looks at.
const alikeBlock = 500

// alike is how many of the rows, latest first, are of the population of the latest alikeBlock: PSI of every feature against
// those is below what ends a drift. It goes back block by block and ends at the first that isn't.
func alike(sch *schema.Schema, rows []gate.LabelledRow) (int, error) {
	if len(rows) <= alikeBlock {
		return len(rows), nil
	}
	latest, err := referenceOf(sch, "latest", samplesOf(rows[:alikeBlock]))
	if err != nil {
		return 0, err
	}
	n := alikeBlock
	for n < len(rows) {
		block := rows[n:min(n+alikeBlock, len(rows))]
		if ok, _ := latest.Fits(valuesOfRows(block), matchPSI); !ok {
			break
		}
		n += len(block)
	}
	return n, nil
}

func scoresOf(m *registry.Model, rows []gate.LabelledRow) []float64 {
	return scoresOfRows(m, valuesOfRows(rows))
}

func valuesOfRows(rows []gate.LabelledRow) [][]float64 {
	out := make([][]float64, len(rows))
	for i, r := range rows {
		out[i] = r.Values
	}
	return out
}

// shortage is that too few outcomes came in while there was time.
type shortage struct {
	have, least int
	since       time.Time // the change
	waited      time.Duration
	cause       error // why it waited no longer
}

func (s *shortage) Error() string {
	return fmt.Sprintf("only %d of %d outcomes of applications since %s came in within %s", s.have, s.least, s.since.UTC().Format("15:04:05 UTC"), s.waited.Round(time.Second))
}

func (s *shortage) Unwrap() error { return s.cause }

// enough waits for labelled rows while ctx lives; then a *shortage.
func (s *system) enough(ctx context.Context, since time.Time, least, most int) ([]gate.LabelledRow, error) {
	t := time.NewTicker(waitForRows)
	defer t.Stop()
	begun, have := now(), 0
	for {
		rows, err := s.labelled(ctx, since, most)
		switch {
		case ctx.Err() != nil: // while reading, as likely as while waiting
			return nil, &shortage{max(have, len(rows)), least, since, now().Sub(begun), ctx.Err()}
		case err != nil:
			return nil, err
		case len(rows) >= least:
			return rows, nil
		}
		have = len(rows)
		select {
		case <-ctx.Done():
		case <-t.C:
		}
	}
}

// Set implements healing.References.
func (s *system) Set(ctx context.Context, p store.ActionProof, id, reason string) (store.Effect, error) {
	return s.store.SetReferenceByAction(ctx, p, id, reason)
}

// Earlier implements healing.References: the latest former reference that the rows since the change fit.
func (s *system) Earlier(ctx context.Context, since time.Time) (string, int, error) {
	ids, err := s.former(ctx)
	if err != nil || len(ids) == 0 {
		return "", 0, err
	}
	recent, err := s.store.ApplicationsSince(ctx, since, matchRows)
	if err != nil {
		return "", 0, err
	}
	if len(recent) < matchRows {
		return "", 0, &healing.Later{Reason: fmt.Sprintf("%d of %d rows since the change", len(recent), matchRows)}
	}
	rows := make([][]float64, 0, len(recent))
	for _, a := range recent {
		if values, err := valuesOf(s.schema, a.Features); err == nil {
			rows = append(rows, values)
		}
	}
	for _, id := range ids {
		row, err := s.store.Reference(ctx, id)
		if err != nil {
			return "", 0, err
		}
		r := &detect.Reference{}
		if err := json.Unmarshal(row.Document, r); err != nil {
			return "", 0, fmt.Errorf("reference %s: %w", id, err)
		}
		if fits, _ := r.Matches(rows, matchRows*9/10, matchPSI); fits {
			return id, row.ModelVersion, nil
		}
	}
	return "", 0, nil
}

// former are the references that were in force before the present one, latest first.
func (s *system) former(ctx context.Context) ([]string, error) {
	state, err := s.store.Desired(ctx)
	if err != nil {
		return nil, err
	}
	changes, err := s.store.ConfigHistory(ctx, changesBack, 0)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{state.Reference: true, "": true}
	var out []string
	for _, c := range changes {
		if c.Setting.Setting == store.SettingReference && !seen[c.Value] && len(out) < keptReferences {
			seen[c.Value] = true
			out = append(out, c.Value)
		}
	}
	return out, nil
}

package app

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"aura/agents/healing"
	"aura/healing/incident"
	"aura/mlops/registry"
	"aura/store"
)

// Current implements healing.Models.
func (s *system) Current(ctx context.Context) (champion, previous healing.Model, err error) {
	aliases, err := s.registry.Aliases(ctx)
	if err != nil {
		return champion, previous, err
	}
	if champion, err = s.model(ctx, aliases[registry.Champion]); err != nil {
		return champion, previous, err
	}
	// A previous version whose row is gone is refused when it is checked.
	previous = healing.Model{Version: aliases[registry.Previous]}
	return champion, previous, nil
}

func (s *system) model(ctx context.Context, version int) (healing.Model, error) {
	if version == 0 {
		return healing.Model{}, nil
	}
	v, err := s.registry.Version(ctx, version)
	return healing.Model{Version: v.Number, Digest: v.Digest}, err
}

// Check implements healing.Models: the file fits its digest, is decoded, and scores its probe.
func (s *system) Check(ctx context.Context, version int) (healing.Model, error) {
	m, err := s.registry.Load(ctx, version)
	if err != nil {
		return healing.Model{}, modelTrouble(err)
	}
	if err := m.Check(); err != nil {
		return healing.Model{}, &healing.Refused{Reason: fmt.Sprintf("version %d: %v", version, err)}
	}
	return healing.Model{Version: version, Digest: m.Digest}, nil
}

// modelTrouble is a refusal where the registry refuses.
func modelTrouble(err error) error {
	var refused *registry.Refused
	if errors.As(err, &refused) {
		return &healing.Refused{Reason: refused.Message}
	}
	return err
}

// PutInCharge implements healing.Models.
func (s *system) PutInCharge(ctx context.Context, p store.ActionProof, to healing.Model, previous int, reason string) (store.Effect, error) {
	checked, err := s.Check(ctx, to.Version)
	if err != nil {
		return store.Effect{}, err
	}
	if checked.Digest != to.Digest {
		return store.Effect{}, &healing.Refused{Reason: fmt.Sprintf("version %d is not the model that was approved: its digest differs", to.Version)}
	}
	changes := map[string]int{registry.Champion: to.Version, registry.Previous: previous}
	aliases, err := s.registry.Aliases(ctx)
	if err != nil {
		return store.Effect{}, err
	}
	if aliases[registry.Challenger] == to.Version {
		changes[registry.Challenger] = 0
	}
	return s.store.SetAliasesByAction(ctx, p, changes, reason)
}

// facts are how each fact that a rung can require is tested.
var facts = map[string]func(*system, context.Context, incident.Incident) (bool, string, error){
	"previous_better": (*system).previousBetter,
	incident.FactOutgrown: func(_ *system, _ context.Context, in incident.Incident) (bool, string, error) {
		return in.Outgrown(), "no reference that it accepted was taken back", nil
	},
	incident.FactEarlierReference: func(s *system, ctx context.Context, in incident.Incident) (bool, string, error) {
		id, _, err := s.Earlier(ctx, healing.Since(in))
		return id != "", "no earlier reference fits the rows since the change", err
	},
	"model_agent": func(_ *system, _ context.Context, in incident.Incident) (bool, string, error) {
		return in.Target == "model", "it is the agent " + in.Target, nil
	},
}

// Fact implements healing.Facts.
func (s *system) Fact(ctx context.Context, name string, in incident.Incident) (bool, string, error) {
	test, known := facts[name]
	if !known { // a ladder of an incident that an earlier version began
		return false, "there is no such fact", nil
	}
	return test(s, ctx, in)
}

const (
	// compareRows are the newest labelled rows that two versions are compared on, compareLeast what is needed.
	compareRows, compareLeast = 500, 50
	// compareEnough rows settle it: a previous version that isn't surely better on them is not.
	compareEnough = 200
	// surely is the normal quantile from which a difference is none of chance (one-sided 1 %).
	surely = 2.33
)

// previousBetter compares champion and previous version, row by row, on the newest outcomes (McNemar 1947).
func (s *system) previousBetter(ctx context.Context, in incident.Incident) (bool, string, error) {
	champion, previous, err := s.Current(ctx)
	if err != nil {
		return false, "", err
	}
	if previous.Version == 0 || previous.Version == champion.Version {
		return false, "there is no previous version", nil
	}
	now, err := s.registry.Load(ctx, champion.Version)
	if err != nil {
		return false, "the champion can't be loaded", nil //nolint:nilerr // a fact that can't be shown doesn't hold
	}
	before, err := s.registry.Load(ctx, previous.Version)
	if err != nil {
		return false, "the previous version can't be loaded: " + err.Error(), nil
	}
	since, err := s.comparable(ctx, healing.Since(in))
	if err != nil {
		return false, "", err
	}
	rows, err := s.heardSince(ctx, since, compareRows)
	if err != nil {
		return false, "", err
	}
	if len(rows) < compareLeast {
		return false, "", &healing.Later{Reason: strconv.Itoa(len(rows)) + " outcomes since the change"}
	}
	gains, losses := 0, 0
	for _, r := range rows {
		x := s.schema.Vector(r.Values)
		right, wasRight := (now.Score(x) >= .5) == r.Bad, (before.Score(x) >= .5) == r.Bad
		switch {
		case wasRight && !right:
			gains++
		case right && !wasRight:
			losses++
		}
	}
	why := fmt.Sprintf("of %d outcomes the previous version gets %d right that the champion gets wrong, and %d wrong that it gets right", len(rows), gains, losses)
	switch {
	case float64(gains-losses) > surely*math.Sqrt(float64(gains+losses)):
		return true, why, nil
	case len(rows) < compareEnough && gains > losses:
		return false, "", &healing.Later{Reason: why + ": that may be chance yet"}
	}
	return false, why, nil
}

// freshChampion is how soon after a promotion a loss of accuracy is most likely the promoted version's.
const freshChampion = time.Minute

// comparable is from when on outcomes tell champion and previous version apart: the onset, or, where the champion was put in
// charge just before, that moment. Both are asked about the same applications, whoever decided them.
func (s *system) comparable(ctx context.Context, onset time.Time) (time.Time, error) {
	history, err := s.registry.History(ctx, changesBack)
	if err != nil {
		return onset, err
	}
	for _, h := range history {
		if h.Alias == registry.Champion {
			if h.At.Before(onset) && onset.Sub(h.At) < freshChampion {
				return h.At, nil
			}
			break
		}
	}
	return onset, nil
}

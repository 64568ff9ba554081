package store

import (
	"errors"
	"math"
	"testing"
	"time"

	"aura/mlops/registry"
)

func version(n int) registry.Version {
	return registry.Version{
		Number: n, Digest: "d", SchemaDigest: "s", SchemaName: "credit", Metrics: registry.Metrics{CVAUC: .923, Brier: .1},
		Window: registry.Window{From: time.UnixMicro(1e15).UTC(), Rows: 10000}, Seed: math.MaxUint64,
		CreatedAt: time.UnixMicro(2e15).UTC(), CreatedBy: "ann", Note: "first", File: "models/v1",
	}
}

func testVersions(t *testing.T, s *Store) {
	ctx := t.Context()
	for n := 1; n <= 3; n++ {
		v, err := s.CreateVersion(ctx, version(n))
		must(t, err)
		equal(t, "row", v, version(n))
	}
	if _, err := s.CreateVersion(ctx, version(2)); !errors.Is(err, registry.ErrTaken) {
		t.Fatalf("got %v", err)
	}
	if _, err := s.Version(ctx, 9); !errors.Is(err, registry.ErrNotFound) {
		t.Fatalf("got %v", err)
	}
	vs, err := s.Versions(ctx, 2, 0)
	must(t, err)
	equal(t, "newest", vs, []registry.Version{version(3), version(2)})
	vs, err = s.Versions(ctx, 2, 2)
	must(t, err)
	equal(t, "older", vs, []registry.Version{version(1)})
}

func testAliases(t *testing.T, s *Store) {
	ctx := t.Context()
	for n := 1; n <= 2; n++ {
		_, err := s.CreateVersion(ctx, version(n))
		must(t, err)
	}
	g1, err := s.SetAliases(ctx, map[string]int{"champion": 1}, nil, "ann", "first")
	must(t, err)
	old := generations(t, s)
	equal(t, "champion", [2]int64{int64(old.Champion), old.ChampionGeneration}, [2]int64{1, g1})
	a := accept(t, s, app(t, "", "1"))[0].Application

	g2, err := s.SetAliases(ctx, map[string]int{"champion": 2, "previous": 1}, nil, "bob", "better")
	must(t, err)
	if g2 <= g1 {
		t.Fatalf("generation went from %d to %d", g1, g2)
	}
	equal(t, "made by the champion before", decide(t, s, verdict(a, old, .5))[0].Status, Stale)
	equal(t, "made by the champion", decide(t, s, verdict(a, generations(t, s), .5))[0].Status, Written)

	var refused *Refused
	_, err = s.SetAliases(ctx, map[string]int{"champion": 7, "challenger": 1}, nil, "bob", "")
	if !errors.As(err, &refused) || refused.Code != CodeUnknownVersion {
		t.Fatalf("got %v", err)
	}
	equal(t, "nothing of it", generations(t, s).ChampionGeneration, g2)
	g3, err := s.SetAliases(ctx, map[string]int{"challenger": 1, "previous": 0}, nil, "bob", "try")
	must(t, err)
	equal(t, "the champion didn't move", g3, g2)
	al, err := s.Aliases(ctx)
	must(t, err)
	equal(t, "aliases", al, map[string]int{"champion": 2, "challenger": 1})

	h, err := s.AliasHistory(ctx, 3)
	must(t, err)
	for i := range h {
		if h[i].At.IsZero() {
			t.Fatal("no time")
		}
		h[i].At = time.Time{}
	}
	equal(t, "history", h, []registry.AliasChange{
		{Alias: "previous", Version: 0, Previous: 1, Generation: g2, By: "bob", Reason: "try"},
		{Alias: "challenger", Version: 1, Previous: 0, Generation: g2, By: "bob", Reason: "try"},
		{Alias: "previous", Version: 1, Previous: 0, Generation: g2, By: "bob", Reason: "better"},
	})
}

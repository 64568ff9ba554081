// Package registrytest is the suite that every registry.Repository must pass, and a Repository in memory for tests.
//
// It is for tests only and imports mlops/registry. The suite takes a constructor of empty repositories.
package registrytest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"aura/mlops/registry"
)

// Repository runs the suite over repositories that open makes; each must be empty.
func Repository(t *testing.T, open func(t *testing.T) registry.Repository) {
	t.Run("versions are immutable and found", func(t *testing.T) { versions(t, open(t)) })
	t.Run("versions are listed newest first", func(t *testing.T) { listing(t, open(t)) })
	t.Run("aliases move together with history", func(t *testing.T) { aliases(t, open(t)) })
	t.Run("one number has one winner", func(t *testing.T) { race(t, open(t)) })
	t.Run("changes at the same time are all recorded", func(t *testing.T) { concurrentAliases(t, open(t)) })
}

// Sample returns a version with every field set.
func Sample(number int) registry.Version {
	at := time.Date(2026, 11, 23, 12, 0, 0, 123_456_000, time.UTC)
	return registry.Version{
		Number: number, Digest: fmt.Sprintf("%064x", number), SchemaName: "credit", SchemaDigest: fmt.Sprintf("%064d", 7),
		Metrics: registry.Metrics{CVAUC: 0.923, HoldoutAUC: 0.921, Brier: 0.109, Accuracy: 0.845, LogLoss: 0.34},
		Window:  registry.Window{From: at.Add(-time.Hour), To: at.Add(-time.Minute), Rows: 10_000},
		Seed:    1<<63 + 5, CreatedAt: at, CreatedBy: "tester", Note: "it's a \"note\"", File: fmt.Sprintf("models/v%06d.aura", number),
	}
}

func create(t *testing.T, repo registry.Repository, numbers ...int) {
	t.Helper()
	for _, n := range numbers {
		if _, err := repo.CreateVersion(t.Context(), Sample(n)); err != nil {
			t.Fatal(err)
		}
	}
}

func versions(t *testing.T, repo registry.Repository) {
	if _, err := repo.Version(t.Context(), 1); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("version of an empty repository: %v, want ErrNotFound", err)
	}
	want := Sample(1)
	created, err := repo.CreateVersion(t.Context(), want)
	if err != nil || !reflect.DeepEqual(created, want) {
		t.Fatalf("created %+v, %v\nwant    %+v", created, err, want)
	}
	other := Sample(1)
	other.Digest = "another"
	if _, err := repo.CreateVersion(t.Context(), other); !errors.Is(err, registry.ErrTaken) {
		t.Errorf("a second version 1: %v, want ErrTaken", err)
	}
	if got, err := repo.Version(t.Context(), 1); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, %v\nwant %+v", got, err, want)
	}
	bare := registry.Version{Number: 2, Digest: "d", SchemaName: "s", SchemaDigest: "e", File: "f", CreatedAt: want.CreatedAt}
	if _, err := repo.CreateVersion(t.Context(), bare); err != nil {
		t.Fatal(err)
	}
	if got, err := repo.Version(t.Context(), 2); err != nil || !reflect.DeepEqual(got, bare) {
		t.Errorf("read %+v, %v\nwant %+v (zero times stay zero)", got, err, bare)
	}
}

func listing(t *testing.T, repo registry.Repository) {
	create(t, repo, 1, 2, 3, 4)
	for _, c := range []struct {
		limit, before int
		want          []int
	}{{10, 0, []int{4, 3, 2, 1}}, {2, 0, []int{4, 3}}, {2, 3, []int{2, 1}}, {2, 1, nil}} {
		list, err := repo.Versions(t.Context(), c.limit, c.before)
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		for _, v := range list {
			got = append(got, v.Number)
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("limit %d before %d: %v, want %v", c.limit, c.before, got, c.want)
		}
	}
}

func aliases(t *testing.T, repo registry.Repository) {
	create(t, repo, 1, 2)
	if got, err := repo.Aliases(t.Context()); err != nil || len(got) != 0 {
		t.Fatalf("aliases of a new repository: %v, %v", got, err)
	}
	set := func(changes map[string]int, reason string) int64 {
		t.Helper()
		g, err := repo.SetAliases(t.Context(), changes, nil, "tester", reason)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	first := set(map[string]int{registry.Champion: 1, registry.Challenger: 2}, "first")
	if same := set(map[string]int{registry.Challenger: 1}, "no champion"); same != first {
		t.Errorf("the champion's generation went from %d to %d without a change of champion", first, same)
	}
	second := set(map[string]int{registry.Champion: 2, registry.Previous: 1, registry.Challenger: 0}, "second")
	if second != first+1 {
		t.Errorf("generation %d after %d", second, first)
	}
	if same := set(map[string]int{registry.Champion: 2, registry.Previous: 1}, "as it is"); same != second {
		t.Errorf("the generation went from %d to %d though nothing moved", second, same)
	}
	if _, err := repo.SetAliases(t.Context(), map[string]int{registry.Previous: 2, registry.Champion: 99}, nil, "tester", "no such version"); err == nil {
		t.Error("a champion that doesn't exist was accepted")
	}
	for _, seen := range []map[string]int{{}, {registry.Champion: 1, registry.Previous: 1}, {registry.Champion: 2, registry.Previous: 1, registry.Challenger: 1}} {
		if _, err := repo.SetAliases(t.Context(), map[string]int{registry.Champion: 1}, seen, "tester", "too late"); !errors.Is(err, registry.ErrMoved) {
			t.Errorf("a change made for %v: %v, want ErrMoved", seen, err)
		}
	}
	got, err := repo.Aliases(t.Context())
	if want := map[string]int{registry.Champion: 2, registry.Previous: 1}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("aliases %v, %v, want %v", got, err, want)
	}
	history, err := repo.AliasHistory(t.Context(), 3)
	if err != nil || len(history) != 3 {
		t.Fatalf("history %+v, %v, want the last 3 changes", history, err)
	}
	seen := make(map[string]registry.AliasChange)
	for _, h := range history {
		if h.By != "tester" || h.Reason != "second" || h.Generation != second || h.At.IsZero() || h.At.Location() != time.UTC {
			t.Errorf("change %+v", h)
		}
		seen[h.Alias] = h
	}
	if c := seen[registry.Champion]; c.Version != 2 || c.Previous != 1 {
		t.Errorf("champion's change %+v", c)
	}
	if c := seen[registry.Challenger]; c.Version != 0 || c.Previous != 1 {
		t.Errorf("challenger's removal %+v", c)
	}
	all, err := repo.AliasHistory(t.Context(), 100)
	if err != nil || len(all) != 6 || all[0].At.Before(all[5].At) {
		t.Errorf("%d changes, %v; want 6, newest first", len(all), err)
	}
}

func race(t *testing.T, repo registry.Repository) {
	const n = 8
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { _, errs[i] = repo.CreateVersion(context.WithoutCancel(t.Context()), Sample(1)) })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if !errors.Is(err, registry.ErrTaken) {
			t.Errorf("loser got %v, want ErrTaken", err)
		}
	}
	if won != 1 {
		t.Errorf("%d creators won", won)
	}
}

func concurrentAliases(t *testing.T, repo registry.Repository) {
	const n = 8
	for i := range n {
		create(t, repo, i+1)
	}
	generations := make([]int64, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			g, err := repo.SetAliases(context.WithoutCancel(t.Context()), map[string]int{registry.Champion: i + 1}, nil, "tester", "race")
			if err != nil {
				t.Error(err)
			}
			generations[i] = g
		})
	}
	wg.Wait()
	history, err := repo.AliasHistory(t.Context(), 100)
	if err != nil || len(history) != n {
		t.Fatalf("%d changes, %v, want %d", len(history), err, n)
	}
	seen := make(map[int64]bool)
	for _, g := range generations {
		if seen[g] {
			t.Errorf("generation %d was given twice", g)
		}
		seen[g] = true
	}
}

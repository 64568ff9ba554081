package app

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"aura/agents/healing"
	"aura/agents/reference"
	"aura/app/config"
	"aura/healing/detect"
	"aura/mlops/dataset"
	"aura/mlops/registry"
	"aura/mlops/schema"
	"aura/mlops/train"
	"aura/store"
)

// busy is a process with its healer and so many applications a second, whose outcomes come at once.
func busy(t *testing.T) *App {
	return healed(t, func(c *config.Config) {
		c.Simulate.Rate, c.Simulate.OutcomeDelay = 1500, 10*time.Millisecond
	})
}

// TestAcceptedReferenceGrowsWhileNothingIsSuspected: from 1,000 rows to 10,000, then never again; not from rows that came
// while something was suspected; and what it has grown to is what the next process finds.
func TestAcceptedReferenceGrowsWhileNothingIsSuspected(t *testing.T) {
	a := busy(t) // beside no other: it takes 10,000 applications
	s := a.parts.Healer.system
	ctx := t.Context()
	if _, err := s.enough(ctx, time.Time{}, acceptLeast, acceptLeast); err != nil {
		t.Fatal(err)
	}
	rows, err := s.labelled(ctx, time.Time{}, acceptLeast)
	if err != nil {
		t.Fatal(err)
	}
	const id = healing.AcceptedPrefix + "test/a1"
	if err := s.build(ctx, id, rows[len(rows)-1].AcceptedAt, "test"); err != nil {
		t.Fatal(err)
	}
	if _, err := a.parts.Store.Set(ctx, store.Change{Setting: store.SettingReference, Value: id, By: "test", Reason: "test"}); err != nil {
		t.Fatal(err)
	}
	if err := a.parts.View.Refresh(ctx); err != nil {
		t.Fatal(err)
	}
	holder := a.parts.Reference
	if r := holder.Current(); r.ID != id || r.Rows >= 2*acceptLeast || r.Until.IsZero() {
		t.Fatalf("%s has %d rows until %v", r.ID, r.Rows, r.Until)
	}
	awaitSignal(t, a, "DATA_DRIFT", "income", "WARMING")

	state, heals := detect.Warming, false
	g := &grower{
		store: a.parts.Store, holder: holder, system: s, log: slog.New(slog.DiscardHandler),
		report: func() detect.Report {
			return detect.Report{At: now(), Signals: []detect.Signal{{Kind: detect.DataDrift, Target: "income", State: state}}}
		},
		heals: func(context.Context) (bool, error) { return heals, nil },
	}
	step := func() int {
		t.Helper()
		if err := g.step(ctx, now()); err != nil {
			t.Fatal(err)
		}
		return holder.Current().Rows
	}
	state = detect.Suspect
	began := step()
	time.Sleep(time.Second) // applications come meanwhile
	if n := step(); n != began {
		t.Fatalf("it grows from %d to %d while a drift is suspected", began, n)
	}
	state = detect.Warming
	step()
	calm := g.calm
	time.Sleep(time.Second)
	if n := step(); n != began {
		t.Fatalf("it grows from %d to %d where another process heals", began, n)
	}
	if here, err := healsHere(a.parts.Store)(ctx); err != nil || !here {
		t.Errorf("this process heals: %v, %v", here, err)
	}
	heals = true
	for at := time.Now(); step() == began; time.Sleep(20 * time.Millisecond) {
		if time.Since(at) > 20*time.Second {
			t.Fatal("it doesn't grow")
		}
	}
	first, err := a.parts.Store.ApplicationsBetween(ctx, calm, holder.Current().Until.Add(time.Microsecond), acceptMost)
	if err != nil || len(first) != holder.Current().Rows-began {
		t.Errorf("%d rows joined, %d came since nothing was suspected (%v)", holder.Current().Rows-began, len(first), err)
	}
	for at := time.Now(); step() < acceptMost; time.Sleep(20 * time.Millisecond) {
		if time.Since(at) > 3*time.Minute {
			t.Fatalf("it has grown to %d only", holder.Current().Rows)
		}
	}
	awaitSignal(t, a, "DATA_DRIFT", "income", "HEALTHY")
	time.Sleep(time.Second)
	if n := step(); n != acceptMost {
		t.Errorf("it has %d rows after it was frozen", n)
	}

	// The next process finds what it has grown to.
	next := reference.New(loadReference(a.parts.Store), a.parts.View, slog.New(slog.DiscardHandler))
	next.Follow(ctx)
	r := next.Current()
	if r == nil || r.Rows != acceptMost || r.Features[0].Present() != acceptMost {
		t.Fatalf("the next process has %+v", r)
	}
	if c := r.Scores[a.parts.View.Current().Champion]; c == nil || c.Present() != acceptMost {
		t.Errorf("scores %+v", c)
	}
	report, err := a.parts.Store.VerifyAudit(ctx)
	if err != nil || report.Broken != 0 {
		t.Errorf("audit: %+v, %v", report, err)
	}
}

// TestACandidateIsRegisteredOnce: a process that ended after it had registered an action's candidate, with its reference or
// before that, finds it again.
func TestACandidateIsRegisteredOnce(t *testing.T) {
	a := busy(t)
	s := a.parts.Healer.system
	ctx := t.Context()
	if _, err := s.enough(ctx, time.Time{}, 300, 300); err != nil {
		t.Fatal(err)
	}
	rows, err := s.labelled(ctx, time.Time{}, 300)
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(rows)
	made, err := train.Fit(ctx, schema.Builtin(), dataset.Synthetic(1000, 3), train.Options{Trees: 5, Seed: 3, From: rows[0].AcceptedAt, To: rows[200].AcceptedAt})
	if err != nil {
		t.Fatal(err)
	}
	training := healing.Training{ActionID: "INC-1/a7", IncidentID: "INC-1", Since: rows[0].AcceptedAt, Cut: now()}
	v, err := a.parts.Registry.Register(ctx, made.Model, registry.Note{By: healing.Name, Text: candidateNote(training.ActionID) + "better"})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		got, err := s.Retrain(ctx, training)
		if err != nil || got.Outcome != outcomePromote || got.Params["version"] != "2" || got.Params["digest"] != v.Digest || got.Reason != "better" {
			t.Fatalf("%+v, %v", got, err)
		}
	}
	r, err := loadReference(a.parts.Store)(ctx, reference.OfModel(v.Number))
	if err != nil || r.Scores[v.Number] == nil || r.Scores[v.Number].Present() >= int64(r.Rows) {
		t.Errorf("the candidate's reference: %v, %v", r, err)
	}
	if all, err := a.parts.Registry.Versions(ctx, 10, 0); err != nil || len(all) != 2 {
		t.Errorf("%d versions, %v", len(all), err)
	}
	// What somebody else writes into a note makes no candidate of it.
	training.ActionID = "INC-1/a8"
	if _, err := a.parts.Registry.Register(ctx, made.Model, registry.Note{By: "local", Text: candidateNote(training.ActionID)}); err != nil {
		t.Fatal(err)
	}
	if got, err := s.registered(ctx, training); err != nil || got.Outcome != "" {
		t.Errorf("%+v, %v", got, err)
	}
}

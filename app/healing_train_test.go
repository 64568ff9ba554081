package app

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aura/agents/healing"
	"aura/healing/incident"
	"aura/mlops/gate"
	"aura/mlops/registry"
	"aura/mlops/schema"
	"aura/store"
)

// training runs a retraining for which no outcome ever comes in, for as long as ctx lives.
func training(t *testing.T, kind string, stop func(ctx context.Context) (context.Context, context.CancelFunc)) (told []string, err error) {
	synctest.Test(t, func(t *testing.T) {
		st, e := store.Open(t.Context(), store.Options{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
		if e != nil {
			t.Fatal(e)
		}
		defer st.Close(context.Background()) //nolint:errcheck // nothing was written
		s := &system{store: st, schema: schema.Builtin(), registry: registry.New(st, t.TempDir(), schema.Builtin(), slog.New(slog.DiscardHandler)), log: slog.New(slog.DiscardHandler)}
		ctx, cancel := stop(t.Context())
		defer cancel()
		_, err = s.Retrain(ctx, healing.Training{
			ActionID: "INC-1/a1", IncidentID: "INC-1", Kind: kind, Since: time.Date(2026, 11, 29, 5, 22, 34, 0, time.UTC),
			Tell: func(progress string) { told = append(told, progress) },
		})
	})
	return told, err
}

// TestATrainingWithoutOutcomes ends in words that say what a person can do; one that is called off says nothing.
func TestATrainingWithoutOutcomes(t *testing.T) {
	late := func(ctx context.Context) (context.Context, context.CancelFunc) {
		return context.WithTimeout(ctx, 5*time.Minute)
	}
	told, err := training(t, incident.DataDrift, late)
	var refused *healing.Refused
	if !errors.As(err, &refused) {
		t.Fatal(err)
	}
	for _, part := range []string{"only 0 of 500 outcomes of applications since 05:22:34 UTC came in within 4m59s", "/api/v1/feedback", "aura incident retry INC-1", "sorted"} {
		if !strings.Contains(refused.Reason, part) {
			t.Errorf("no %q in %q", part, refused.Reason)
		}
	}
	if strings.Contains(refused.Reason, "context") {
		t.Errorf("%q", refused.Reason)
	}
	if len(told) != 1 || !strings.Contains(told[0], "0 outcomes of applications since 05:22:34 UTC are here; it waits for 500") {
		t.Errorf("told %q", told)
	}
	if _, err = training(t, incident.PerfDrop, late); !errors.As(err, &refused) || strings.Contains(refused.Reason, "sorted") {
		t.Errorf("%v", err)
	}
	_, err = training(t, incident.PerfDrop, func(ctx context.Context) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancel(ctx)
		time.AfterFunc(time.Minute, cancel)
		return ctx, cancel
	})
	if !errors.Is(err, context.Canceled) || errors.As(err, &refused) {
		t.Errorf("called off: %v", err)
	}
}

// TestProgressIsToldInWords: what it waits for, and which check fails with its figures; a new key only with another verdict.
func TestProgressIsToldInWords(t *testing.T) {
	out := func(low float64) *gate.Outcome {
		return &gate.Outcome{
			Best: "window", Verdict: gate.Verdict{Code: gate.Undecided, Reason: "accuracy 0.610 is below the floor"},
			Scores: []gate.Score{{Name: "old+window", Checks: []gate.Check{{Name: "another's"}}}, {Name: "window", Checks: []gate.Check{
				{Name: "AUC gain, lower bound", Value: low, Limit: -0.01}, {Name: "PSI", Info: "outweighed"}, {Name: "nodes", OK: true},
			}}},
		}
	}
	key, text := progress(out(-0.011), 1200)
	for _, part := range []string{"1200 outcomes", "accuracy 0.610 is below the floor", "window, which fails at AUC gain, lower bound (-0.011, limit -0.010)"} {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in %q", part, text)
		}
	}
	if strings.Contains(text, "PSI") || strings.Contains(text, "another's") || strings.Contains(text, "nodes") {
		t.Errorf("%q", text)
	}
	if again, _ := progress(out(-0.02), 1500); again != key {
		t.Errorf("%q, then %q for the same verdict", key, again)
	}
	for _, code := range []gate.Code{gate.TooFew, gate.Promote} {
		o := out(0)
		o.Verdict = gate.Verdict{Code: code, Reason: "700 labelled rows, 12 of the rarer outcome"}
		if other, text := progress(o, 700); other == key || !strings.Contains(text, "700") {
			t.Errorf("%s: %q %q", code, other, text)
		}
	}
}

// TestWhatMoreOutcomesMaySettle: that outcomes are wrong is found on many of them, or twice on few; what can't be told is waited for.
func TestWhatMoreOutcomesMaySettle(t *testing.T) {
	better := &registry.Model{}
	better.Metrics.Accuracy = 0.85
	for _, c := range []struct {
		name               string
		kind               string
		verdict            gate.Verdict
		rows, contradicted int
		waited             time.Duration
		want               bool
	}{
		{"too few", incident.PerfDrop, gate.Verdict{Code: gate.TooFew}, 500, 0, time.Hour, true},
		{"undecided", incident.PerfDrop, gate.Verdict{Code: gate.Undecided}, 5000, 0, time.Hour, true},
		{"kept", incident.PerfDrop, gate.Verdict{Code: gate.Kept}, 1000, 0, 0, false},
		{"a broken feed", incident.DataDrift, gate.Verdict{Code: gate.BrokenFeed}, 500, 0, 0, false},
		{"few look wrong", incident.PerfDrop, gate.Verdict{Code: gate.Labels, NeedRows: 1000}, 500, 1, 0, true},
		{"they look wrong again", incident.PerfDrop, gate.Verdict{Code: gate.Labels, NeedRows: 1000}, 625, 2, 4 * time.Second, false},
		{"many are wrong", incident.PerfDrop, gate.Verdict{Code: gate.Labels}, 1000, 1, 0, false},
		{"the first that is better", incident.PerfDrop, gate.Verdict{Code: gate.Promote}, 700, 0, 0, true},
		{"it was waited for", incident.PerfDrop, gate.Verdict{Code: gate.Promote}, 700, 0, trainPatience, false},
		{"a drift can wait", incident.DataDrift, gate.Verdict{Code: gate.Promote}, 700, 0, time.Hour, true},
		{"of many", incident.DataDrift, gate.Verdict{Code: gate.Promote}, trainComfortable, 0, 0, false},
	} {
		out := &gate.Outcome{Verdict: c.verdict, Candidate: better, Floor: 0.8}
		if got := mayGain(c.kind, out, c.rows, c.contradicted, c.waited); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

package app

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aura/agents/fault"
	"aura/app/cli"
	"aura/app/config"
	"aura/app/drill"
	"aura/healing/incident"
	"aura/mlops/registry/mlflow/mlflowtest"
	"aura/web/api"
)

var updateGolden = flag.Bool("update", false, "write the golden files anew")

// demonstrate runs `aura demo` inside the test, with a small model, and returns what it prints.
func demonstrate(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	var stdout, stderr bytes.Buffer
	args = append(append([]string{"demo"}, args...), "--set", "training.rows=2000", "--set", "training.trees=20")
	code = cli.Main(t.Context(), args, strings.NewReader(""), &stdout, &stderr, cli.Commands{Demo: Demo})
	left, err := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	return code, stdout.String(), stderr.String()
}

// TestACrashHealsForReal is the whole command on the shortest drill.
func TestACrashHealsForReal(t *testing.T) {
	t.Setenv("AURA_TOKEN", "hush-hush-hush-hush")
	f := mlflowtest.NewFake(t)
	code, out, errs := demonstrate(t, "agent-down", "-o", "json", "--mlflow", f.URL)
	var r struct {
		Stack  string
		MLflow struct {
			Equal    bool
			Versions int
		}
		Configuration struct{ Items []config.Value }
		Seed          uint64
		Drill         string
		Outcome       string
		Timeline      []struct {
			Step  string
			At    time.Time
			Since float64 `json:"since_onset_s"`
		}
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 {
		t.Fatalf("exit %d, %v: %s%s", code, err, out, errs)
	}
	if r.Seed != 1 || r.Drill != "agent-down" || r.Outcome != drill.Healed || len(r.Configuration.Items) != len(config.Keys()) || strings.Contains(out+errs, "hush") {
		t.Errorf("%s", out)
	}
	if left := f.Left(); r.Stack != "memory, SQLite, MLflow" || !r.MLflow.Equal || r.MLflow.Versions != 1 || f.Runs()["FINISHED"] != 1 || len(left) != 0 {
		t.Errorf("on %s; MLflow: %+v, runs %v, left %v", r.Stack, r.MLflow, f.Runs(), left)
	}
	seen := map[string]bool{}
	for i, s := range r.Timeline {
		seen[s.Step] = true
		if i > 0 && (s.At.Before(r.Timeline[i-1].At) || s.Since < r.Timeline[i-1].Since) || s.At.IsZero() {
			t.Errorf("step %d, %s, goes back in time", i, s.Step)
		}
	}
	for _, want := range []string{"onset", "suspected", "detected", "proposed", "approved", "executed", "verified", "learned", "fault ended"} {
		if !seen[want] {
			t.Errorf("no step %s in %v", want, seen)
		}
	}
}

// TestWhatADemoDoesNotCallHealed: governance denies, or nobody heals.
func TestWhatADemoDoesNotCallHealed(t *testing.T) {
	f := mlflowtest.NewFake(t)
	t.Setenv("AURA_MLFLOW", f.URL) // a server's: no drill goes there
	defer func() {
		if n := f.Calls(); n > 0 {
			t.Errorf("%d calls of a server's MLflow", n)
		}
	}()
	for set, want := range map[string]string{
		"governance.profile=off": "RESTART_AGENT was denied by off",
		"healing.enabled=false":  "healing is OFF",
		"healing.dry_run=true":   "dry run",
	} {
		code, out, errs := demonstrate(t, "agent-down", "--set", set)
		if code != cli.ExitMissed || !strings.Contains(errs, want) || !strings.Contains(out, "fault ended") {
			t.Errorf("%s: exit %d: %s%s", set, code, out, errs)
		}
	}
	if code, _, errs := demonstrate(t, "agent-down", "--set", "faults.enabled=false"); code != config.ExitCode || !strings.Contains(errs, "faults.enabled") {
		t.Errorf("exit %d: %s", code, errs)
	}
}

// TestAPausedDrillIsNotHealed: somebody pauses healing before the fault comes.
func TestAPausedDrillIsNotHealed(t *testing.T) {
	t.Parallel()
	a := healed(t, nil)
	b := &healingBackend{store: a.parts.Store, view: a.parts.View, heals: true, announce: func(context.Context, string, int64) {}}
	if _, err := b.Pause(t.Context(), api.Change{By: "somebody", Reason: "maintenance"}); err != nil {
		t.Fatal(err)
	}
	out, err := (&drill.Runner{System: newDrillSystem(a.parts, a.cfg)}).Run(t.Context(), drill.Crash(fault.Model))
	if err != nil || out.Healed || !strings.Contains(out.Reason, "somebody paused it: maintenance") {
		t.Errorf("%v, healed %v: %s", err, out.Healed, out.Reason)
	}
	if n := len(a.parts.Faults.List()); n > 0 {
		t.Errorf("%d faults are left", n)
	}
}

// TestDemoJSON holds the shape of the document: a single run, and several.
func TestDemoJSON(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ms, right := 2.5, .91
	phase := drill.Phase{
		Name: drill.PhaseHealed, From: at, To: at.Add(time.Second), Mode: "SAFE_MODE", Champion: 1, Signal: drill.Signal{State: "HEALTHY", Value: 3, Threshold: 300, N: 50},
		Figures: drill.Figures{Accepted: 50, Decided: 50, MedianMS: &ms, SafeMode: 1, Outcomes: 20, Accuracy: &right},
	}
	run := func(seed uint64, verified float64) demoRun {
		return demoRun{Seed: seed, Result: drill.Result{
			Drill: drill.NameLatency, Outcome: drill.Healed, Healed: true, IncidentID: "INC", Kind: incident.LatencySLOBreach, Target: "service", HealWithin: 60,
			FirstEffective: incident.EnableSafeMode,
			Faults:         []drill.Injected{{Kind: "latency", Target: "model", Delay: "2s", Share: 1, At: at, EndedAt: at.Add(time.Minute)}},
			Timeline:       []drill.Step{{Name: "onset", At: at, Text: "2s into the model agent"}, {Name: "executed", At: at, SinceOnset: 1, Took: 1, IncidentID: "INC", Action: "ENABLE_SAFE_MODE"}},
			Durations:      map[string]float64{"detected": 1, "verified": verified}, Phases: []drill.Phase{phase},
			Gate:   &drill.Gate{Outcome: "keep", Reason: "as good", Numbers: map[string]float64{"champion_auc": .9}},
			Rival:  &drill.Rival{Rows: 5000, Champion: .9, Trained: .91, ChampionAccuracy: .83, TrainedAccuracy: .84, Limit: .02},
			Others: []drill.Other{{IncidentID: "INC-2", Kind: incident.PerfDrop, Target: "model", State: "RESOLVED", Actions: []string{"ROLLBACK_MODEL"}}},
		}}
	}
	list := []drill.Drill{drill.Latency(time.Second, 1)}
	for name, runs := range map[string][]demoRun{"demo-one": {run(1, 4)}, "demo-seeds": {run(2, 6), run(1, 4)}} {
		r := &demoReport{Machine: "m", Stack: "memory, SQLite", Seed: 1, Configuration: demoConfig{Items: []config.Value{{Key: "seed", Any: 1, Origin: "default"}}}, Runs: runs}
		r.summarize(list, config.Default())
		got, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name+".json", string(got)+"\n")
		var table bytes.Buffer
		if err := r.WriteTable(&table); err != nil {
			t.Fatal(err)
		}
		golden(t, name+".txt", table.String())
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *updateGolden {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s changed; see how with go test ./app -run DemoJSON -update:\n%s", file, got)
	}
}

// TestOneUnhealedDrillIsEnough: the exit code of many.
func TestOneUnhealedDrillIsEnough(t *testing.T) {
	r := &demoReport{Runs: []demoRun{{Seed: 1, Result: drill.Result{Healed: true}}, {Seed: 2, Result: drill.Result{Drill: "hang", Reason: "late"}}}}
	err := r.verdict()
	if n, ok := err.(*NotHealed); !ok || n.ExitCode() != cli.ExitMissed || !strings.Contains(n.Error(), "1 of 2") || !strings.Contains(n.Error(), "hang, seed 2: late") {
		t.Errorf("%v", err)
	}
	if r.Runs = r.Runs[:1]; r.verdict() != nil {
		t.Error("a healed drill is an error")
	}
}

// TestDrillsAreChangedByFlags: sizes and targets reach the fault.
func TestDrillsAreChangedByFlags(t *testing.T) {
	mean := 40_000.0
	list, err := drillsOf(cli.DemoRequest{
		Drills: drill.Names, Change: cli.DemoChange{Target: "decision", Delay: 400 * time.Millisecond, Share: .5, Feature: "income", Mean: &mean},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range list {
		f := d.Faults[0]
		switch d.Name {
		case drill.NameLatency:
			if f.Delay != 400*time.Millisecond || f.Share != .5 || f.Target != "model" {
				t.Errorf("%+v", f)
			}
		case drill.NameDrift:
			if f.Feature != "income" || *f.Mean != mean || d.Watch != "income" {
				t.Errorf("%+v", f)
			}
		case drill.NameAgentDown, drill.NameHang:
			if f.Target != "decision" || d.Target != "decision" || f.Times != 1 {
				t.Errorf("%+v", f)
			}
		}
	}
}

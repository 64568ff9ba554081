package cli

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"runtime/debug"
	"strings"
	"testing"

	"aura/app/config"
)

func contextCancelled(t *testing.T) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx, cancel
}

func TestTrain(t *testing.T) {
	var got TrainRequest
	var loaded config.Loaded
	commands := Commands{Train: func(_ context.Context, c config.Loaded, r TrainRequest) (TrainResult, error) {
		got, loaded = r, c
		r.Progress(100, 100)
		return TrainResult{Version: 2, CVAUC: .923, HoldoutAUC: .92, Brier: .1, Rows: 10_000, Seed: 5, Digest: "abc"}, nil
	}}
	args := []string{"train", "--schema", "s.yaml", "--data", "f.csv", "--seed", "5", "--trees", "10", "--depth", "4", "--dir", "/models"}
	o := try(t, commands, nil, append(args, "-o", "json")...)
	var result map[string]any
	if err := json.Unmarshal([]byte(o.out), &result); err != nil || o.code != 0 {
		t.Fatalf("exit %d, %v: %s%s", o.code, err, o.out, o.err)
	}
	for key, want := range map[string]any{"cv_auc": .923, "holdout_auc": .92, "brier": .1, "rows": 10_000., "seed": 5., "digest": "abc", "version": 2.} {
		if result[key] != want {
			t.Errorf("%s is %v, want %v", key, result[key], want)
		}
	}
	c := loaded.Config
	if got.File != "f.csv" || c.Schema.File != "s.yaml" || c.Seed != 5 || c.Training.Trees != 10 || c.Training.Depth != 4 || c.Data.Dir != "/models" {
		t.Errorf("%+v %+v", got.File, c)
	}
	if !strings.Contains(o.err, "training: 100 of 100") {
		t.Errorf("no progress: %q", o.err)
	}
	if o := try(t, commands, nil, args...); o.code != 0 || !strings.Contains(o.out, "0.9230") {
		t.Errorf("exit %d: %s", o.code, o.out)
	}
}

type report struct {
	Decisions int `json:"decisions"`
}

func (r report) WriteTable(w io.Writer) error {
	_, err := io.WriteString(w, "decisions 7\n")
	return err
}

func TestBench(t *testing.T) {
	var got BenchRequest
	missed := error(nil)
	commands := Commands{Bench: func(_ context.Context, _ config.Loaded, r BenchRequest) (Report, error) {
		got = r
		return report{7}, missed
	}}
	if o := try(t, commands, nil, "bench", "--clients", "3", "--duration", "2s", "--rate", "50", "--http", "--keep"); o.code != 0 || o.out != "decisions 7\n" {
		t.Errorf("exit %d: %q %s", o.code, o.out, o.err)
	}
	if got.Clients != 3 || got.Duration.Seconds() != 2 || got.Rate != 50 || !got.HTTP || !got.Keep {
		t.Errorf("%+v", got)
	}
	missed = Exit(ExitMissed, errors.New("3 decisions are missing"), "look at the log")
	o := try(t, commands, nil, "bench", "-o", "json")
	if o.code != 99 || !json.Valid([]byte(o.out)) || !strings.Contains(o.err, "missing") {
		t.Errorf("a report with a missed target: exit %d: %q %s", o.code, o.out, o.err)
	}
	commands.Bench = func(context.Context, config.Loaded, BenchRequest) (Report, error) { return nil, errors.New("no disk") }
	if o := try(t, commands, nil, "bench"); o.code != 1 || o.out != "" {
		t.Errorf("no report: exit %d: %q", o.code, o.out)
	}
}

func TestBuild(t *testing.T) {
	b := buildOf(&debug.BuildInfo{
		GoVersion: "go1.26.8", Main: debug.Module{Version: "(devel)"},
		Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.modified", Value: "true"}, {Key: "GOOS", Value: "linux"}, {Key: "GOARCH", Value: "arm64"}},
	})
	if got, want := b.String(), "aura devel commit 0123456789ab (modified) go1.26.8 linux/arm64"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if o := try(t, Commands{}, nil, "version", "-o", "json"); o.code != 0 || !json.Valid([]byte(o.out)) {
		t.Errorf("exit %d: %q", o.code, o.out)
	}
}

package app_test

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"aura/app"
	"aura/app/cli"
	"aura/app/config"
	"aura/mlops/dataset"
	"aura/mlops/schema"
	"aura/mlops/train"
)

// TestAModelFromElsewhere: an imported model is judged by the gate and never takes charge by itself; versions are exported.
func TestAModelFromElsewhere(t *testing.T) {
	t.Parallel()
	cfg := settings(t.TempDir())
	cfg.Seed, cfg.Training.Rows, cfg.Training.Trees, cfg.Training.Depth = 1, 3000, 3, 3
	loaded := config.Loaded{Config: cfg}
	if _, err := app.Train(t.Context(), loaded, cli.TrainRequest{Streams: cli.Streams{Err: io.Discard}}); err != nil {
		t.Fatal(err)
	}
	weak, err := app.ExportModel(t.Context(), cfg, 0)
	if err != nil {
		t.Fatal(err)
	}
	better, err := train.Fit(t.Context(), schema.Builtin(), dataset.Synthetic(5000, 5), train.Options{Trees: 40})
	if err != nil {
		t.Fatal(err)
	}
	file, err := better.Model.ONNX()
	if err != nil {
		t.Fatal(err)
	}
	request := func(content []byte, rows string) cli.ImportRequest {
		return cli.ImportRequest{Name: "forest.onnx", Content: content, Note: "of a friend", Rows: rows, Streams: cli.Streams{Err: io.Discard}}
	}
	for _, c := range []struct {
		name       string
		content    []byte
		version    int
		challenger bool
	}{
		{"a better model", file, 2, true},
		{"the champion itself", weak.Content, 3, false},
	} {
		got, err := app.ImportModel(t.Context(), loaded, request(c.content, ""))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got.Version != c.version || got.Challenger != c.challenger || got.Champion != 1 || got.Verdict == "" || got.Rows != 3000 || got.HoldoutAUC < 0.7 || len(got.Checks) == 0 {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
	for version, want := range map[int][]byte{0: weak.Content, 1: weak.Content, 2: file} {
		got, err := app.ExportModel(t.Context(), cfg, version)
		if err != nil || !bytes.Equal(got.Content, want) {
			t.Errorf("version %d (0 is the champion) is exported as version %d, %d bytes, want %d: %v", version, got.Version, len(got.Content), len(want), err)
		}
	}
	code := func(err error) int {
		var coded interface{ ExitCode() int }
		if !errors.As(err, &coded) {
			t.Fatalf("error %v has no exit code", err)
		}
		return coded.ExitCode()
	}
	if _, err := app.ExportModel(t.Context(), cfg, 9); code(err) != cli.ExitPrecondition {
		t.Errorf("a version that isn't there: %v", err)
	}
	if _, err := app.ImportModel(t.Context(), loaded, request([]byte("no model"), "")); code(err) != cli.ExitUsage {
		t.Errorf("no model: %v", err)
	}
	if _, err := app.ImportModel(t.Context(), loaded, request(file, "missing.csv")); code(err) != config.ExitCode || !strings.Contains(err.Error(), "--rows") {
		t.Errorf("rows that aren't there: %v", err)
	}
	cfg.Data.Dir = filepath.Join(cfg.Data.Dir, "empty")
	if _, err := app.ExportModel(t.Context(), cfg, 0); code(err) != cli.ExitPrecondition {
		t.Errorf("a directory without a store: %v", err)
	}
}

package app_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aura/app"
	"aura/app/cli"
	"aura/app/config"
	"aura/mlops/dataset"
	"aura/mlops/schema"
	"aura/mlops/train"
	"aura/web/api"
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
		return cli.ImportRequest{
			ModelImport: api.ModelImport{Name: "forest.onnx", Content: content, Note: "of a friend", By: "ann"}, Rows: rows, Streams: cli.Streams{Err: io.Discard},
		}
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
		got, err := app.ImportModel(t.Context(), cfg, request(c.content, ""))
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
	if _, err := app.ImportModel(t.Context(), cfg, request([]byte("no model"), "")); code(err) != cli.ExitUsage {
		t.Errorf("no model: %v", err)
	}
	if _, err := app.ImportModel(t.Context(), cfg, request(file, "missing.csv")); code(err) != config.ExitCode || !strings.Contains(err.Error(), "--rows") {
		t.Errorf("rows that aren't there: %v", err)
	}
	cfg.Data.Dir = filepath.Join(cfg.Data.Dir, "empty")
	if _, err := app.ExportModel(t.Context(), cfg, 0); code(err) != cli.ExitPrecondition {
		t.Errorf("a directory without a store: %v", err)
	}
}

// TestImportBesideTheServer: the running server judges a model by the outcomes that it has, and goes on deciding with its champion.
func TestImportBesideTheServer(t *testing.T) {
	t.Parallel()
	better, err := train.Fit(t.Context(), schema.Builtin(), dataset.Synthetic(2000, 5), train.Options{Trees: 20})
	if err != nil {
		t.Fatal(err)
	}
	file, err := better.Model.ONNX()
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, func(c *config.Config) { c.Simulate.Rate, c.Simulate.OutcomeDelay = 300, 0 })
	before := r.champion()
	until(t, time.Minute, "outcomes", func() string {
		if n := r.count("SELECT COUNT(*) FROM feedback WHERE kind = 'joined'"); n < 600 {
			return fmt.Sprint(n)
		}
		return ""
	})
	if bad, err := r.post("models/import", "no model", "Content-Type", "application/octet-stream"); err != nil || bad.Status != http.StatusUnprocessableEntity || len(bad.Problem.Errors) != 1 {
		t.Errorf("no model: %+v, %v", bad, err)
	}
	got, err := r.post("models/import?name=gbm.onnx", string(file), "Content-Type", "application/octet-stream")
	var result api.Imported
	if err == nil {
		err = json.Unmarshal([]byte(got.Body), &result)
	}
	if err != nil || got.Status != http.StatusOK || result.Version != 3 || result.Champion != before || result.Verdict == "" || result.Rows < 600 || result.Trees != 20 {
		t.Fatalf("%s, %v", got.Body, err)
	}
	if r.champion() != before {
		t.Error("it took charge by itself")
	}
	r.must(http.StatusOK, http.MethodPost, "models/3/promote", map[string]string{"reason": "a person wants it"}, nil)
	if missing := r.decides("imported", "MODEL"); missing != "" {
		t.Error(missing)
	}
	if n := r.count("SELECT COUNT(*) FROM decisions WHERE model_version = 3"); n == 0 {
		t.Error("it decides nothing")
	}
}

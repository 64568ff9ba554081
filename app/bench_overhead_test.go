package app_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"aura/app"
	"aura/app/config"
)

// TestOverheadIsMeasuredOnALiveLoop: what is called the cost of monitoring is that of one which saw every value and finds
// a fault.
func TestOverheadIsMeasuredOnALiveLoop(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0], "bench", "--healing-overhead", "--rounds", "2", "--duration", "200ms", "--rate", "300", "--clients", "16", "-o", "json",
		"--set", "training.rows=2000", "--set", "training.trees=20")
	cmd.Env = append(os.Environ(), asProgram+"=1")
	words := &strings.Builder{}
	cmd.Stderr = words
	raw, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, words)
	}
	var o struct {
		Watched   int64     `json:"decisions_watched"`
		Samples   int64     `json:"samples_seen"`
		Detected  float64   `json:"fault_detected_s"`
		Mitigated float64   `json:"fault_mitigated_s"`
		OnUS      []float64 `json:"on_us"`
		OffUS     []float64 `json:"off_us"`
	}
	if err := json.Unmarshal(raw, &o); err != nil {
		t.Fatalf("%v\n%s", err, raw)
	}
	if o.Watched < 100 || o.Samples != o.Watched*5 || len(o.OnUS) != 2 || len(o.OffUS) != 2 || o.Detected <= 0 || o.Mitigated < o.Detected {
		t.Errorf("%+v", o)
	}
}

// TestNobodyCountsUnwatched: without a monitoring agent the counts have no reader, and nothing is counted.
func TestNobodyCountsUnwatched(t *testing.T) {
	cfg := config.Default()
	if !app.Watched(cfg) {
		t.Error("everything runs and nothing is counted")
	}
	cfg.Agents.Select = []string{"ingestion", "feature", "model", "decision", "web"}
	if app.Watched(cfg) {
		t.Error("no monitoring agent runs and everything is counted")
	}
}

package app

import (
	"io"
	"testing"
	"time"

	"aura/app/cli"
	"aura/app/config"
)

// TestOverheadIsMeasuredOnALiveLoop: what is called the cost of monitoring is that of one which saw every value and finds
// a fault; without its agents nothing is counted at all.
func TestOverheadIsMeasuredOnALiveLoop(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	cfg.Data.Dir, cfg.HTTP.Addr = t.TempDir(), "127.0.0.1:0"
	cfg.Simulate.Rate, cfg.Training.Rows, cfg.Training.Trees = 0, 2000, 20
	report, err := benchOverhead(t.Context(), cfg, cli.BenchRequest{
		Rounds: 2, Duration: 200 * time.Millisecond, Rate: 300, Clients: 16, Streams: cli.Streams{Out: io.Discard, Err: io.Discard},
	})
	if err != nil {
		t.Fatal(err)
	}
	o := report.(*overheadReport)
	if o.Watched < 100 || o.Samples != o.Watched*5 || len(o.On) != 2 || len(o.Off) != 2 || o.Mitigated < o.Detected {
		t.Errorf("%+v", o)
	}
}

// TestNobodyCountsUnwatched: without a monitoring agent the counts have no reader.
func TestNobodyCountsUnwatched(t *testing.T) {
	cfg := config.Default()
	if !watched(cfg) {
		t.Error("everything runs and nothing is counted")
	}
	cfg.Agents.Select = append(append([]string{}, pipeline...), webName)
	if watched(cfg) {
		t.Error("no monitoring agent runs and everything is counted")
	}
}

package config

import (
	"slices"
	"testing"
	"time"

	"aura/healing/detect"
)

// TestDetect: what nobody sets is what detect ships, and what is set arrives; the threshold follows from what is allowed.
func TestDetect(t *testing.T) {
	c := Default()
	got, err := c.Detect()
	if err != nil {
		t.Fatal(err)
	}
	want := detect.DefaultConfig()
	got.Agent.Expect, want.Agent.Expect = slices.Clip(got.Agent.Expect), slices.Clip(want.Agent.Expect)
	if got.Budget != want.Budget || got.Perf != want.Perf || got.Drift != want.Drift || got.Latency != want.Latency || got.Agent.Missing != want.Agent.Missing {
		t.Errorf("the defaults are %+v, detect's %+v", got, want)
	}
	c.Monitoring.FalseAlarmsMonth, c.Monitoring.AccuracyFloor, c.Monitoring.HeartbeatMissing = 1, 0.7, 400*time.Millisecond
	looser, err := c.Detect()
	if err != nil || looser.Perf.Floor != 0.7 || looser.Agent.Missing != 400*time.Millisecond || looser.Agent.Suspect > looser.Agent.Missing {
		t.Errorf("%+v, %v", looser, err)
	}
	before, _ := got.Budget.Threshold(20)
	after, err := looser.Budget.Threshold(20)
	if err != nil || after >= before {
		t.Errorf("threshold %g with one false alarm a month, %g with a hundredth (%v)", after, before, err)
	}
}

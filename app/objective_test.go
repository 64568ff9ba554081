package app

import (
	"testing"
	"time"

	"aura/agents/fault"
	"aura/app/config"
	"aura/web/api"
)

// TestAnOutageIsSeenInTheObjective while it lasts: what is late and undecided is not in time, and is counted once whatever
// becomes of it.
func TestAnOutageIsSeenInTheObjective(t *testing.T) {
	virtually(t, func(c *config.Config) { c.Governance.Profile = "off" }, func(w *world) {
		read := func() api.SLO {
			w.t.Helper()
			slo, err := w.parts.Objective.over(w.t.Context(), time.Time{})
			if err != nil {
				w.t.Fatal(err)
			}
			if most := w.parts.Telemetry.nAccepted.Load(); slo.N > most {
				w.t.Fatalf("%d are counted, %d were accepted", slo.N, most)
			}
			return slo
		}
		time.Sleep(2 * time.Second)
		if slo := read(); slo.Undecided != 0 || slo.Count != slo.N || slo.N < 50 {
			w.t.Errorf("before: %+v", slo)
		}
		made := w.inject(fault.Fault{Target: "decision", Kind: fault.Latency, Delay: 20 * time.Second, Share: 1, TTL: time.Minute})
		time.Sleep(10 * time.Second)
		during := read()
		if during.Undecided < 400 || during.N-during.Count < during.Undecided || *during.Share.Share > .5 {
			w.t.Errorf("during: %+v, share %.2f", during, *during.Share.Share)
		}
		if err := w.parts.Faults.Remove(made.ID); err != nil {
			w.t.Fatal(err)
		}
		for range 200 {
			read()
			time.Sleep(time.Millisecond)
		}
		if !w.waitFor(10*time.Second, func() bool { return w.parts.Window.Undecided() < 5 }) {
			w.t.Fatal("the backlog stays")
		}
		after := read()
		if after.Undecided != 0 || after.N < during.N || after.N-after.Count < during.N-during.Count {
			w.t.Errorf("after: %+v; during: %+v", after, during)
		}
	})
}

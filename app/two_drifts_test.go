package app

import (
	"testing"
	"time"

	"aura/agents/fault"
	"aura/healing/incident"
)

// TestTwoDrifts: a second feature drifts while rows for the first one's new reference come in. Each is healed by its own
// incident, nothing is undone, and nobody is called.
func TestTwoDrifts(t *testing.T) {
	t.Parallel()
	virtually(t, nil, func(w *world) {
		drifts := func(c fault.Change) {
			w.inject(fault.Fault{Target: fault.Source, Kind: fault.Drift, Share: 1, TTL: 10 * time.Minute, Change: c})
		}
		mean := 560.0
		time.Sleep(15 * time.Second)
		drifts(fault.Change{Feature: "credit_score", Mean: &mean})
		time.Sleep(15 * time.Second)
		drifts(fault.Change{Feature: "income", Scale: 0.55})
		healed := func() bool {
			n := 0
			for _, in := range w.incidents() {
				if in.State == incident.Resolved && last(in, incident.AcceptReference).Result == incident.Verified {
					n++
				}
			}
			return n == 2
		}
		if !w.waitFor(2*time.Minute, healed) || len(w.incidents()) != 2 || len(called(w.incidents())) > 0 {
			w.t.Errorf("not healed, each for itself:\n%s", story(w.incidents(), w.begun))
		}
	}, inBursts())
}

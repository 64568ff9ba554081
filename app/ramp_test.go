package app

import (
	"testing"
	"time"

	"aura/agents/fault"
	"aura/healing/incident"
)

// TestAPopulationThatGoesOnMovingIsHealed: who applies changes step by step for a minute, and a drift is confirmed on the way. The
// reference that is made then doesn't fit what comes after; it is taken back, and one that is made later holds, without a person.
func TestAPopulationThatGoesOnMovingIsHealed(t *testing.T) {
	t.Parallel()
	virtually(t, nil, func(w *world) {
		time.Sleep(30 * time.Second)
		var f fault.Fault
		for i := range 30 {
			if i > 0 {
				if err := w.parts.Faults.Remove(f.ID); err != nil {
					t.Fatal(err)
				}
			}
			f = w.inject(fault.Fault{
				Target: fault.Source, Kind: fault.Drift, Share: 1, TTL: 10 * time.Minute,
				Change: fault.Change{Feature: "debt_ratio", Shift: float64(i+1) / 2},
			})
			time.Sleep(2 * time.Second)
		}
		drift := func() (in incident.Incident) {
			for _, x := range w.incidents() {
				if x.Kind == incident.DataDrift && x.Target == "debt_ratio" {
					in = x
				}
			}
			return in
		}
		w.waitFor(2*time.Minute, func() bool { return drift().State == incident.Resolved })
		if in := drift(); in.State != incident.Resolved || in.Escalations > 0 || in.SelfRecovered || in.Actions[len(in.Actions)-1].Result != incident.Verified {
			t.Errorf("not healed\n%s", story(w.incidents(), w.begun))
		}
	})
}

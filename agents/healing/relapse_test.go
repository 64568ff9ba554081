package healing

import (
	"testing"
	"time"

	"aura/healing/incident"
	"aura/store"
)

// TestARelapseIsSuspectedFirst: as a detector does, which suspects before it confirms. What comes back within the window
// is healed as a relapse of its incident, by itself and again, and a suspicion alone opens nothing beside it.
func TestARelapseIsSuspectedFirst(t *testing.T) {
	run(t, func(w *world) {
		w.dwell = time.Second
		w.begin()
		w.pass(3 * time.Second)
		w.breakModel(true)
		w.until(incident.Degraded, 20*time.Second)
		w.breakModel(false)
		first := w.until(incident.Resolved, 20*time.Second)
		for n := 1; n <= 2; n++ {
			w.pass(4 * time.Minute) // farther apart than what flaps
			w.breakModel(true)
			in := w.until(incident.Degraded, 20*time.Second)
			if in.ID != first.ID || len(in.Relapses) != n || w.mode() != store.ModeSafe {
				w.t.Fatalf("healed in %s with %d relapses, want the %d. of %s", in.ID, len(in.Relapses), n, first.ID)
			}
			w.breakModel(false)
			w.until(incident.Resolved, time.Minute)
		}
		rows, err := w.store.Incidents(w.t.Context(), store.IncidentFilter{}, "", 10)
		if err != nil || len(rows) != 1 {
			w.t.Errorf("%d incidents, want the one: %v", len(rows), err)
		}
		w.audited()
	})
}

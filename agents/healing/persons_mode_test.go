package healing

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"aura/healing/incident"
	"aura/store"
)

// TestAPersonsModelStays: a person ends a safe mode that healing had set, with the fault still on. The mode is theirs for
// the hold, whatever opens anew, and a person is called; after it, what fails then is protected again.
func TestAPersonsModelStays(t *testing.T) {
	run(t, func(w *world) {
		w.begin()
		w.pass(3 * time.Second)
		w.breakModel(true)
		w.until(incident.Degraded, 20*time.Second)
		if _, err := w.store.SetMode(w.t.Context(), store.ModeModel, "ann", "mine"); err != nil {
			w.t.Fatal(err)
		}
		for end := time.Now().Add(PersonsModel - time.Second); time.Now().Before(end); {
			w.pass(time.Second)
			if w.mode() != store.ModeModel {
				w.t.Fatalf("healing changed the person's mode %v before the end of the hold", time.Until(end))
			}
		}
		rows, err := w.store.Incidents(w.t.Context(), store.IncidentFilter{}, "", 10)
		if err != nil || len(rows) != 2 {
			w.t.Fatalf("%d incidents, want the superseded one and a new one: %v", len(rows), err)
		}
		var in incident.Incident
		if err := json.Unmarshal(rows[0].Document, &in); err != nil {
			w.t.Fatal(err)
		}
		told := false
		for _, e := range in.Timeline {
			told = told || strings.Contains(e.Text, "ann has set the mode to MODEL")
		}
		if !told || len(w.calls) != 1 || len(in.Relapses) != 1 {
			w.t.Errorf("told %v, %d calls, %d relapses, %s: %s", told, len(w.calls), len(in.Relapses), in.State, in.Reason)
		}
		w.pass(10 * time.Second) // the fault is still on
		if w.mode() != store.ModeSafe || len(w.calls) != 1 {
			w.t.Errorf("after the hold: %s, %d calls", w.mode(), len(w.calls))
		}
	})
}

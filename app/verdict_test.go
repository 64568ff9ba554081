package app

import (
	"testing"
	"time"

	"aura/healing/incident"
	"aura/store"
)

// TestAPersonsVerdictCounts: over what the control says, on the scoreboard's needless actions.
func TestAPersonsVerdictCounts(t *testing.T) {
	at := time.Unix(1000, 0)
	in := incident.Incident{ID: "i", State: incident.Resolved, Actions: []incident.Action{
		{ID: "i/a1", Purpose: incident.Forward, ExecutedAt: at},
		{ID: "i/a2", Purpose: incident.Forward, ExecutedAt: at, NoCredit: incident.NoCreditSelf},
		{ID: "i/a3", Purpose: incident.Restore, ExecutedAt: at},
	}}
	for _, test := range []struct {
		verdicts map[string]bool
		want     int64
	}{
		{nil, 1},
		{map[string]bool{"i/a1": true}, 2},
		{map[string]bool{"i/a2": false}, 0},
		{map[string]bool{"i/a3": true}, 1}, // leaving safe mode is no action of the ladder
	} {
		tl := &tally{verdicts: test.verdicts}
		tl.add(store.IncidentRow{ID: "i", Status: store.IncidentResolved, DetectedAt: at, ResolvedAt: at.Add(time.Second)}, in, nil)
		if tl.executed != 2 || tl.needless != test.want {
			t.Errorf("%v: %d of %d needless, want %d", test.verdicts, tl.needless, tl.executed, test.want)
		}
	}
}

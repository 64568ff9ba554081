package healing

import (
	"encoding/json"
	"testing"
	"time"

	"aura/healing/detect"
	"aura/healing/incident"
)

// TestWarmingIsOverByTheRule: a detector with too small a reference to alarm shows nothing by its silence; PSI under its limit
// on enough values does. The incident that a changed reference has healed on the way would else stay with a person.
func TestWarmingIsOverByTheRule(t *testing.T) {
	at := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		state detect.State
		clear any
		want  incident.SignalState
	}{
		"under the limit":        {detect.Warming, true, incident.Healthy},
		"over the limit":         {detect.Warming, false, incident.Warming},
		"nobody says":            {detect.Warming, nil, incident.Warming},
		"suspected":              {detect.Suspect, true, incident.Suspect},
		"too few values to tell": {detect.Unknown, false, incident.Unknown},
	} {
		raw, err := json.Marshal(detect.Report{At: at, Signals: []detect.Signal{
			{Kind: detect.DataDrift, Target: "income", State: c.state, Evidence: map[string]any{"clear": c.clear}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		var r detect.Report
		if err := json.Unmarshal(raw, &r); err != nil {
			t.Fatal(err)
		}
		if got := signalOf(r, r.Signals[0], ""); got.State != c.want {
			t.Errorf("%s: %s, want %s", name, got.State, c.want)
		}
	}
}

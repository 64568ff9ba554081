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

// TestWhatDriftsTogether: features that drift with the one that an incident is about are told, not the scores, which follow,
// nor what is only suspected. A reference is made of rows from after the last of them began.
func TestWhatDriftsTogether(t *testing.T) {
	at := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	of := func(target string, s detect.State, of string, onset time.Duration) detect.Cause {
		return detect.Cause{Of: of, Signal: detect.Signal{Kind: detect.DataDrift, Target: target, State: s, Value: 0.4, Onset: at.Add(onset)}}
	}
	own := of("credit_score", detect.Confirmed, "", 0)
	r := detect.Report{At: at.Add(time.Minute), Causes: []detect.Cause{
		own, of("income", detect.Confirmed, "DATA_DRIFT:credit_score", 8*time.Second), of("debt_ratio", detect.Suspect, "DATA_DRIFT:credit_score", time.Second),
		of("loan_amount", detect.Confirmed, "DATA_DRIFT:years", 2*time.Second), of(detect.TargetScore, detect.Confirmed, "DATA_DRIFT:credit_score", 9*time.Second),
	}}
	got := signalOf(r, own.Signal, "")
	if len(got.With) != 1 || got.With[0] != (incident.Drift{Target: "income", PSI: 0.4, OnsetAt: at.Add(8 * time.Second)}) {
		t.Errorf("with it %+v", got.With)
	}
	in := incident.Incident{OpenedAt: at.Add(3 * time.Second)}
	for _, c := range []struct {
		change func()
		want   time.Duration
	}{
		{func() {}, 3 * time.Second},
		{func() { in.OnsetAt = at }, 0},
		{func() { in.With = got.With }, 8 * time.Second},
		{func() { in.OnsetAt = at.Add(10 * time.Second) }, 10 * time.Second},
	} {
		if c.change(); !Since(in).Equal(at.Add(c.want)) {
			t.Errorf("since %v, want %v: %+v", Since(in).Sub(at), c.want, in)
		}
	}
}

package healing

import (
	"encoding/json"
	"testing"
	"time"

	"aura/healing/incident"
	"aura/store"
)

// TestASuspicionIsNoRecovery: resolved_at minus detected_at is what recoveries took, so one that was never confirmed has no
// resolved_at. Its document keeps when it ended, and its row gets the column once it is confirmed after all and resolved.
func TestASuspicionIsNoRecovery(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	signal := func(s incident.SignalState) *incident.Signal {
		return &incident.Signal{
			Kind: incident.AgentDown, Target: "model", Fingerprint: "AGENT_DOWN:model", State: s, ObservedAt: now, WindowFrom: now, Value: 1,
		}
	}
	in, _, err := incident.Open(incident.Start{ID: "i1", Signal: *signal(incident.Suspect)}, now)
	if err != nil {
		t.Fatal(err)
	}
	until := func(s incident.SignalState, want incident.State) store.IncidentRow {
		t.Helper()
		for range 30 {
			now = now.Add(time.Second)
			if in, _, err = incident.Step(in, incident.Event{Type: incident.EvSignal, Signal: signal(s)}, now); err != nil {
				t.Fatal(err)
			}
			if in.State == want {
				return rowOf(in, 0)
			}
		}
		t.Fatalf("%s, want %s", in.State, want)
		return store.IncidentRow{}
	}
	row := until(incident.Healthy, incident.Cancelled)
	if row.Status != store.IncidentResolved || !row.ResolvedAt.IsZero() {
		t.Errorf("never confirmed: %s, resolved at %v", row.Status, row.ResolvedAt)
	}
	var doc incident.Incident
	if err := json.Unmarshal(row.Document, &doc); err != nil || !doc.ResolvedAt.Equal(now) {
		t.Errorf("its document: resolved at %v, %v", doc.ResolvedAt, err)
	}
	until(incident.Confirmed, incident.Escalated) // it has no ladder
	row = until(incident.Healthy, incident.Cancelled)
	if row.Status != store.IncidentResolved || !row.ResolvedAt.Equal(now) || !row.DetectedAt.Before(now) {
		t.Errorf("confirmed: %s, %v to %v", row.Status, row.DetectedAt, row.ResolvedAt)
	}
}

package monitoring

import (
	"maps"
	"slices"
	"testing"
	"time"

	"aura/healing/incident"
	"aura/store"
)

// TestWhatIsLeftToAPersonIsKnown: a drift that nobody heals must excuse nothing.
func TestWhatIsLeftToAPersonIsKnown(t *testing.T) {
	f := &fakeStore{}
	for _, s := range []incident.State{incident.Detected, incident.Executing, incident.Undoing, incident.Escalated, incident.AwaitingApproval, incident.Observed} {
		f.open = append(f.open, store.IncidentRow{Fingerprint: string(s), State: string(s)})
	}
	c := &core{Monitoring: &Monitoring{Options: Options{Store: f}}}
	scene, err := c.look(t.Context(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"AWAITING_APPROVAL", "ESCALATED", "OBSERVED"}
	if got := slices.Sorted(maps.Keys(scene.Left)); !slices.Equal(got, want) || len(scene.Open) != len(f.open) {
		t.Errorf("left %v of %v, want %v", got, scene.Open, want)
	}
}

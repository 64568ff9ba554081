package app

import (
	"testing"
	"time"

	"aura/store"
)

// TestElsewhere: an agent of another process is shown as that saved it; one whose process saves nothing any more as silent,
// however lately the agent itself was heard. A dead agent's process goes on saving that it is dead.
func TestElsewhere(t *testing.T) {
	for _, c := range []struct {
		state      string
		age, heard time.Duration
		want       string
	}{
		{"RUNNING", time.Second, time.Second, "RUNNING"},
		{"HUNG", time.Second, time.Minute, "HUNG"},
		{"RUNNING", 6 * time.Second, 6 * time.Second, "SILENT"},
	} {
		a := elsewhere(store.AgentHealth{Agent: "model", Instance: "b", State: c.state, Incarnation: 3, Age: c.age, BeatAt: time.Now().Add(-c.heard)})
		if a.State != c.want || !a.Elsewhere || a.Instance != "b" || a.Incarnation != 3 {
			t.Errorf("%s, saved %v ago: %+v", c.state, c.age, a)
		}
	}
}

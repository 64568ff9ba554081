package app

import (
	"testing"
	"time"

	"aura/store"
)

// TestElsewhere: what an agent of another process saved last is believed for seconds, shown as silent for minutes, and then
// forgotten; one that was stopped in order at once.
func TestElsewhere(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		state string
		age   time.Duration
		want  string
	}{
		{"RUNNING", time.Second, "RUNNING"},
		{"HUNG", 4 * time.Second, "HUNG"},
		{"RUNNING", 6 * time.Second, "SILENT"},
		{"RUNNING", 11 * time.Minute, ""},
		{"STOPPED", time.Second, ""},
	} {
		a, known := elsewhere(store.AgentHealth{Agent: "model", Instance: "b", State: c.state, Incarnation: 3, BeatAt: at.Add(-c.age)}, at)
		if known != (c.want != "") || a.State != c.want || known && (!a.Elsewhere || a.Instance != "b" || a.Incarnation != 3) {
			t.Errorf("%s %v ago: %+v, %v", c.state, c.age, a, known)
		}
	}
}

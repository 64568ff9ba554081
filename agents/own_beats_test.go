package agents

import (
	"testing"
	"time"

	"aura/agents/bus"
	"aura/agents/event"
)

// TestOwnBeats: of beats that come together the newest of the own instance, not more often than needed, also after the clock was
// set back.
func TestOwnBeats(t *testing.T) {
	beat := func(agent, instance string, incarnation int64) *bus.Message {
		return &bus.Message{Event: &event.AgentMetrics{Agent: agent, Instance: instance, Incarnation: incarnation}}
	}
	filter, now := OwnBeats("healing", "a", time.Second), time.Now()
	for _, c := range []struct {
		after time.Duration
		batch []*bus.Message
		want  int64 // incarnation, 0 for none
	}{
		{0, []*bus.Message{beat("healing", "b", 1), beat("model", "a", 2)}, 0},
		{0, []*bus.Message{beat("healing", "a", 3), beat("healing", "a", 4), beat("healing", "b", 5)}, 4},
		{900 * time.Millisecond, []*bus.Message{beat("healing", "a", 6)}, 0},
		{time.Second, []*bus.Message{{Event: &event.Alert{}}, beat("healing", "a", 7)}, 7},
		{-time.Hour, []*bus.Message{beat("healing", "a", 8)}, 8},
	} {
		got := int64(0)
		for _, m := range filter(now.Add(c.after), 0, c.batch) {
			got = m.Event.(*event.AgentMetrics).Incarnation
		}
		if got != c.want {
			t.Errorf("after %v: %d, want %d", c.after, got, c.want)
		}
	}
}

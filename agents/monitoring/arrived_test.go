package monitoring

import (
	"testing"
	"testing/synctest"
	"time"

	"aura/agents"
	"aura/agents/event"
)

// TestABeatThatWaitedAtABroker: an own beat that was long on its way, but came into the process just now, is no pause of
// monitoring's own; one that lay in the mailbox is.
func TestABeatThatWaitedAtABroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.stop()
		for _, c := range []struct {
			arrived time.Time
			want    time.Duration
		}{{time.Time{}, 20 * time.Second}, {time.Now(), 0}, {time.Now().Add(-3 * time.Second), 3 * time.Second}} {
			core := newCore(w.agent, agents.Life{Instance: "local", Incarnation: 1})
			core.hear(&event.AgentMetrics{Agent: Name, Instance: "local", Incarnation: 1, At: time.Now().Add(-20 * time.Second)}, c.arrived)
			if core.waited != c.want {
				t.Errorf("arrived %v: waited %v, want %v", c.arrived, core.waited, c.want)
			}
		}
	})
}

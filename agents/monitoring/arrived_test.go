package monitoring

import (
	"testing"
	"testing/synctest"
	"time"

	"aura/agents"
	"aura/agents/event"
)

// TestWhatCameWhileMonitoringDidNotStep: where no beat came, the bus was gone; where beats came and waited in the mailbox, this
// agent was late. A beat that was long on its way is told by when it came into the process, if that is known; and what waited
// before the bus was gone says nothing of the time after it.
func TestWhatCameWhileMonitoringDidNotStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.stop()
		type beat struct{ at, arrived, heard time.Duration }
		for name, c := range map[string]struct {
			beats []beat
			want  time.Duration
		}{
			"in step":                             {[]beat{{0, 0, 0}, {1, 1, 1}}, 1},
			"nothing came":                        {[]beat{{0, 0, 0}, {9, 9, 9}}, 9},
			"it was late":                         {[]beat{{0, 0, 0}, {3, 3, 9}, {6, 6, 9}, {9, 9, 9}}, 3},
			"two lanes, not in step":              {[]beat{{0, 0, 0}, {3, 3, 9}, {6, 6, 9}, {3, 3, 9}, {9, 9, 9}}, 3},
			"they waited at a broker":             {[]beat{{0, 0, 0}, {1, 9, 9}, {2, 9, 9}}, 9},
			"it was late, then nothing came":      {[]beat{{0, 0, 0}, {1, 1, 3}, {12, 12, 12}}, 11},
			"what waited before is the first now": {[]beat{{0, 0, 0}, {1, 1, 9}}, 8},
			"published, and never at a broker":    {[]beat{{0, -1, 0}, {7, -1, 7}}, 7},
		} {
			core, begun := newCore(w.agent, agents.Life{Instance: "local", Incarnation: 1}), time.Now()
			for _, b := range c.beats {
				time.Sleep(time.Until(begun.Add(b.heard * time.Second)))
				var arrived time.Time
				if b.arrived >= 0 {
					arrived = begun.Add(b.arrived * time.Second)
				}
				core.hear(&event.AgentMetrics{Agent: "feature", Instance: "local", Incarnation: 1, At: begun.Add(b.at * time.Second)}, arrived)
			}
			if got := core.nothingCame(time.Now()); got != c.want*time.Second {
				t.Errorf("%s: %v without a beat, want %d s", name, got, c.want)
			}
		}
	})
}

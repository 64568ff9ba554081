package agents

import (
	"sync"
	"time"

	"aura/agents/bus"
	"aura/agents/event"
)

// OwnBeats is a filter of agent-metrics for what an agent does again and again: it passes the newest beat of the agent's own
// instance, not more often than needed. So it stops with the bus, and with the agent.
func OwnBeats(agent, instance string, every time.Duration) func(now time.Time, lane int, batch []*bus.Message) []*bus.Message {
	var mu sync.Mutex // lanes share it
	var next time.Time
	return func(now time.Time, _ int, batch []*bus.Message) []*bus.Message {
		mu.Lock()
		defer mu.Unlock()
		if now.Before(next) && next.Sub(now) <= every { // else the clock was set back
			return nil
		}
		for i := len(batch) - 1; i >= 0; i-- {
			if m, ok := batch[i].Event.(*event.AgentMetrics); ok && m.Agent == agent && m.Instance == instance {
				next = now.Add(every)
				return batch[i : i+1]
			}
		}
		return nil
	}
}

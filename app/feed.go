package app

import (
	"context"
	"time"

	"aura/agents"
	"aura/agents/desired"
	"aura/agents/event"
	"aura/agents/fault"
	"aura/web"
	"aura/web/api"
)

// feed tells the live event streams what happens: decisions as they are written, and changes of mode, champion, agents
// and faults as they are seen. Nothing depends on it.
type feed struct {
	hub        *web.Hub
	view       *desired.View
	supervisor *agents.Supervisor
	faults     *fault.Registry

	last    desired.State
	agents  map[string]api.Agent
	faultOf map[string]api.Fault
}

const feedEvery = 200 * time.Millisecond

// publishDecision is called on the decision agent's lanes; without listeners it costs one load.
func publishDecision(hub *web.Hub, d *event.Decision) { hub.Publish("decision", announcedRecord(d)) }

func (f *feed) run(ctx context.Context) {
	f.last = f.view.Current()
	f.agents, f.faultOf = map[string]api.Agent{}, map[string]api.Fault{}
	every(feedEvery, func(context.Context) { f.look() })(ctx)
}

// look publishes what has changed since the last look.
func (f *feed) look() {
	s := f.view.Current()
	if s.ModeGeneration != f.last.ModeGeneration {
		f.hub.Publish("mode", map[string]any{"mode": s.Mode, "generation": s.ModeGeneration})
	}
	if s.ChampionGeneration != f.last.ChampionGeneration {
		f.hub.Publish("model", map[string]any{"version": s.Champion, "generation": s.ChampionGeneration})
	}
	f.last = s
	for _, status := range f.supervisor.Statuses() {
		now, before := agentOf(status), f.agents[status.Agent]
		f.agents[status.Agent] = now
		if now.State != before.State || now.Incarnation != before.Incarnation {
			f.hub.Publish("agent", now)
		}
	}
	f.lookAtFaults()
}

func (f *feed) lookAtFaults() {
	active := map[string]api.Fault{}
	for _, x := range f.faults.List() {
		active[x.ID] = faultOf(x)
		if _, known := f.faultOf[x.ID]; !known {
			f.hub.Publish("fault", map[string]any{"active": true, "fault": active[x.ID]})
		}
	}
	for id, x := range f.faultOf {
		if _, still := active[id]; !still {
			f.hub.Publish("fault", map[string]any{"active": false, "fault": x})
		}
	}
	f.faultOf = active
}

package app

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"aura/agents"
	"aura/agents/desired"
	"aura/agents/governance"
	"aura/agents/healing"
	"aura/agents/monitoring"
	"aura/agents/reference"
	"aura/app/config"
	"aura/healing/detect"
	"aura/mlops/registry"
	"aura/store"
	"aura/store/complaint"
)

// controlNames are the agents that watch and heal; a process decides without them.
var controlNames = []string{monitoring.Name, healing.Name, governance.Name}

// watched tells whether anybody reads what the agents count: where no other process can, only monitoring in this one.
func watched(cfg config.Config) bool { return selected(cfg, monitoring.Name) || shared(cfg) }

// controlAgents are those of them that are selected.
func controlAgents(cfg config.Config, mon *monitoring.Monitoring, h *healer) []agents.Spec {
	var specs []agents.Spec
	if selected(cfg, monitoring.Name) {
		specs = append(specs, mon.Spec())
	}
	if h.healing != nil && selected(cfg, healing.Name) {
		specs = append(specs, h.healing.Spec())
	}
	if h.governance != nil && selected(cfg, governance.Name) {
		specs = append(specs, h.governance.Spec())
	}
	return specs
}

// holdoutShare is the part of the training rows that a version's accuracy was measured on, where it doesn't say: one in five.
const holdoutShare = 5

func newMonitoring(cfg config.Config, st *store.Store, view *desired.View, ref *reference.Holder, reg *registry.Registry, now clock, log *slog.Logger) (*monitoring.Monitoring, error) {
	c, err := cfg.Detect()
	if err != nil {
		return nil, refuse("monitoring: %v", err)
	}
	c.Latency.SLO = latencyObjective
	return monitoring.New(monitoring.Options{
		Store: st, View: view, Config: c, Reference: ref.Current, Load: loadReference(st), Now: now, Log: log,
		Validated: func(ctx context.Context, version int) (float64, int) {
			v, err := reg.Version(ctx, version)
			if err != nil {
				return 0, 0
			}
			if v.Metrics.Rows > 0 {
				return v.Metrics.Accuracy, v.Metrics.Rows
			}
			return v.Metrics.Accuracy, v.Window.Rows / holdoutShare
		},
	}), nil
}

func loadReference(st *store.Store) reference.Loader {
	return func(ctx context.Context, id string) (*detect.Reference, error) {
		row, err := st.Reference(ctx, id)
		if err != nil {
			return nil, err
		}
		r := &detect.Reference{}
		return r, json.Unmarshal(row.Document, r)
	}
}

// blindAfter is how long monitoring may say nothing before a person is told.
const blindAfter = 3 * time.Second

// takenOverWithin is how long nothing may come from another process' monitoring: a standby takes over meanwhile.
const takenOverWithin = 15 * time.Second

// lookAtMonitoring has a person told when monitoring says nothing: nothing on the bus could. Where nobody heals, nobody calls
// people either, and the log must do.
func (p parts) lookAtMonitoring(log *slog.Logger) func(context.Context) {
	var silent complaint.Log
	return every(blindAfter/6, func(ctx context.Context) {
		within := blindAfter
		if !p.Monitoring.Own() {
			within = takenOverWithin
		}
		blind, since := p.Monitoring.Look(p.Now(), within)
		switch {
		case p.Healer.healing != nil:
			p.Healer.healing.Silent(ctx, since)
		case blind:
			silent.Say(log, slog.LevelError, "BUS_DOWN: monitoring reports nothing", "since", since)
		}
	})
}

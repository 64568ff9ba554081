package app

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"sync/atomic"

	"aura/agents/bus"
	"aura/agents/decision"
	"aura/agents/desired"
	"aura/agents/governance"
	"aura/agents/healing"
	"aura/agents/model"
	"aura/agents/monitoring"
	"aura/agents/tracing"
	"aura/app/config"
	"aura/healing/incident"
	"aura/healing/playbook"
	"aura/healing/policy"
	"aura/mlops/registry"
	"aura/mlops/schema"
	"aura/store"
	"aura/store/complaint"
)

// healer is the healing and the governance agent of this process, and what people need of them; both agents are nil where
// healing is off.
type healer struct {
	healing    *healing.Agent
	governance *governance.Agent
	principals *governance.Principals
	store      *store.Store
	log        *slog.Logger
	calls      *calls
	keyFile    string                 // "" where nothing is signed or executed here
	key        ed25519.PrivateKey     // at the start
	keyID      atomic.Pointer[string] // of the key that is used now
	noKey      complaint.Log
	system     *system   // nil where healing is off
	governor   *governor // nil where this process is alone

	force     atomic.Pointer[inForce]
	reloading sync.Mutex
	again     func() (config.Config, error)
}

// inForce is what the loop goes by now; a reload replaces it whole.
type inForce struct {
	cfg      config.Config // as read last
	playbook playbook.Playbook
	rules    governance.Rules
}

func (h *healer) playbook() playbook.Playbook { return h.force.Load().playbook }
func (h *healer) rules() governance.Rules     { return h.force.Load().rules }
func (h *healer) profile() string             { return h.rules().Config.Profile }

// goBy puts a configuration's playbook and rules in force for what begins from now on.
func (h *healer) goBy(cfg config.Config) error {
	book, rules, err := cfg.Loop()
	if err != nil {
		return err
	}
	h.force.Store(&inForce{cfg, book, governance.Rules{Config: rules.Config, Policy: rules.Policy}})
	return nil
}

func newHealer(ctx context.Context, cfg config.Config, st *store.Store, t bus.Transport, view *desired.View, c *model.Champion, reg *registry.Registry,
	sch *schema.Schema, mon *monitoring.Monitoring, fl *fleet, ctl *control, tel *telemetry, tracer *tracing.Tracer, name instance, now clock, log *slog.Logger,
) (*healer, error) {
	out := &healer{store: st, log: log.With("component", "configuration")}
	err := out.goBy(cfg)
	if err != nil {
		return nil, refuse("%v", err)
	}
	if out.principals, err = loadPrincipals(cfg.Governance.Principals); err != nil {
		return nil, err
	}
	if !cfg.Healing.Enabled {
		return out, nil
	}
	out.governor = newGovernor(cfg, st, out.profile, log)
	key, err := out.firstKey(ctx, cfg)
	if err != nil {
		return nil, err
	}
	out.calls = newCalls(cfg.Healing.Webhook, st, tel.loop, log)
	system := &system{store: st, view: view, champion: c, registry: reg, schema: sch, fleet: fl, announce: ctl.announce, monitoring: mon, cfg: cfg, log: log}
	out.system = system
	out.healing, err = healing.New(healing.Options{
		Store: st, Publisher: t, Keys: publicKeys(key), Targets: system.targets(),
		Facts: system, Caller: out.calls, Observe: tel.loop.step, Playbook: out.playbook, Settings: incident.Defaults(),
		ApprovalTTL: cfg.Governance.ApprovalTTL, DryRun: cfg.Healing.DryRun, Heals: pipeline, Instance: string(name), Shared: shared(cfg), Now: now, Log: log, Tracer: tracer,
	})
	if err != nil {
		return nil, err
	}
	out.governance, err = governance.New(governance.Options{
		Store: st, Publisher: t, Key: key, Rules: out.rules, Unhealthy: fl.unhealthy, Instance: string(name), Now: now, Log: log,
	})
	return out, err
}

func loadPrincipals(name string) (*governance.Principals, error) {
	if name == "" {
		return nil, nil
	}
	raw, err := os.ReadFile(name)
	if err != nil {
		return nil, refuse("governance.principals: %v", err)
	}
	p, err := governance.ParsePrincipals(raw)
	if err != nil {
		return nil, refuse("governance.principals: %s: %v", name, err)
	}
	return p, nil
}

// governs reports whether restarts of agents are the healing loop's business, here or in another process.
func (h *healer) governs() bool {
	return h.healing != nil && h.profile() != policy.Off && h.healing.Governs() || h.governor.governs()
}

// step ends what the agents have under way, after the supervisor has stopped them.
func (h *healer) step() Step {
	if h.healing == nil {
		return Step{}
	}
	return Step{Name: "healing", Start: func(ctx context.Context) error {
		found := store.Change{By: "configuration", Reason: "as the process found it at its start"}
		if err := h.recordKey(ctx, found); err != nil {
			return err
		}
		return errors.Join(h.record(ctx, h.force.Load(), found), h.calls.start(ctx))
	}, Stop: func(ctx context.Context) error {
		return errors.Join(h.healing.Close(ctx), h.governance.Close(ctx), h.calls.close(ctx))
	}}
}

// system is this process as the healing agent acts on it: the implementations of healing's Targets and Facts.
type system struct {
	store      *store.Store
	view       *desired.View
	champion   *model.Champion
	registry   *registry.Registry
	schema     *schema.Schema
	fleet      *fleet
	announce   announcer
	monitoring *monitoring.Monitoring
	cfg        config.Config
	log        *slog.Logger
}

func (s *system) targets() healing.Targets {
	return healing.Targets{Modes: s, Models: s, Trainer: s, References: s, Agents: s.fleet, Settle: s.settle}
}

// SetMode implements healing.Modes.
func (s *system) SetMode(ctx context.Context, p store.ActionProof, m store.Mode, reason string) (store.Effect, error) {
	return s.store.SetModeByAction(ctx, p, m, reason)
}

// settle returns when the deployment follows an effect: this process' view has it, the model agents have loaded it, the agent
// lives. Other processes that don't follow a change in time hold nobody up: what they decide by the old one is refused.
func (s *system) settle(ctx context.Context, e store.Effect) error {
	if e.Setting == "" {
		return nil
	}
	if err := s.view.Refresh(ctx); err != nil {
		return err
	}
	s.announce(ctx, e.Setting, e.Generation)
	if agent, instance, is := store.AgentOf(e.Setting); is {
		least, err := strconv.ParseInt(e.Value, 10, 64)
		if err != nil {
			return err
		}
		return s.fleet.ensure(ctx, agent, instance, least, "healing wants life "+e.Value+" at least")
	}
	switch e.Setting {
	case store.SettingChampion:
		if _, err := s.champion.Ensure(ctx, e.Generation); err != nil {
			return err
		}
		s.fleet.followed(ctx, model.Name, e.Generation)
	case store.SettingMode:
		s.fleet.followed(ctx, decision.Name, e.Generation)
	}
	return nil
}

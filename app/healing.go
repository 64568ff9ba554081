package app

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"aura/agents"
	"aura/agents/bus"
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
	sch *schema.Schema, mon *monitoring.Monitoring, h *holders, ctl *control, tel *telemetry, tracer *tracing.Tracer, name instance, now clock, log *slog.Logger,
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
	system := &system{store: st, view: view, champion: c, registry: reg, schema: sch, holders: h, announce: ctl.announce, monitoring: mon, cfg: cfg, log: log}
	out.system = system
	out.healing, err = healing.New(healing.Options{
		Store: st, Publisher: t, Keys: publicKeys(key), Targets: system.targets(),
		Facts: system, Caller: out.calls, Observe: tel.loop.step, Playbook: out.playbook, Settings: incident.Defaults(),
		ApprovalTTL: cfg.Governance.ApprovalTTL, DryRun: cfg.Healing.DryRun, Heals: pipeline, Instance: string(name), Now: now, Log: log, Tracer: tracer,
	})
	if err != nil {
		return nil, err
	}
	out.governance, err = governance.New(governance.Options{
		Store: st, Publisher: t, Key: key, Rules: out.rules, Unhealthy: system.unhealthy, Now: now, Log: log,
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
		return errors.Join(h.healing.Close(ctx), h.calls.close(ctx))
	}}
}

// system is this process as the healing agent acts on it: the implementations of healing's Targets and Facts.
type system struct {
	store      *store.Store
	view       *desired.View
	champion   *model.Champion
	registry   *registry.Registry
	schema     *schema.Schema
	holders    *holders
	announce   announcer
	monitoring *monitoring.Monitoring
	cfg        config.Config
	log        *slog.Logger
}

func (s *system) targets() healing.Targets {
	return healing.Targets{Modes: s, Models: s, Trainer: s, References: s, Agents: &restarter{s.holders, s.store}, Settle: s.settle}
}

// SetMode implements healing.Modes.
func (s *system) SetMode(ctx context.Context, p store.ActionProof, m store.Mode, reason string) (store.Effect, error) {
	return s.store.SetModeByAction(ctx, p, m, reason)
}

// settle returns when this process follows an effect: the view has it, the model agents have loaded it, the agent lives.
func (s *system) settle(ctx context.Context, e store.Effect) error {
	if e.Setting == "" {
		return nil
	}
	if err := s.view.Refresh(ctx); err != nil {
		return err
	}
	s.announce(ctx, e.Setting, e.Generation)
	if agent, is := strings.CutPrefix(e.Setting, store.AgentSetting("")); is {
		least, err := strconv.ParseInt(e.Value, 10, 64)
		if err != nil {
			return err
		}
		return (&restarter{s.holders, s.store}).ensure(ctx, agent, least)
	}
	if e.Setting == store.SettingChampion {
		_, err := s.champion.Ensure(ctx, e.Generation)
		return err
	}
	return nil
}

// unhealthy is the share of the pipeline's agents that don't run.
func (s *system) unhealthy() float64 {
	bad := 0
	for _, st := range s.holders.supervisor.Statuses() {
		if slices.Contains(pipeline, st.Agent) && st.State != agents.Running && st.State != agents.Slow {
			bad++
		}
	}
	return float64(bad) / float64(len(pipeline))
}

// restarter starts lives of agents.
type restarter struct {
	holders *holders
	store   *store.Store
}

func (r *restarter) status(agent string) (agents.Status, bool) {
	for _, st := range r.holders.supervisor.Statuses() {
		if st.Agent == agent {
			return st, true
		}
	}
	return agents.Status{}, false
}

// Slowest implements healing.Agents: the agent of the pipeline that is past its deadline or lets messages wait longest, if
// that is long.
func (r *restarter) Slowest(context.Context) (string, error) {
	var worst agents.Status
	late := func(st agents.Status) time.Duration {
		if st.State == agents.Slow {
			return max(st.QueueAge, st.P50) + time.Hour
		}
		return max(st.QueueAge, st.P50)
	}
	for _, st := range r.holders.supervisor.Statuses() {
		if slices.Contains(pipeline, st.Agent) && late(st) > late(worst) {
			worst = st
		}
	}
	if late(worst) < latencyObjective/2 {
		return "", &healing.Refused{Reason: "no agent of the pipeline stands out as slow"}
	}
	return worst.Agent, nil
}

// Incarnation implements healing.Agents.
func (r *restarter) Incarnation(_ context.Context, agent string) (int64, error) {
	st, runs := r.status(agent)
	switch {
	case !runs:
		return 0, &healing.Refused{Reason: "no agent " + strconv.Quote(agent) + " runs here"}
	case st.Stuck:
		return 0, &healing.Refused{Reason: "too many abandoned lives of " + agent + " still run: " + st.Cause}
	}
	return st.Incarnation, nil
}

// Restart implements healing.Agents: the wish first, then its fulfilment by settle.
func (r *restarter) Restart(ctx context.Context, p store.ActionProof, agent string, least int64, reason string) (store.Effect, error) {
	if _, err := r.Incarnation(ctx, agent); err != nil {
		return store.Effect{}, err
	}
	return r.store.BumpAgentByAction(ctx, p, agent, least, reason)
}

// ensure starts the next life unless the agent is in one that is new enough.
func (r *restarter) ensure(ctx context.Context, agent string, least int64) error {
	st, runs := r.status(agent)
	if !runs || st.Incarnation >= least {
		return nil
	}
	_, err := r.holders.supervisor.Restart(ctx, agent, "healing wants life "+strconv.FormatInt(least, 10)+" at least")
	if errors.Is(err, agents.ErrQuarantined) {
		return &healing.Refused{Reason: err.Error()}
	}
	return err
}

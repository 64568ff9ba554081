package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"aura/agents"
	"aura/agents/decision"
	"aura/agents/desired"
	"aura/agents/healing"
	"aura/agents/model"
	"aura/app/config"
	"aura/store"
	"aura/store/complaint"
)

// fleet is the agents of all processes of a deployment: those of this one as they are, the others as their processes save them
// each second. It follows the wishes for new lives of this process' agents, wherever they were made.
type fleet struct {
	store      *store.Store
	supervisor func() *agents.Supervisor
	view       *desired.View
	champion   *model.Champion
	instance   string
	shared     bool // there may be other processes
	log        *slog.Logger

	kick   chan struct{}
	wishes chan map[string]store.Setting

	mu      sync.Mutex       // one restart at a time: who comes second finds it done
	refused map[string]int64 // generations of wishes that can't be fulfilled
}

func newFleet(cfg config.Config, s *store.Store, h *holders, view *desired.View, c *model.Champion, name instance, log *slog.Logger) *fleet {
	f := &fleet{
		store: s, supervisor: func() *agents.Supervisor { return h.supervisor }, view: view, champion: c, instance: string(name),
		shared: shared(cfg), log: log.With("component", "fleet"), kick: make(chan struct{}, 1), wishes: make(chan map[string]store.Setting, 1),
		refused: map[string]int64{},
	}
	view.OnRead(f.wish)
	view.OnChange(func(context.Context, desired.State, desired.State) { f.say() })
	return f
}

// say has the others told soon how the agents of this process are.
func (f *fleet) say() {
	select {
	case f.kick <- struct{}{}:
	default:
	}
}

// wish hands over desired state as it was just read; only the newest matters.
func (f *fleet) wish(settings map[string]store.Setting) {
	select {
	case <-f.wishes:
	default:
	}
	select {
	case f.wishes <- settings:
	default: // somebody else was quicker, with what is as new
	}
}

// saved is the loop that keeps the last that is known of each agent, for the other processes and for who looks after a crash.
// stopped, which ends after the agents have, leaves no word of agents that were stopped in order.
func (f *fleet) steps() (saved, lives, stopped Step) {
	var failing complaint.Log
	saved = loop("agent health", func(ctx context.Context) {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			case <-f.kick:
			}
			if err := f.save(ctx); err != nil && ctx.Err() == nil {
				failing.Say(f.log, slog.LevelWarn, "the agents' health could not be saved", "err", err)
			}
		}
	})
	lives = loop("wished lives", func(ctx context.Context) {
		for {
			select {
			case <-ctx.Done():
				return
			case settings := <-f.wishes:
				f.follow(ctx, settings)
			}
		}
	})
	return saved, lives, Step{Name: "the agents' last state", Stop: func(ctx context.Context) error {
		if err := f.save(ctx); err != nil {
			f.log.Warn("that the agents were stopped in order could not be saved", "err", err)
		}
		return nil
	}}
}

func (f *fleet) save(ctx context.Context) error { return f.store.SaveHealth(ctx, f.here()) }

// here describes the agents of this process.
func (f *fleet) here() []store.AgentHealth {
	statuses := f.supervisor().Statuses()
	rows := make([]store.AgentHealth, len(statuses))
	for i, s := range statuses {
		rows[i] = store.AgentHealth{
			Agent: s.Agent, Instance: s.Instance, Incarnation: s.Incarnation, State: string(s.State), Cause: s.Cause, Watermark: s.Handled,
			Queue: s.Queue, BeatAt: s.LastBeat, QueueAge: s.QueueAge, P50: s.P50, Stuck: s.Stuck, Generation: f.generation(s.Agent),
		}
	}
	return rows
}

// generation is that of the setting which an agent follows, as it has it in force.
func (f *fleet) generation(agent string) int64 {
	switch agent {
	case model.Name:
		if l := f.champion.Current(); l != nil {
			return l.Generation
		}
	case decision.Name:
		return f.view.Current().ModeGeneration
	}
	return 0
}

// members are the agents of all processes that live, as far as is known.
func (f *fleet) members(ctx context.Context) ([]store.AgentHealth, error) {
	out := f.here()
	if !f.shared {
		return out, nil
	}
	saved, err := f.store.Health(ctx)
	if err != nil {
		return nil, err
	}
	for _, h := range saved {
		if h.Instance != f.instance && h.State != string(agents.Stopped) && h.Age <= silentAfter {
			out = append(out, h)
		}
	}
	return out, nil
}

func works(h store.AgentHealth) bool {
	return h.State == string(agents.Running) || h.State == string(agents.Slow)
}

// unhealthyWithin bounds the question how many agents are well.
const unhealthyWithin = time.Second

// unhealthy is the share of the pipeline's agents that don't run: of each agent, the share of its instances.
func (f *fleet) unhealthy() float64 {
	ctx, cancel := context.WithTimeout(context.Background(), unhealthyWithin)
	defer cancel()
	members, err := f.members(ctx)
	if err != nil {
		return 0 // unknown; who decides needs the store anyway
	}
	sum := 0.
	for _, agent := range pipeline {
		n, bad := 0., 0.
		for _, h := range members {
			if h.Agent == agent {
				n++
				if !works(h) {
					bad++
				}
			}
		}
		if n == 0 {
			n, bad = 1, 1
		}
		sum += bad / n
	}
	return sum / float64(len(pipeline))
}

// Slowest implements healing.Agents: the agent of the pipeline that is past its deadline or lets messages wait longest, if
// that is long.
func (f *fleet) Slowest(ctx context.Context) (agent, instance string, err error) {
	members, err := f.members(ctx)
	if err != nil {
		return "", "", err
	}
	late := func(h store.AgentHealth) time.Duration {
		if h.State == string(agents.Slow) {
			return max(h.QueueAge, h.P50) + time.Hour
		}
		return max(h.QueueAge, h.P50)
	}
	var worst store.AgentHealth
	for _, h := range members {
		if slices.Contains(pipeline, h.Agent) && late(h) > late(worst) {
			worst = h
		}
	}
	if late(worst) < latencyObjective/2 {
		return "", "", &healing.Refused{Reason: "no agent of the pipeline stands out as slow"}
	}
	return worst.Agent, worst.Instance, nil
}

// Incarnation implements healing.Agents.
func (f *fleet) Incarnation(ctx context.Context, agent, instance string) (of string, n int64, err error) {
	h, err := f.find(ctx, agent, instance)
	switch {
	case err != nil:
		return "", 0, err
	case h.Stuck:
		return "", 0, &healing.Refused{Reason: "too many abandoned lives of " + agent + " still run: " + h.Cause}
	}
	return h.Instance, h.Incarnation, nil
}

// find finds an instance of an agent, or the one that is worst where none is named; *healing.Refused.
func (f *fleet) find(ctx context.Context, agent, instance string) (store.AgentHealth, error) {
	members, err := f.members(ctx)
	if err != nil {
		return store.AgentHealth{}, err
	}
	members = slices.DeleteFunc(members, func(h store.AgentHealth) bool {
		return h.Agent != agent || instance != "" && h.Instance != instance
	})
	if len(members) == 0 {
		where := "anywhere"
		if instance != "" {
			where = "as " + instance
		}
		return store.AgentHealth{}, &healing.Refused{Reason: fmt.Sprintf("no agent %q runs %s", agent, where)}
	}
	for _, h := range members {
		if !works(h) {
			return h, nil
		}
	}
	return slices.MaxFunc(members, func(a, b store.AgentHealth) int { return int(a.QueueAge - b.QueueAge) }), nil
}

// Restart implements healing.Agents: the wish first, then its fulfilment by settle.
func (f *fleet) Restart(ctx context.Context, p store.ActionProof, agent, instance string, least int64, reason string) (store.Effect, error) {
	of, _, err := f.Incarnation(ctx, agent, instance)
	if err != nil {
		return store.Effect{}, err
	}
	return f.store.BumpAgentByAction(ctx, p, agent, f.named(of), least, reason)
}

// named is an instance as settings name it: not at all where there can be one process only.
func (f *fleet) named(instance string) string {
	if !f.shared {
		return ""
	}
	return instance
}

// livesEvery is how often other processes are asked for what they are to follow.
const livesEvery = 100 * time.Millisecond

// ensure returns when an instance of an agent is in a life that is new enough: one of this process is started, for another
// process' it waits while ctx lives. *healing.Refused where it can't be.
func (f *fleet) ensure(ctx context.Context, agent, instance string, least int64, reason string) error {
	if instance == f.instance || instance == "" {
		return f.renew(ctx, agent, least, reason)
	}
	for {
		h, err := f.find(ctx, agent, instance)
		switch {
		case err != nil:
			return err
		case h.Incarnation >= least:
			return nil
		case h.Stuck:
			return &healing.Refused{Reason: h.Cause}
		case !wait(ctx, livesEvery, 0):
			return fmt.Errorf("%s of %s is still in life %d, not %d: %w", agent, instance, h.Incarnation, least, context.DeadlineExceeded)
		}
	}
}

// renew starts the next life of an agent here unless it is in one that is new enough.
func (f *fleet) renew(ctx context.Context, agent string, least int64, reason string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.supervisor().Statuses() {
		if s.Agent != agent || s.Incarnation >= least {
			continue
		}
		_, err := f.supervisor().Restart(ctx, agent, reason)
		f.say()
		if errors.Is(err, agents.ErrQuarantined) {
			return &healing.Refused{Reason: err.Error()}
		}
		return err
	}
	return nil
}

// follow fulfils the wishes that are for agents of this process. One that can't be fulfilled is not tried again later, when
// nobody expects it any more.
func (f *fleet) follow(ctx context.Context, settings map[string]store.Setting) {
	for name, s := range settings {
		agent, instance, is := store.AgentOf(name)
		if !is || instance != f.instance || f.refused[name] == s.Generation {
			continue
		}
		least, err := strconv.ParseInt(s.Value, 10, 64)
		if err == nil {
			err = f.renew(ctx, agent, least, s.Owner+" wants life "+s.Value+" at least: "+s.Reason)
		}
		var refused *healing.Refused
		switch {
		case err == nil || ctx.Err() != nil:
		case errors.As(err, &refused):
			f.refused[name] = s.Generation
			fallthrough
		default:
			f.log.Warn("a wished life of an agent could not be started", "agent", agent, "least", least, "err", err)
		}
	}
}

// followWithin is how long the answer to a change waits for other processes to follow it.
const followWithin = 5 * time.Second

// followed waits until every live instance of an agent has a generation in force, and names those of other processes that don't
// in time. The decisions that they make meanwhile are refused by the store, and made again.
func (f *fleet) followed(ctx context.Context, agent string, generation int64) (missing []string) {
	if !f.shared {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, followWithin)
	defer cancel()
	for {
		members, err := f.members(ctx)
		if err == nil {
			missing = nil
			for _, h := range members {
				if h.Agent == agent && h.Instance != f.instance && works(h) && h.Generation < generation {
					missing = append(missing, h.Instance)
				}
			}
		}
		if err == nil && len(missing) == 0 {
			return nil
		}
		if !wait(ctx, livesEvery, 0) {
			f.log.Warn("a change is answered before all processes follow it", "agent", agent, "generation", generation, "missing", missing, "err", err)
			return missing
		}
	}
}

package app

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
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

const (
	// silentAfter is how old what a process saved may be; it saves each second.
	silentAfter = 5 * time.Second
	// forgottenAfter is when one that saves nothing any more is not listed any longer.
	forgottenAfter = 10 * time.Minute
)

func silent(h store.AgentHealth) bool { return h.Age > silentAfter }

// others are the agents of the other processes, but for those that were stopped in order or are long silent.
func (f *fleet) others(ctx context.Context) ([]store.AgentHealth, error) {
	if !f.shared {
		return nil, nil
	}
	saved, err := f.store.Health(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(saved, func(h store.AgentHealth) bool {
		return h.Instance == f.instance || h.State == string(agents.Stopped) || h.Age > forgottenAfter
	}), nil
}

// members are the agents of all processes that live, as far as is known.
func (f *fleet) members(ctx context.Context) ([]store.AgentHealth, error) {
	others, err := f.others(ctx)
	if err != nil {
		return nil, err
	}
	return append(f.here(), slices.DeleteFunc(others, silent)...), nil
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

package app

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"aura/agents"
	"aura/agents/bus"
	"aura/agents/decision"
	"aura/agents/desired"
	"aura/agents/event"
	"aura/agents/feature"
	"aura/agents/healing"
	"aura/agents/model"
	"aura/store"
)

// berth is one process of a deployment in fake time: a supervisor with agents that do nothing, on a store that it shares.
type berth struct {
	*fleet
	sup  *agents.Supervisor
	stop func()
}

// dock starts processes, by the names of their agents.
func dock(t *testing.T, s *store.Store, processes map[string][]string) map[string]*berth {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	out := map[string]*berth{}
	for name, list := range processes {
		transport := bus.NewMemory(bus.MemoryOptions{Lanes: 1, Logger: log})
		sup, err := agents.New(agents.Options{Transport: transport, Incarnations: s, Instance: name, Restart: agents.RestartGoverned, Governed: func() bool { return true }})
		if err != nil {
			t.Fatal(err)
		}
		for _, agent := range list {
			err := sup.Add(agents.Spec{Name: agent, Inputs: []agents.Input{{Topic: event.RawEvents}}, NewHandler: func(agents.Life) agents.Handler { return idle{} }})
			if err != nil {
				t.Fatal(err)
			}
		}
		view, err := desired.New(t.Context(), s, log)
		if err != nil {
			t.Fatal(err)
		}
		if err := sup.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		b := &berth{sup: sup, fleet: &fleet{
			store: s, supervisor: func() *agents.Supervisor { return sup }, view: view, champion: model.NewChampion(nil, view, log), instance: name, shared: true,
			log: log, kick: make(chan struct{}, 1), wishes: make(chan map[string]store.Setting, 1), refused: map[string]int64{},
		}}
		view.OnRead(b.wish)
		view.OnChange(func(context.Context, desired.State, desired.State) { b.say() })
		saved, lives, stopped := b.steps()
		poll := loop("desired state", func(ctx context.Context) { view.Run(ctx, time.Second) })
		var l Lifecycle
		l.log = log
		err = l.Start(t.Context(), []Step{stopped, {Stop: sup.Stop}, saved, lives, poll})
		if err != nil {
			t.Fatal(err)
		}
		b.stop = func() {
			if err := l.Stop(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
			_ = transport.Close()
		}
		out[name] = b
	}
	time.Sleep(1500 * time.Millisecond) // all have saved how they are
	return out
}

type idle struct{}

func (idle) Handle(context.Context, *bus.Message, *agents.Outbox) error { return nil }

func inHarbour(t *testing.T, processes map[string][]string, f func(t *testing.T, s *store.Store, b map[string]*berth)) {
	dir := memoryDir(t)
	synctest.Test(t, func(t *testing.T) {
		s, err := store.Open(t.Context(), store.Options{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		b := dock(t, s, processes)
		f(t, s, b)
		for _, p := range b {
			p.stop()
		}
		if err := s.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
}

func (b *berth) life(agent string) int64 {
	for _, s := range b.sup.Statuses() {
		if s.Agent == agent {
			return s.Incarnation
		}
	}
	return 0
}

// TestARestartReachesItsProcess: a wish is followed by the process that has the instance, once, and by no other.
func TestARestartReachesItsProcess(t *testing.T) {
	inHarbour(t, map[string][]string{"a": {"healing", "model"}, "b": {"model", "feature"}}, func(t *testing.T, s *store.Store, b map[string]*berth) {
		ctx := t.Context()
		lease, err := s.AcquireLease(ctx, store.LeaseHealing, "healing/a", 1, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range []struct{ agent, instance string }{{"model", "b"}, {"feature", ""}, {"model", "a"}} {
			of, now, err := b["a"].Incarnation(ctx, c.agent, c.instance)
			if err != nil || c.instance != "" && of != c.instance {
				t.Fatalf("%s of %s: %s, %v", c.agent, c.instance, of, err)
			}
			e, err := b["a"].Restart(ctx, store.ActionProof{ActionID: "x" + strconv.Itoa(i), Nonce: "n" + strconv.Itoa(i), Epoch: lease.Epoch, By: "healing"}, c.agent, of, now+1, "it hangs")
			if err != nil {
				t.Fatal(err)
			}
			agent, instance, _ := store.AgentOf(e.Setting)
			within, cancel := context.WithTimeout(ctx, 5*time.Second)
			if err := b["a"].ensure(within, agent, instance, now+1, "test"); err != nil {
				t.Errorf("%s of %s: %v", agent, instance, err)
			}
			cancel()
			if got := b[of].life(c.agent); got != now+1 {
				t.Errorf("%s of %s is in life %d, want %d", c.agent, of, got, now+1)
			}
		}
		time.Sleep(5 * time.Second) // each polls a few times more
		for name, want := range map[string]int64{"a": 2, "b": 2} {
			if got := b[name].life("model"); got != want {
				t.Errorf("model of %s is in life %d, want %d", name, got, want)
			}
		}
		var refused *healing.Refused
		if _, _, err := b["a"].Incarnation(ctx, "decision", ""); !errors.As(err, &refused) || !strings.Contains(refused.Reason, "no agent") {
			t.Errorf("an agent that nobody has: %v", err)
		}
		b["b"].stop()
		if _, _, err := b["a"].Incarnation(ctx, "model", "b"); !errors.As(err, &refused) {
			t.Errorf("an instance that was stopped in order: %v", err)
		}
		delete(b, "b")
	})
}

// TestTheFleetIsSeenWhole: how late and how well the agents of all processes are.
func TestTheFleetIsSeenWhole(t *testing.T) {
	inHarbour(t, map[string][]string{"a": {"ingestion", "decision"}}, func(t *testing.T, s *store.Store, b map[string]*berth) {
		ctx, f := t.Context(), b["a"]
		if got := f.unhealthy(); got != .5 {
			t.Errorf("%v of the agents are not well, want the half that nobody has", got)
		}
		save := func(agent, instance, state string, age time.Duration) {
			t.Helper()
			err := s.SaveHealth(ctx, []store.AgentHealth{{Agent: agent, Instance: instance, Incarnation: 3, State: state, QueueAge: age}})
			if err != nil {
				t.Fatal(err)
			}
		}
		save(feature.Name, "b", "RUNNING", 400*time.Millisecond)
		save(model.Name, "b", "RUNNING", 200*time.Millisecond)
		save(model.Name, "c", "HUNG", 0)
		if got := f.unhealthy(); got != .125 {
			t.Errorf("%v of the agents are not well, want one of two instances of one of four", got)
		}
		if agent, instance, err := f.Slowest(ctx); err != nil || agent != feature.Name || instance != "b" {
			t.Errorf("slowest: %s of %s, %v", agent, instance, err)
		}
		if of, n, err := f.Incarnation(ctx, model.Name, ""); err != nil || of != "c" || n != 3 {
			t.Errorf("the worst model agent is of %s in life %d, %v", of, n, err)
		}
		time.Sleep(silentAfter + time.Second)
		if got := f.unhealthy(); got != .5 {
			t.Errorf("%v of the agents are not well once the others are silent", got)
		}
		var refused *healing.Refused
		if _, _, err := f.Incarnation(ctx, model.Name, "c"); !errors.As(err, &refused) {
			t.Errorf("an instance whose process is silent: %v", err)
		}
		listed := func(want int, when string) {
			t.Helper()
			if others, err := f.others(ctx); err != nil || len(others) != want {
				t.Errorf("%s: %d agents of others are listed, want %d; %v", when, len(others), want, err)
			}
		}
		listed(3, "silent")
		save(model.Name, "c", "STOPPED", 0)
		listed(2, "one of them stopped in order")
		time.Sleep(forgottenAfter)
		listed(0, "long silent")
	})
}

// TestAChangeIsAnsweredWhenAllFollow: the decision agents of other processes are waited for, those that don't follow for a while.
func TestAChangeIsAnsweredWhenAllFollow(t *testing.T) {
	inHarbour(t, map[string][]string{"a": {"ingestion"}, "b": {decision.Name}}, func(t *testing.T, s *store.Store, b map[string]*berth) {
		generation, err := s.SetMode(t.Context(), store.ModeSafe, "ann", "drill")
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if missing := b["a"].followed(t.Context(), decision.Name, generation); len(missing) > 0 {
			t.Errorf("%v doesn't follow", missing)
		}
		if took := time.Since(began); took > 1200*time.Millisecond || b["b"].view.Current().ModeGeneration != generation {
			t.Errorf("answered after %v, while it has generation %d", took, b["b"].view.Current().ModeGeneration)
		}
		began = time.Now()
		if missing := b["a"].followed(t.Context(), decision.Name, generation+1); len(missing) != 1 || missing[0] != "b" {
			t.Errorf("of a generation that nobody has, %v are missing", missing)
		}
		if took := time.Since(began); took > followWithin+time.Second {
			t.Errorf("the answer waited for %v", took)
		}
	})
}

// slowNumbers hands out the numbers of lives as a store does that takes a second for it: the one after an earlier process' life 2.
type slowNumbers struct{ handed atomic.Int64 }

func (n *slowNumbers) NextIncarnation(context.Context, string, string) (int64, error) {
	time.Sleep(time.Second)
	return 2 + n.handed.Add(1), nil
}

// TestAFirstLifeIsNewEnough: a wish that an earlier process' life fulfilled starts no second life of one that hasn't begun yet.
func TestAFirstLifeIsNewEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		transport := bus.NewMemory(bus.MemoryOptions{Lanes: 1, Logger: slog.New(slog.DiscardHandler)})
		defer transport.Close()
		numbers := &slowNumbers{}
		sup, err := agents.New(agents.Options{Transport: transport, Incarnations: numbers, Instance: "a"})
		if err != nil {
			t.Fatal(err)
		}
		spec := agents.Spec{Name: "model", Inputs: []agents.Input{{Topic: event.RawEvents}}, NewHandler: func(agents.Life) agents.Handler { return idle{} }}
		if err := sup.Add(spec); err != nil {
			t.Fatal(err)
		}
		if err := sup.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		f := &fleet{supervisor: func() *agents.Supervisor { return sup }, kick: make(chan struct{}, 1)}
		for _, least := range []int64{2, 3, 4} {
			if err := f.renew(t.Context(), "model", least, "test"); err != nil {
				t.Error(err)
			}
			time.Sleep(3 * time.Second)
			if handed, want := numbers.handed.Load(), max(1, least-2); handed != want {
				t.Errorf("wished at least life %d: %d lives have begun, want %d", least, handed, want)
			}
		}
		if err := sup.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

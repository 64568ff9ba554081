package app

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/fx"

	"aura/agents"
	"aura/agents/bus"
	"aura/agents/event"
	"aura/agents/fault"
	"aura/agents/healing"
	"aura/app/config"
	"aura/healing/detect"
	"aura/healing/incident"
	"aura/healing/policy"
	"aura/store"
)

// Where nothing is broken nothing is done: 0 actions, 0 restarts, whatever the traffic, the cores, the bus, the database
// and the clock do.

// load sends made-up applications at a rate for a while, and no outcome that would come later.
func (w *world) load(seed uint64, perSecond float64, d time.Duration) {
	cfg := w.cfg
	cfg.Seed, cfg.Simulate.Rate = seed, perSecond
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	newSource(cfg, nil, w.parts.Schema, w.parts.Intake, w.parts.Faults, w.App.log).run(ctx)
}

// nothingDone fails the test where anything was executed or restarted, or where what was accepted is not decided.
func (w *world) nothingDone(when string) {
	w.t.Helper()
	list := w.incidents()
	if did := executed(list); len(did) > 0 {
		w.t.Errorf("%s: executed %v\n%s", when, did, story(list, w.begun))
	}
	for _, s := range w.parts.Supervisor.Statuses() {
		if s.Incarnation != 1 || s.State != agents.Running {
			w.t.Errorf("%s: %s is %s in life %d", when, s.Agent, s.State, s.Incarnation)
		}
	}
	for _, problem := range slices.Concat(w.sound(), w.inCharge()) {
		w.t.Errorf("%s: %s", when, problem)
	}
}

// decided counts the decisions so far.
func (w *world) decided() int64 {
	w.t.Helper()
	slo, err := w.parts.Objective.over(context.WithoutCancel(w.t.Context()), time.Time{})
	if err != nil {
		w.t.Fatal(err)
	}
	return int64(slo.Share.N)
}

func noSource(c *config.Config) { c.Simulate.Rate = 0 }

func TestQuietTraffic(t *testing.T) {
	t.Parallel()
	virtually(t, noSource, func(w *world) {
		for i, phase := range []struct {
			name string
			rate float64
			d    time.Duration
		}{
			{"usual load", 50, 30 * time.Second},
			{"no traffic", 0, 5 * time.Minute},
			{"usual load again", 50, 30 * time.Second},
			{"one a minute", 1. / 60, 10 * time.Minute},
			{"four times the load", 200, time.Minute},
			{"no traffic after it", 0, time.Minute},
		} {
			before := w.decided()
			if phase.rate == 0 {
				time.Sleep(phase.d)
			} else {
				w.load(uint64(100+i), phase.rate, phase.d)
				time.Sleep(time.Second) // what is under way is decided
			}
			w.nothingDone(phase.name)
			if n, want := float64(w.decided()-before), phase.rate*phase.d.Seconds(); math.Abs(n-want) > 1+want/50 {
				w.t.Errorf("%s: %v decided, want %v", phase.name, n, want)
			}
		}
	})
}

// TestTheModelIsBackWhereFewApplyNow: a latency fault of the busy hours ends in the quiet ones. Safe mode is left as long as there
// are answers enough to tell by; with fewer it stays, and is neither tried nor called flapping.
func TestTheModelIsBackWhereFewApplyNow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		perMinute float64
		back      bool
	}{{120, true}, {20, true}, {6, false}} {
		t.Run(fmt.Sprintf("%v a minute", c.perMinute), func(t *testing.T) {
			virtually(t, noSource, func(w *world) {
				w.load(1, 20, 20*time.Second)
				w.inject(fault.Fault{Target: "model", Kind: fault.Latency, Delay: 2 * time.Second, Share: 1, TTL: time.Minute})
				w.load(2, 20, 20*time.Second)
				w.load(3, c.perMinute/60, 5*time.Minute)
				want := []string{"ENABLE_SAFE_MODE of LATENCY_SLO_BREACH:service"}
				mode := event.ModeSafe
				if c.back {
					want, mode = append(want, "DISABLE_SAFE_MODE of LATENCY_SLO_BREACH:service"), event.ModeModel
				}
				list := w.incidents()
				if did := executed(list); !slices.Equal(did, want) || len(called(list)) > 0 || w.parts.View.Current().Mode != mode {
					w.t.Errorf("mode %s, want %s; executed %v\n%s", w.parts.View.Current().Mode, mode, did, story(list, w.begun))
				}
			})
		})
	}
}

// slowBus is a bus whose publishers are kept waiting, as where cores are busy.
type slowBus struct {
	bus.Transport
	mu  sync.Mutex
	rnd *rand.Rand
	// down refuses everything.
	down atomic.Bool
	slow atomic.Bool
}

var errBusGone = errors.New("the bus is gone")

func (b *slowBus) Publish(ctx context.Context, messages ...*bus.Message) error {
	if b.down.Load() {
		return errBusGone
	}
	if b.slow.Load() {
		b.mu.Lock()
		d := min(time.Duration(b.rnd.ExpFloat64()*float64(30*time.Millisecond)), 250*time.Millisecond)
		b.mu.Unlock()
		select {
		case <-time.After(d):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return b.Transport.Publish(ctx, messages...)
}

func (b *slowBus) instead() fx.Option {
	b.rnd = rand.New(rand.NewPCG(1, 2))
	return fx.Decorate(func(t bus.Transport) bus.Transport {
		b.Transport = t
		return b
	})
}

func TestQuietOnBusyCores(t *testing.T) {
	t.Parallel()
	b := &slowBus{}
	b.slow.Store(true)
	virtually(t, nil, func(w *world) {
		time.Sleep(2 * time.Minute)
		b.slow.Store(false) // some are always on their way there
		w.nothingDone("busy cores")
	}, b.instead())
}

func TestQuietWhileTheBusIsGone(t *testing.T) {
	t.Parallel()
	b := &slowBus{}
	virtually(t, nil, func(w *world) {
		time.Sleep(30 * time.Second)
		for _, d := range []time.Duration{2 * time.Second, 20 * time.Second} {
			b.down.Store(true)
			time.Sleep(d)
			if long := d > 5*time.Second; long && (w.calledOf(detect.TargetBus) != 1 || !strings.Contains(w.log.String(), "monitoring has said nothing since")) {
				w.t.Errorf("%d calls while the bus is gone: no event can tell of it", w.calledOf(detect.TargetBus))
			}
			b.down.Store(false)
			time.Sleep(40 * time.Second)
			w.nothingDone(fmt.Sprintf("the bus was gone for %s", d))
		}
		w.toldOf(detect.TargetBus, 20*time.Second)
		if n := w.calledOf(detect.TargetBus); n != 1 {
			w.t.Errorf("%d calls for one outage", n)
		}
		if n := strings.Count(w.log.String(), "\n"); n > 60 {
			w.t.Errorf("%d lines in the log of two minutes, 22 s of them without the bus", n)
		}
	}, b.instead())
}

// TestTheBusIsGoneWhileNobodyHeals: there is nobody to call people, and the log says it.
func TestTheBusIsGoneWhileNobodyHeals(t *testing.T) {
	t.Parallel()
	b := &slowBus{}
	virtually(t, func(c *config.Config) { c.Healing.Enabled = false }, func(w *world) {
		time.Sleep(5 * time.Second)
		b.down.Store(true)
		time.Sleep(20 * time.Second)
		if n := strings.Count(w.log.String(), "BUS_DOWN: monitoring reports nothing"); n != 2 {
			w.t.Errorf("%d lines say so, want one each ten seconds", n)
		}
		b.down.Store(false)
		time.Sleep(5 * time.Second)
	}, b.instead())
}

// calledOf counts the calls of a person because a target can't be heard.
func (w *world) calledOf(target string) (n int) {
	for _, c := range w.parts.Healer.calls.recent() {
		if c.Kind == incident.BusDown && c.Target == target {
			n++
		}
	}
	return n
}

// toldOf fails unless a person was told that a target (any, if empty) can't be heard, and that is over by itself.
func (w *world) toldOf(target string, outage time.Duration) {
	w.t.Helper()
	list := w.incidents()
	told := func(in incident.Incident) bool {
		return in.Kind == incident.BusDown && (target == "" || in.Target == target) && in.Escalations > 0 && in.State.Final()
	}
	if !slices.ContainsFunc(list, told) {
		w.t.Errorf("nobody was told that %q was gone for %s, or it is not over\n%s", target, outage, story(list, w.begun))
	}
	calls := w.parts.Healer.calls.recent()
	if !slices.ContainsFunc(calls, func(n healing.Notice) bool { return n.Kind == incident.BusDown && (target == "" || n.Target == target) }) {
		w.t.Errorf("nobody was called for %q: %+v", target, calls)
	}
}

func TestQuietWhileTheDatabaseIsGone(t *testing.T) {
	t.Parallel()
	var e edge
	virtually(t, func(c *config.Config) { c.Agents.Select = append(c.Agents.Select, webName) }, func(w *world) {
		time.Sleep(30 * time.Second)
		other, err := sql.Open("sqlite", "file:"+filepath.Join(w.cfg.Data.Dir, "aura.db"))
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		other.SetMaxOpenConns(1)
		for _, d := range []time.Duration{2 * time.Second, 20 * time.Second} {
			// The process may be in the middle of a transaction of its own.
			if !w.waitFor(10*time.Second, func() bool { _, err = other.ExecContext(w.t.Context(), "BEGIN IMMEDIATE"); return err == nil }) {
				w.t.Fatal(err)
			}
			gone := e.apply(fmt.Sprintf("gone-%s", d))
			if gone.Code != http.StatusServiceUnavailable {
				w.t.Errorf("while the database was gone an application was answered %d: %s", gone.Code, gone.Body)
			}
			time.Sleep(d / 2)
			w.calledWithoutTheStore(d > 5*time.Second)
			time.Sleep(d / 2)
			if _, err := other.ExecContext(w.t.Context(), "ROLLBACK"); err != nil {
				w.t.Fatal(err)
			}
			time.Sleep(time.Second)
			if back := e.apply(fmt.Sprintf("gone-%s", d)); back.Code != http.StatusOK {
				w.t.Errorf("a second after the database was back an application was answered %d: %s", back.Code, back.Body)
			}
			time.Sleep(40 * time.Second)
			w.nothingDone(fmt.Sprintf("the database was gone for %s", d))
		}
		w.toldOf(detect.TargetStore, 20*time.Second)
		w.calledWithoutTheStore(true) // and for the row, when it could be written, not again
	}, e.instead(), fx.Decorate(func(o store.Options) store.Options {
		// None: who waits for another's lock sleeps, and fake time can't pass while others wait for a mutex that it holds.
		o.BusyTimeout = time.Microsecond
		return o
	}))
}

// calledWithoutTheStore fails unless a person was called once for the store, by log and webhook, if at all; and where the log
// says of everything that fails more than now and then.
func (w *world) calledWithoutTheStore(called bool) {
	w.t.Helper()
	var texts []string
	for _, n := range w.parts.Healer.calls.recent() {
		if n.Target == detect.TargetStore {
			texts = append(texts, n.Text)
		}
	}
	said := strings.Count(w.log.String(), `msg="a person is called"`)
	if want := map[bool]int{true: 1}[called]; len(texts) != want || said != want {
		w.t.Errorf("a person was called %d times, and %d are in the log, instead of %d: %q", len(texts), said, want, texts)
	} else if called && !strings.Contains(texts[0], "the store can't be written (locked)") {
		w.t.Errorf("the call doesn't say what is wrong with the store: %q", texts[0])
	}
	for _, text := range []string{"the store doesn't answer monitoring", "a transaction failed", "health could not be saved"} {
		if n := strings.Count(w.log.String(), text); n > 4 { // the outages' 22 s
			w.t.Errorf("%d lines say that %s", n, text)
		}
	}
}

// movedClock is a wall clock that can be moved.
type movedClock struct{ offset atomic.Int64 }

func (m *movedClock) move(d time.Duration) { m.offset.Add(int64(d)) }

func (m *movedClock) instead() fx.Option {
	return fx.Decorate(func(c clock) clock {
		return func() time.Time { return c().Add(time.Duration(m.offset.Load())) }
	})
}

// A pause of the whole process looks like a clock that jumps: what was due meanwhile is late, and nobody is to blame.
func TestQuietWhenTheClockMoves(t *testing.T) {
	t.Parallel()
	var m movedClock
	virtually(t, nil, func(w *world) {
		time.Sleep(30 * time.Second)
		for _, d := range []time.Duration{20 * time.Second, time.Hour, -time.Hour} {
			m.move(d)
			time.Sleep(40 * time.Second)
			w.nothingDone(fmt.Sprintf("the clock moved by %s", d))
		}
	}, m.instead())
}

// An approval that has waited through a jump of the clock has expired, or still waits; nothing is executed by itself.
func TestAMovedClockRevivesNoApproval(t *testing.T) {
	t.Parallel()
	var m movedClock
	virtually(t, func(c *config.Config) { c.Governance.Profile = policy.Supervised }, func(w *world) {
		time.Sleep(20 * time.Second)
		w.inject(fault.Fault{Target: "model", Kind: fault.Latency, Delay: 2 * time.Second, Share: 1, TTL: 10 * time.Minute})
		held := func() (requests []string) {
			for _, in := range w.incidents() {
				for _, a := range in.Actions {
					if in.State == incident.AwaitingApproval && a.ID == in.CurrentID {
						requests = append(requests, a.RequestID)
					}
				}
			}
			return requests
		}
		if !w.waitFor(30*time.Second, func() bool { return len(held()) > 0 }) {
			w.t.Fatalf("nobody was asked\n%s", story(w.incidents(), w.begun))
		}
		request := held()[0]
		m.move(time.Hour)
		time.Sleep(2 * time.Second)
		if _, err := w.parts.Healer.governance.Decide(w.t.Context(), policy.LocalPrincipal(), request, policy.Approved, "late"); err == nil {
			w.t.Error("an approval an hour late was taken")
		}
		m.move(-time.Hour)
		time.Sleep(10 * time.Second)
		if did := executed(w.incidents()); len(did) > 0 {
			w.t.Errorf("executed %v\n%s", did, story(w.incidents(), w.begun))
		}
	}, m.instead())
}

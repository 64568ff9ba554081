package monitoring

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"aura/agents"
	"aura/agents/desired"
	"aura/agents/event"
	"aura/healing/detect"
)

// crew is monitoring in several processes over one store and one bus, slot by slot, with a clock of its own.
type crew struct {
	t       rapid.TB
	now     time.Time
	store   *fakeStore
	members []*member
	reader  *Monitoring // a process without the agent
	slow    bool
	said    []detect.Report
	ignored int
	log     bytes.Buffer
}

type member struct {
	*Monitoring
	core   *core
	name   string
	frozen bool
	mute   bool // its own beats don't come back over the bus
	apart  bool // it is on another bus: it hears nobody's alerts
}

func newCrew(t rapid.TB, names ...string) *crew {
	c := &crew{t: t, store: &fakeStore{}, now: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return c.now }
	c.store.clock = clock
	log := slog.New(slog.NewTextHandler(&c.log, nil))
	view, err := desired.New(context.Background(), c.store, log)
	if err != nil {
		t.Fatal(err)
	}
	agent := func() *Monitoring {
		return New(Options{
			Store: c.store, View: view, Config: detect.DefaultConfig(), Now: clock, Log: log,
			Reference: func() *detect.Reference { return nil },
			Validated: func(context.Context, int) (float64, int) { return .85, 2000 },
		})
	}
	c.reader = agent()
	for _, name := range names {
		m := &member{Monitoring: agent(), name: name}
		m.core = newCore(m.Monitoring, agents.Life{Agent: Name, Instance: name, Incarnation: 1})
		c.members = append(c.members, m)
	}
	return c
}

// pass lets time pass: each slot everybody that runs beats, hears all and steps.
func (c *crew) pass(d time.Duration) {
	for end := c.now.Add(d); c.now.Before(end); {
		c.slot()
	}
}

func (c *crew) slot() {
	c.now = c.now.Add(100 * time.Millisecond)
	now := c.now
	var beats []*event.AgentMetrics
	beat := func(agent, instance string) {
		e := &event.AgentMetrics{Agent: agent, Instance: instance, Incarnation: 1, State: "RUNNING", At: now, Handled: 5, DeadlineMS: 1000}
		if agent == "ingestion" {
			e.Counts = (&world{slow: c.slow}).counts(now)
		}
		beats = append(beats, e)
	}
	for _, agent := range detect.DefaultPath {
		beat(agent, "pipeline")
	}
	for _, m := range c.members {
		if !m.frozen && !m.mute {
			beat(Name, m.name)
		}
	}
	for _, m := range c.members {
		if m.frozen {
			continue
		}
		m.Look(now, blind)
		for _, e := range beats {
			m.core.hear(e, now)
		}
		out, emitted := agents.NewOutbox(func() time.Time { return now })
		if err := m.core.step(context.Background(), out); err != nil && !errors.Is(err, agents.ErrNotReady) {
			c.t.Fatal(err)
		}
		c.deliver(emitted())
	}
}

// blind is how long nothing may be said.
const blind = 3 * time.Second

func (c *crew) deliver(events []event.Event) {
	for _, e := range events {
		a := e.(*event.Alert)
		for _, m := range c.members {
			if !m.frozen && !m.apart {
				m.Hear(a)
			}
		}
		if !c.reader.Hear(a) {
			c.ignored++
			continue
		}
		if a.Kind != KindHeartbeat {
			continue
		}
		var r detect.Report
		if err := json.Unmarshal(a.Signal, &r); err != nil {
			c.t.Fatal(err)
		}
		if n := len(c.said); n > 0 && r.Epoch < c.said[n-1].Epoch {
			c.t.Errorf("epoch %d is believed after %d", r.Epoch, c.said[n-1].Epoch)
		}
		c.said = append(c.said, r)
	}
}

// speaks is who said the newest report that a reader believes, and how old that is.
func (c *crew) speaks() (who string, age time.Duration) {
	r := c.reader.Report()
	for _, m := range c.members {
		if m.Report().Epoch == r.Epoch && m.core.lease.Held && m.core.lease.Epoch == r.Epoch {
			who = m.name
		}
	}
	return who, c.now.Sub(r.At)
}

func (c *crew) wantSpeaker(want string) {
	c.t.Helper()
	if who, age := c.speaks(); who != want || age > 1100*time.Millisecond {
		c.t.Errorf("%q speaks, %v ago; want %s", who, age, want)
	}
}

func stateOf(r detect.Report, k detect.Kind, target string) detect.State {
	for _, s := range r.Signals {
		if s.Kind == k && s.Target == target {
			return s.State
		}
	}
	return "absent"
}

// TestAStandbyTakesOverWarm: it has judged all along, so that nothing is unknown for a moment, and a verification goes on.
func TestAStandbyTakesOverWarm(t *testing.T) {
	c := newCrew(t, "a", "b")
	c.pass(5 * time.Second)
	c.wantSpeaker("a")
	if shown := c.members[1].Report(); shown.Epoch != 1 || c.now.Sub(shown.At) > 1100*time.Millisecond {
		t.Errorf("a standby shows %+v, want the holder's report", shown)
	}
	c.slow = true
	c.pass(3 * time.Second)
	detail, err := json.Marshal(detect.Watch{IncidentID: "i", ActionID: "x", Kind: detect.LatencyBreach, Target: detect.TargetService, Since: c.now})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range c.members {
		if err := m.core.watch(&event.IncidentEntry{IncidentID: "i", Step: StepVerify, Detail: detail}); err != nil {
			t.Fatal(err)
		}
	}
	c.pass(2 * time.Second)
	before := len(c.said)
	c.members[0].frozen = true
	at := c.now
	for len(c.said) == before && c.now.Sub(at) < 15*time.Second {
		c.slot()
	}
	if took := c.now.Sub(at); took > 6*time.Second {
		t.Errorf("a standby took over after %v", took)
	}
	c.wantSpeaker("b")
	r := c.said[len(c.said)-1]
	if got := stateOf(r, detect.LatencyBreach, detect.TargetService); got != detect.Confirmed || r.Epoch != 2 {
		t.Errorf("its first report, of epoch %d: latency is %s", r.Epoch, got)
	}
	if len(r.Verdicts) != 1 || r.Verdicts[0].N < 100 {
		t.Errorf("its first report has the verdicts %+v, want one on all that passed since the action", r.Verdicts)
	}
}

// TestNobodyWatches: two processes over one database, each on a bus of its own. Which of them nobody watches says so, once, and
// not while the holder may just have died.
func TestNobodyWatches(t *testing.T) {
	c := newCrew(t, "a", "b")
	said := func() int { return strings.Count(c.log.String(), "nobody watches this process") }
	c.pass(time.Minute)
	if n := said(); n != 0 {
		t.Errorf("said %d times of a standby that hears the holder", n)
	}
	c.members[1].apart = true
	c.pass(deafAfter - time.Second)
	if n := said(); n != 0 {
		t.Errorf("said %d times too early", n)
	}
	c.pass(time.Minute)
	if n := said(); n != 1 {
		t.Errorf("said %d times, want once", n)
	}
	c.members[1].apart = false
	c.pass(10 * time.Second)
	c.members[0].frozen = true // b takes over
	c.pass(time.Minute)
	c.wantSpeaker("b")
	c.members[0].frozen = false
	c.pass(time.Minute)
	if n := said(); n != 1 {
		t.Errorf("said %d times after a takeover", n)
	}
}

// TestAZombieStandsBy: who was stopped while another one took over says nothing that is believed, and takes over again later.
func TestAZombieStandsBy(t *testing.T) {
	for _, far := range []bool{false, true} { // far: the store doesn't answer the zombie at first
		t.Run(fmt.Sprint(far), func(t *testing.T) {
			c := newCrew(t, "a", "b")
			c.pass(3 * time.Second)
			a, b := c.members[0], c.members[1]
			a.frozen = true
			c.pass(10 * time.Second)
			c.wantSpeaker("b")
			a.frozen = false
			c.store.set(far)
			c.slot()
			c.store.set(false)
			c.pass(3 * time.Second)
			c.wantSpeaker("b")
			if a.core.lease.Held {
				t.Error("the zombie believes that it holds the lease")
			}
			if (c.ignored > 0) != far {
				t.Errorf("%d alerts of the zombie were ignored", c.ignored)
			}
			b.frozen = true
			c.pass(7 * time.Second)
			c.wantSpeaker("a")
			if c.store.lease.Epoch != 3 {
				t.Errorf("epoch %d, want 3", c.store.lease.Epoch)
			}
		})
	}
}

func TestAnOrderlyEndHandsOverAtOnce(t *testing.T) {
	c := newCrew(t, "a", "b")
	c.pass(3 * time.Second)
	c.members[0].frozen = true
	if err := c.members[0].Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.pass(askEvery + 200*time.Millisecond)
	c.wantSpeaker("b")
}

// TestOnlyTheOwnBeatTellsOfTheBus: another process' agent of the same name and number is heard; this one's beats are not.
func TestOnlyTheOwnBeatTellsOfTheBus(t *testing.T) {
	c := newCrew(t, "a", "b")
	c.pass(3 * time.Second)
	c.members[0].mute = true
	c.pass(3 * time.Second)
	if got := stateOf(c.reader.Report(), detect.BusDown, detect.TargetBus); got != detect.Confirmed {
		t.Errorf("its own beat isn't heard, and BUS_DOWN is %s", got)
	}
	if b := c.members[1].core.monitor.Signals(c.now); stateOf(detect.Report{Signals: b}, detect.BusDown, detect.TargetBus) != detect.Healthy {
		t.Error("the other one hears its own beat and is blind")
	}
}

// TestCrewsOfAnySize freezes, resumes and ends members at any moment: readers never go back to an older epoch, and once any
// member runs undisturbed somebody is heard.
func TestCrewsOfAnySize(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		c := newCrew(r, "a", "b", "c")
		steps := rapid.SliceOfN(rapid.Custom(func(r *rapid.T) [2]int {
			return [2]int{rapid.IntRange(0, 3).Draw(r, "who"), rapid.IntRange(1, 70).Draw(r, "slots")}
		}), 1, 6).Draw(r, "steps")
		for _, s := range steps {
			if s[0] < len(c.members) {
				m := c.members[s[0]]
				m.frozen = !m.frozen
			} else {
				c.store.set(!c.store.down)
			}
			c.pass(time.Duration(s[1]) * 100 * time.Millisecond)
		}
		c.store.set(false)
		if !slices.ContainsFunc(c.members, func(m *member) bool { return !m.frozen }) {
			c.members[0].frozen = false
		}
		c.pass(8 * time.Second)
		if who, age := c.speaks(); who == "" || age > 1100*time.Millisecond {
			r.Errorf("%q speaks, %v ago", who, age)
		}
		held := 0
		for _, m := range c.members {
			if m.core.lease.Held && !m.frozen {
				held++
			}
		}
		if held != 1 {
			r.Errorf("%d members that run believe that they hold the lease", held)
		}
	})
}

package detect

import (
	"strings"
	"testing"
	"time"
)

// change makes the service's model agent beat differently.
func (s *service) change(f func(b *Beat) bool) {
	beats := s.beats
	s.beats = func(now time.Time) []Beat {
		var all []Beat
		for _, b := range beats(now) {
			if b.Agent != "model" || f(&b) {
				all = append(all, b)
			}
		}
		return all
	}
}

func TestCrashConvictsAtOnceAndANewLifeAcquits(t *testing.T) {
	s := newService(t, 20, 1000)
	s.run(2 * time.Second)
	s.want(AgentDown, "model", Healthy)
	beats := s.beats
	s.change(func(b *Beat) bool { b.State, b.Cause = AgentCrashed, "index out of range"; return true })
	s.run(step)
	g := s.signal(AgentDown, "model")
	if g.State != Confirmed || g.Evidence["cause"] != AgentCrashed || g.Evidence["detail"] != "index out of range" {
		t.Fatalf("after a panic: %+v", g)
	}
	s.want(AgentDown, "feature", Healthy)
	// The dead life's late beats don't acquit it; two beats of a new one neither, three do.
	s.beats = beats
	s.run(time.Second)
	s.want(AgentDown, "model", Confirmed)
	s.life = 2
	s.run(2 * step)
	s.want(AgentDown, "model", Confirmed)
	s.run(step)
	s.want(AgentDown, "model", Healthy)
	if g := s.signal(AgentDown, "model"); g.Recovered.IsZero() {
		t.Error("recovered isn't set")
	}
}

func TestMissingHeartbeat(t *testing.T) {
	s := newService(t, 21, 1000)
	s.run(2 * time.Second)
	beats := s.beats
	s.change(func(*Beat) bool { return false })
	s.run(500 * time.Millisecond)
	s.want(AgentDown, "model", Healthy)
	s.run(step)
	s.want(AgentDown, "model", Suspect)
	s.run(900 * time.Millisecond)
	s.want(AgentDown, "model", Suspect)
	s.run(step)
	s.want(AgentDown, "model", Confirmed)
	s.beats = beats
	s.run(2 * step)
	s.want(AgentDown, "model", Confirmed)
	s.run(step)
	s.want(AgentDown, "model", Healthy)
}

// TestADeathIsDatedWhenItBegan: not when the deadline or the missing beats told of it.
func TestADeathIsDatedWhenItBegan(t *testing.T) {
	s := newService(t, 20, 1000)
	s.run(2 * time.Second)
	last := s.now
	s.change(func(*Beat) bool { return false })
	s.until(AgentDown, "model", Confirmed, 3*time.Second)
	if on := s.signal(AgentDown, "model").Onset; on.After(last) || last.Sub(on) > step {
		t.Errorf("missing since %v, last heard about %v", on, last)
	}
	s = newService(t, 20, 1000)
	s.run(2 * time.Second)
	beats := s.beats
	s.change(func(b *Beat) bool { b.HandlerAge = time.Second; return true })
	s.run(step)
	began := s.now.Add(-time.Second)
	s.beats = beats
	s.change(func(b *Beat) bool { b.State = AgentHung; return true }) // the notice comes when the handler was let go
	s.run(step)
	if on := s.signal(AgentDown, "model").Onset; on.Sub(began).Abs() > step {
		t.Errorf("hung since %v, its handler began about %v", on, began)
	}
}

// TestTroubleIsDatedFromItsFirstDeath: one that dies again in the aftermath of a death is why decisions have been late since
// the first; once it was well for longer it is not.
func TestTroubleIsDatedFromItsFirstDeath(t *testing.T) {
	s := newService(t, 20, 1000)
	s.run(2 * time.Second)
	beats := s.beats
	die := func() time.Time {
		s.change(func(b *Beat) bool { b.State = AgentCrashed; return true })
		s.run(step)
		s.beats = beats
		s.life++
		at := s.now
		s.run(3 * step)
		s.want(AgentDown, "model", Healthy)
		return at
	}
	s.life = 1
	unwell := func(want time.Time) {
		t.Helper()
		if got := s.signal(AgentDown, "model").Evidence[evidenceUnwell]; got != want {
			t.Errorf("unwell since %v, want %v", got, want)
		}
	}
	first := die()
	unwell(first)
	s.run(aftermath - time.Second)
	die()
	unwell(first)
	s.run(aftermath)
	if got := s.signal(AgentDown, "model").Evidence[evidenceUnwell]; got != nil {
		t.Errorf("unwell since %v, long after", got)
	}
	unwell(die())
}

func TestFailingAttempts(t *testing.T) {
	s := newService(t, 22, 1000)
	failures := int64(0)
	s.touch = func(slot *Slot, _ time.Time) {
		slot.Attempt("model", "i1", 2, failures)
		slot.Attempt("feature", "i1", 2, 0)
	}
	s.run(3 * time.Second)
	failures = 1 // just half is not more than half
	s.run(3 * time.Second)
	s.want(AgentDown, "model", Healthy)
	failures = 2
	took := s.until(AgentDown, "model", Confirmed, 3*time.Second)
	if g := s.signal(AgentDown, "model"); g.Evidence["cause"] != downFailing || took > 1200*time.Millisecond {
		t.Errorf("after %v: %+v", took, g)
	} else if since := s.now.Sub(g.Evidence[evidenceUnwell].(time.Time)); (took - since).Abs() > step {
		t.Errorf("it fails since %v, and is said to since %v", took, since)
	}
	s.want(AgentDown, "feature", Healthy)
	failures = 0
	s.until(AgentDown, "model", Healthy, 3*time.Second)
	// Few attempts say nothing.
	s.touch = func(slot *Slot, now time.Time) {
		if now.UnixMilli()%500 == 0 {
			slot.Attempt("model", "i1", 1, 1)
		}
	}
	s.run(5 * time.Second)
	s.want(AgentDown, "model", Healthy)
}

func TestStuckAgentIsSuspect(t *testing.T) {
	s := newService(t, 23, 1000)
	s.run(time.Second)
	s.change(func(b *Beat) bool { b.Watermark, b.Queue = 7, 3; return true })
	s.run(7 * time.Second)
	if g := s.signal(AgentDown, "model"); g.State != Suspect || !strings.Contains(g.Evidence["cause"].(string), "progress") {
		t.Errorf("no progress: %+v", g)
	}
}

func TestStoppedAndReplacedInstances(t *testing.T) {
	s := newService(t, 24, 1000)
	s.run(time.Second)
	beats := s.beats
	s.beats = func(now time.Time) []Beat {
		all := beats(now)
		return append(all, Beat{Agent: "model", Instance: "i2", Incarnation: 9, State: AgentRunning, Watermark: 1})
	}
	s.run(time.Second)
	s.beats = func(now time.Time) []Beat {
		return append(beats(now), Beat{Agent: "model", Instance: "i2", Incarnation: 9, State: AgentStopped})
	}
	s.run(step)
	s.beats = beats
	s.run(10 * time.Second)
	s.want(AgentDown, "model", Healthy) // who said goodbye isn't missed
}

// allUnknown fails unless every signal but BUS_DOWN is UNKNOWN and BUS_DOWN is confirmed of target.
func (s *service) allUnknown(target string) {
	s.t.Helper()
	for _, g := range s.m.Signals(s.now) {
		switch {
		case g.Kind == BusDown && (g.State != Confirmed || g.Target != target):
			s.t.Fatalf("BUS_DOWN: %+v", g)
		case g.Kind != BusDown && g.State != Unknown:
			s.t.Fatalf("%s is %s while nothing can be heard", g.Fingerprint(), g.State)
		}
	}
}

func TestBusDownMakesEverythingUnknown(t *testing.T) {
	s := newService(t, 25, 12_000)
	s.run(20 * time.Second)
	beats := s.beats
	s.mute, s.perSlot, s.labels = true, 0, 0
	s.beats = func(time.Time) []Beat { return nil }
	s.run(1600 * time.Millisecond)
	s.allUnknown(TargetBus)
	s.run(30 * time.Second)
	s.allUnknown(TargetBus)
	// Back: what waited is late, which is nobody's fault now; nothing becomes active.
	s.mute, s.perSlot, s.labels, s.beats, s.overdue = false, 5, 5, beats, 800
	backlog := 20
	s.touch = func(slot *Slot, now time.Time) {
		if backlog--; backlog < 0 {
			slot.Overdue = 0
			return
		}
		for range 80 {
			slot.Decided(Cohort{Accepted: now.Add(-20 * time.Second), Mode: "MODEL", Version: 1}, 20*time.Second, 300*time.Millisecond, true)
			slot.Overtime(Cohort{Accepted: now.Add(-20 * time.Second), Mode: "MODEL", Version: 1})
		}
	}
	for range 100 {
		s.run(step)
		s.quiet()
	}
	s.want(BusDown, "", Healthy)
	s.want(LatencyBreach, TargetService, Healthy)
}

// TestWhatQueuesBehindABacklog: what comes right after an outage is late for the same reason as what came meanwhile, for as long as
// the backlog becomes less; where it doesn't, something is slow now, and that is seen.
func TestWhatQueuesBehindABacklog(t *testing.T) {
	for name, test := range map[string]struct {
		overdue func(sinceBack time.Duration) int64
		want    time.Duration // until the breach is confirmed, 0 for never
	}{
		"it becomes less": {func(d time.Duration) int64 { return max(0, 800-int64(d/(10*time.Millisecond))) }, 0},
		"in steps":        {func(d time.Duration) int64 { return max(0, 800-200*int64(d/(4*time.Second))) }, 0},
		"it stays":        {func(time.Duration) int64 { return 85 }, 14 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t, 25, 12_000)
			s.run(20 * time.Second)
			beats := s.beats
			s.mute, s.perSlot, s.labels = true, 0, 0
			s.beats = func(time.Time) []Beat { return nil }
			s.run(10 * time.Second)
			s.mute, s.labels, s.beats = false, 5, beats
			back := s.now
			slot := 0
			s.touch = func(x *Slot, now time.Time) {
				if slot++; slot%3 == 0 {
					return // of other agents alone
				}
				if x.Overdue = test.overdue(now.Sub(back)); x.Overdue == 0 {
					s.perSlot = 5
					return
				}
				for range 5 {
					x.Decided(Cohort{Accepted: now.Add(-time.Second), Mode: "MODEL", Version: 1}, time.Second, 300*time.Millisecond, false)
				}
			}
			for s.now.Sub(back) < 20*time.Second {
				s.run(step)
				if s.signal(LatencyBreach, TargetService).State == Confirmed {
					if after := s.now.Sub(back); test.want == 0 || after > test.want {
						t.Fatalf("confirmed after %v, want %v", after, test.want)
					}
					return
				}
			}
			if test.want > 0 {
				t.Error("never confirmed")
			}
			s.want(LatencyBreach, TargetService, Healthy)
		})
	}
}

// TestABusThatTookEverythingIsNoPause: without its own beat monitoring doesn't step. Where the process is known to have run
// on, what it couldn't hear was the bus.
func TestABusThatTookEverythingIsNoPause(t *testing.T) {
	for target, awake := range map[string]bool{TargetBus: true, TargetMonitoring: false} {
		s := newService(t, 27, 12_000)
		s.run(20 * time.Second)
		s.now = s.now.Add(20 * time.Second)
		s.touch = func(slot *Slot, _ time.Time) { slot.Awake = awake }
		s.run(step)
		s.allUnknown(target)
		if g := s.signal(BusDown, ""); awake && g.Words() != "nothing came over the bus for 20.1 s against 1 s" {
			t.Errorf("%s", g.Words())
		}
		s.run(5 * time.Second)
		s.want(BusDown, "", Healthy)
	}
}

func TestStoreGoneAndBack(t *testing.T) {
	s := newService(t, 26, 12_000)
	up := true
	var last time.Time
	s.store = func(now time.Time) time.Time {
		if up {
			last = now
		}
		return last
	}
	s.run(20 * time.Second)
	up, s.perSlot, s.labels = false, 0, 0
	s.run(2 * time.Second)
	s.want(BusDown, "", Healthy) // one slow answer: nobody is called
	s.run(2 * time.Second)
	s.allUnknown(TargetStore)
	up, s.perSlot, s.labels = true, 5, 5
	s.run(time.Second)
	s.allUnknown(TargetStore) // the healer, which could not write it down, still sees it
	if g := s.signal(BusDown, ""); g.Value < 3 {
		t.Errorf("the outage that is just over: %+v", g)
	}
	s.run(time.Second)
	for range 50 {
		s.run(step)
		s.quiet()
	}
	s.want(BusDown, "", Healthy)
}

// TestOwnPause: a process that was stopped, or a clock that jumped, knows nothing until it has listened again.
func TestOwnPause(t *testing.T) {
	for name, jump := range map[string]time.Duration{"stopped for 20 s": 20 * time.Second, "clock an hour on": time.Hour, "clock an hour back": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			s := newService(t, 27, 12_000)
			s.run(20 * time.Second)
			s.now = s.now.Add(jump)
			if jump > 0 {
				s.allUnknown(TargetMonitoring)
			}
			s.run(step)
			s.allUnknown(TargetMonitoring)
			for range 100 {
				s.run(step)
				for _, g := range s.m.Signals(s.now) {
					if g.Kind != BusDown && g.State.Active() {
						t.Fatalf("active after a pause: %+v", g)
					}
				}
			}
			s.want(BusDown, "", Healthy)
			s.want(AgentDown, "model", Healthy)
			// And it still sees what happens then.
			s.change(func(*Beat) bool { return false })
			s.until(AgentDown, "model", Confirmed, 2*time.Second)
		})
	}
}

func TestAgentsNeverHeardAreUnknown(t *testing.T) {
	c := DefaultConfig()
	c.Agent.Expect = []string{"model", "feature"}
	m, err := NewMonitor(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range m.Signals(at) {
		if g.State != Unknown {
			t.Errorf("before the first step: %+v", g)
		}
	}
	m.Step(at, Slot{At: at, OwnBeat: at, Beats: []Beat{{Agent: "model", Instance: "i", Incarnation: 1, State: AgentRunning}}})
	got := map[string]State{}
	for _, g := range m.Signals(at) {
		if g.Kind == AgentDown {
			got[g.Target] = g.State
		}
	}
	if len(got) != 2 || got["model"] != Healthy || got["feature"] != Unknown {
		t.Errorf("%v", got)
	}
}

// TestTakeOverIsNoAlarm: a holder that goes on from a checkpoint knows nothing at first, and calls nobody.
func TestTakeOverIsNoAlarm(t *testing.T) {
	s := newService(t, 28, 12_000)
	s.run(20 * time.Second)
	raw, err := s.m.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	saved := s.now
	for name, gap := range map[string]time.Duration{"at once": 0, "soon": 800 * time.Millisecond, "after a minute": time.Minute} {
		t.Run(name, func(t *testing.T) {
			fresh, err := NewMonitor(DefaultConfig())
			if err != nil {
				t.Fatal(err)
			}
			if err := fresh.Restore(raw, s.ref); err != nil {
				t.Fatal(err)
			}
			s.m, s.now = fresh, saved.Add(gap)
			first := s.slot()
			first.Beats = nil // the agents begin to beat a moment later
			s.m.Step(s.now, first)
			for _, g := range s.m.Signals(s.now) {
				if g.State.Active() || gap > time.Second && g.State != Unknown {
					t.Fatalf("%+v", g)
				}
			}
			for range 50 {
				s.run(step)
				s.quiet()
			}
			s.want(AgentDown, "model", Healthy)
			s.want(LatencyBreach, TargetService, Healthy)
			s.want(DataDrift, "income", Healthy)
		})
	}
}

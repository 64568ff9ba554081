package incident

import (
	"strings"
	"testing"
	"time"
)

// crashes is a world whose model agent dies and is mended by a person, with truthful alerts; it steps each half second.
type crashes struct {
	*world
	t    *testing.T
	down bool
}

func (c *crashes) pass(d time.Duration) {
	for end := c.now.Add(d); c.now.Before(end); {
		c.now = c.now.Add(500 * time.Millisecond)
		state, shadow := Healthy, Healthy
		if c.down {
			state, shadow = Confirmed, Unknown
		}
		c.sig(state)
		c.step(Event{Type: EvShadow, Shadow: &Shadow{State: shadow, N: 3, ObservedAt: c.now}})
		if a := c.in.current(); a != nil && c.in.State == Verifying && c.now.After(a.ExecutedAt) {
			c.step(Event{Type: EvVerdict, ActionID: a.ID, Verdict: &Verdict{State: state, N: 9, From: a.ExecutedAt, ObservedAt: c.now}})
		}
		c.deliver()
	}
}

func newCrashes(t *testing.T, ladder ...Rung) *crashes {
	c := &crashes{world: newWorld(func(format string, args ...any) { t.Helper(); t.Fatalf(format, args...) }), t: t, down: true}
	c.open(AgentDown, Confirmed, ladder, Settings{})
	c.light = true
	c.deliver()
	return c
}

// TestACrashBehindTheBreaker: two crash loops mended by a person, then a third while the breaker holds safe mode. It is
// an incident again, acted on, and a person's words are answered truly; the end of the hold is told, and kept.
func TestACrashBehindTheBreaker(t *testing.T) {
	c := newCrashes(t, Rung{Action: EnableSafeMode, Protect: true}, Rung{Action: RestartAgent, Params: map[string]string{"agent": "model"}, Verification: "signal"})
	for range 2 {
		c.down = true
		c.pass(10 * time.Second)
		c.down = false
		c.pass(20 * time.Second)
	}
	if c.in.State != Escalated || c.in.Escalation != EscFlapping || !c.in.Degraded || c.in.ResolvedAt.IsZero() {
		t.Fatalf("%s %s: %s", c.in.State, c.in.Escalation, c.in.Reason)
	}
	until := (&step{in: &c.in, now: c.now}).leaveAt()
	for _, typ := range []EventType{EvRetry, EvClose} {
		if why := Fits(c.in, Event{Type: typ, By: "ann"}, c.now); !strings.Contains(why, clockTime(until)) {
			t.Errorf("%s: %q doesn't tell that the breaker holds until %s", typ, why, clockTime(until))
		}
	}
	if !strings.Contains(c.in.Reason, clockTime(until)) {
		t.Errorf("%q doesn't tell %s", c.in.Reason, clockTime(until))
	}
	calls, executes := c.notified, c.executes
	c.down = true
	c.pass(10 * time.Second)
	if c.in.Status == StatusResolved || len(c.in.Relapses) == 0 || c.executes == executes || c.notified == calls {
		t.Fatalf("the third: %s %s, %d relapses, %d actions, %d calls", c.in.Status, c.in.State, len(c.in.Relapses), c.executes-executes, c.notified-calls)
	}
	if why := Fits(c.in, Event{Type: EvRetry, By: "ann"}, c.now); why != "" {
		t.Errorf("retry: %q", why)
	}
	c.down = false
	c.pass(20 * time.Second)
	if !c.in.Degraded {
		t.Fatal("safe mode was left while the breaker held it")
	}
	until = (&step{in: &c.in, now: c.now}).leaveAt()
	c.pass(until.Sub(c.now) + 5*time.Second)
	if c.in.State != Resolved || c.in.Degraded || c.in.RestoredAt.Before(until) {
		t.Errorf("%s, degraded %v, restored %s, want after %s", c.in.State, c.in.Degraded, c.in.RestoredAt, until)
	}
}

// TestTheRelapseBreakerEnds: the loop acts again by itself once the relapses have left the window.
func TestTheRelapseBreakerEnds(t *testing.T) {
	c := newCrashes(t, Rung{Action: RestartAgent, Params: map[string]string{"agent": "model"}, Verification: "signal"})
	for range 4 {
		c.down = false
		c.pass(90 * time.Second)
		c.down = true
		c.pass(5 * time.Second)
	}
	if c.in.State != Escalated || c.in.Escalation != EscFlapping {
		t.Fatalf("%s %s: %s", c.in.State, c.in.Escalation, c.in.Reason)
	}
	executes := c.executes
	c.pass(11 * time.Minute)
	if c.executes == executes {
		t.Errorf("%s: nothing was tried any more", c.in.State)
	}
}

// TestAnIntermittentError: on and off each few seconds, and no restart helps. It is one incident, tried a few times, and a
// person is called once.
func TestAnIntermittentError(t *testing.T) {
	for _, off := range []time.Duration{3 * time.Second, 5 * time.Second, 10 * time.Second} {
		c := newCrashes(t, Rung{Action: RestartAgent, Params: map[string]string{"agent": "decision"}, Verification: "signal", Dwell: time.Second})
		for range int(time.Minute / (off + 3*time.Second)) {
			c.down = true
			c.pass(3 * time.Second)
			c.down = false
			c.pass(off)
		}
		if c.notified != 1 || c.executes > 2 || c.in.Status == StatusResolved {
			t.Errorf("off for %v: %d calls, %d restarts, %s %s", off, c.notified, c.executes, c.in.Status, c.in.State)
		}
		c.pass(2 * time.Minute)
		if c.in.Status != StatusResolved || !c.in.State.Final() {
			t.Errorf("off for %v: after its end %s %s", off, c.in.Status, c.in.State)
		}
	}
}

// TestARelapseAfterCancelled counts, unless what was cancelled was only suspected.
func TestARelapseAfterCancelled(t *testing.T) {
	for _, first := range []SignalState{Suspect, Confirmed} {
		c := newCrashes(t, Rung{Action: RestartAgent, Params: map[string]string{"agent": "decision"}, Verification: "signal"})
		w := c.world
		w.answer = func(*world, Effect) []Event { return nil } // nobody decides
		w.open(AgentDown, first, c.in.Ladder, Settings{})
		c.down = false
		c.pass(4 * time.Second)
		if c.in.State != Cancelled {
			t.Fatalf("%s: %s", first, c.in.State)
		}
		c.down = true
		c.pass(time.Second)
		if want := map[SignalState]int{Suspect: 0, Confirmed: 1}[first]; len(c.in.Relapses) != want {
			t.Errorf("%s: %d relapses", first, len(c.in.Relapses))
		}
		if why := c.in.Timeline[3].Text; strings.Contains(why, " 0. ") {
			t.Error(why)
		}
	}
}

// TestWhatOnlyAPersonMendsCallsOnce: a bus that comes and goes, or a feed that is broken now and then, is one incident
// that calls once; it ends once it stays away.
func TestWhatOnlyAPersonMendsCallsOnce(t *testing.T) {
	for kind, bug := range map[string]string{BusDown: "", DataDrift: "unit: credit_score times 1000"} {
		s := &script{t: t, now: t0}
		ill := func() Signal {
			sig := s.signal(kind, Confirmed)
			sig.DataBug = bug
			return sig
		}
		var err error
		if s.in, s.fx, err = Open(Start{ID: "i1", Signal: ill()}, s.now); err != nil {
			t.Fatal(err)
		}
		for range 8 {
			for range 6 {
				s.wait(time.Second).sig(Healthy)
			}
			s.wait(time.Second)
			again := ill()
			s.step(Event{Type: EvSignal, Signal: &again})
		}
		if s.in.Escalations != 1 || s.in.State != Escalated || len(s.in.Relapses) != 0 {
			t.Errorf("%s: %d calls, %d relapses, %s", kind, s.in.Escalations, len(s.in.Relapses), s.in.State)
		}
		for range 17 {
			s.wait(time.Second).sig(Healthy)
		}
		s.is(Cancelled, StatusResolved)
	}
}

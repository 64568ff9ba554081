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

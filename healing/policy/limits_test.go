package policy

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestLimits(t *testing.T) {
	l := StagingLimits()
	mode := []string{"mode"}
	use := func(id string, ago time.Duration, held bool) Use {
		return Use{ActionID: id, Action: "ENABLE_SAFE_MODE", Touches: mode, At: t0.Add(-ago), EndedAt: t0.Add(-ago + time.Second), Held: held}
	}
	for _, c := range []struct {
		name string
		uses []Use
		want string // part of the reason; empty: within
	}{
		{"none", nil, ""},
		{"cooldown", []Use{use("a", 4*time.Minute, true)}, "cooldown"},
		{"cooldown over", []Use{use("a", 6*time.Minute, true)}, ""},
		{"cooldown doubled", []Use{use("a", 9*time.Minute, true), use("b", 40*time.Minute, true)}, "cooldown"},
		{"cooldown doubled, over", []Use{use("a", 11*time.Minute, true), use("b", 40*time.Minute, true)}, ""},
		{"an hour's budget", []Use{use("a", 59*time.Minute, true), use("b", 50*time.Minute, true), use("c", 40*time.Minute, true)}, "on this target in an hour"},
		{"itself, asked again", []Use{use("new", time.Second, true)}, ""},
		{"a clock moved back", []Use{use("a", -time.Hour, true)}, "cooldown"},
		{"in flight", []Use{{ActionID: "a", Touches: []string{"x"}, At: t0}, {ActionID: "b", Touches: []string{"y"}, At: t0}}, "in flight"},
		{"in flight of one incident and its own", []Use{{ActionID: "new/a1", Touches: []string{"z"}, At: t0}, {ActionID: "i/a1", Touches: []string{"x"}, At: t0}, {ActionID: "i/a2", Touches: []string{"y"}, At: t0}}, ""},
		{"breaker", []Use{use("a", 20*time.Minute, false), use("b", 18*time.Minute, false), use("c", 16*time.Minute, false)}, "breaker"},
		{"breaker reset", []Use{use("a", 59*time.Minute, false), use("b", 58*time.Minute, false), use("c", 40*time.Minute, false)}, "in an hour"},
	} {
		v := l.Check("new", "ENABLE_SAFE_MODE", mode, 0, c.uses, t0)
		if v.Within != (c.want == "") || !strings.Contains(v.Reason, c.want) {
			t.Errorf("%s: %+v, want %q", c.name, v, c.want)
		}
	}
	if v := l.Check("new", "ENABLE_SAFE_MODE", nil, 0, nil, t0); v.Within {
		t.Error("an empty target was allowed")
	}
	if v := l.Check("new", "ENABLE_SAFE_MODE", mode, 2*time.Hour, []Use{use("a", 59*time.Minute, true)}, t0); v.Cooldown != 61*time.Minute {
		t.Errorf("the rung's own cooldown: %v", v.Cooldown)
	}
}

func TestLimitsThatTheClockLifts(t *testing.T) {
	l := StagingLimits()
	mode := []string{"mode"}
	use := func(ago time.Duration, touches string, held bool) Use {
		return Use{ActionID: touches + ago.String(), Action: "ENABLE_SAFE_MODE", Touches: []string{touches}, At: t0.Add(-ago), EndedAt: t0.Add(-ago), Held: held}
	}
	for _, c := range []struct {
		name string
		uses []Use
		want time.Duration
	}{
		{"within", nil, 0},
		{"cooldown", []Use{use(4*time.Minute, "mode", true)}, time.Minute},
		{"the target's hour", []Use{use(59*time.Minute, "mode", true), use(58*time.Minute, "mode", true), use(57*time.Minute, "mode", true)}, time.Minute},
		{"another target's", []Use{use(59*time.Minute, "x", true), use(58*time.Minute, "x", true), use(57*time.Minute, "x", true)}, 0},
		{"breaker", []Use{use(20*time.Minute, "x", false), use(18*time.Minute, "x", false), use(16*time.Minute, "x", false), use(time.Minute, "mode", true)}, 0},
	} {
		v := l.Check("new", "ENABLE_SAFE_MODE", mode, 0, c.uses, t0)
		if v.Wait != c.want {
			t.Errorf("%s: wait %v, want %v (%s)", c.name, v.Wait, c.want, v.Reason)
		}
		if v.Wait > 0 && !l.Check("new", "ENABLE_SAFE_MODE", mode, 0, c.uses, t0.Add(v.Wait)).Within {
			t.Errorf("%s: not within after the wait", c.name)
		}
	}
}

func TestLimitsNeverExceeded(t *testing.T) {
	l := DemoLimits()
	l.BreakerFailures = 1000
	var uses []Use
	for s := range 7200 {
		now := t0.Add(time.Duration(s) * time.Second)
		v := l.Check("new", "RESTART_AGENT", []string{"agent:model"}, 0, uses, now)
		if v.Within {
			uses = append(uses, Use{ActionID: now.String(), Action: "RESTART_AGENT", Touches: []string{"agent:model"}, At: now, EndedAt: now})
		}
	}
	if len(uses) == 0 || len(uses) > 2*l.TargetHour {
		t.Errorf("%d restarts in two hours", len(uses))
	}
	for i, u := range uses {
		n := 0
		for _, other := range uses[:i+1] {
			if u.At.Sub(other.At) < time.Hour {
				n++
			}
		}
		if n > l.TargetHour {
			t.Fatalf("%d restarts in an hour", n)
		}
	}
}

func TestLimitTablesAreSound(t *testing.T) {
	for _, l := range []Limits{DemoLimits(), StagingLimits()} {
		if err := l.Validate(); err != nil {
			t.Error(err)
		}
	}
	for _, c := range []struct {
		change func(*Limits)
		want   string
	}{
		{func(l *Limits) { l.TargetHour = 0 }, "limits.target_hour"},
		{func(l *Limits) { l.BreakerReset = -1 }, "limits.breaker_reset"},
		{func(l *Limits) { l.Cooldown["RESTART_AGENT"] = -1 }, "limits.cooldown.RESTART_AGENT"},
	} {
		l := DemoLimits()
		c.change(&l)
		if err := l.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}

func TestWhoMayDecide(t *testing.T) {
	approver := Principal{Name: "eva", Roles: []Role{Approver}}
	for _, c := range []struct {
		p        Principal
		proposer string
		want     error
	}{
		{approver, "healing", nil},
		{approver, "eva", ErrSelfApproval},
		{LocalPrincipal(), "healing", nil},
		{LocalPrincipal(), "local", ErrSelfApproval},
		{Principal{Name: "adam", Roles: []Role{Admin}}, "healing", ErrRole},
		{Principal{Name: "olga", Roles: []Role{Operator, Viewer}}, "healing", ErrRole},
		{Principal{Name: "bot", Roles: []Role{Approver}, Agent: true}, "healing", ErrAgentDecides},
		{Principal{Roles: []Role{Approver}}, "healing", ErrNoName},
		{approver, "", ErrNoName},
	} {
		if err := c.p.MayDecide(c.proposer); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%+v decides for %s: %v, want %v", c.p, c.proposer, err, c.want)
		}
	}
	if err := (Principal{Name: "v", Roles: []Role{Viewer, Approver}}).MayPropose(); !errors.Is(err, ErrRole) {
		t.Error(err)
	}
}

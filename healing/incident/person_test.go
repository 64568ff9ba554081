package incident

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// With a person: retry starts the ladder again, in the order that it brings; close ends what nothing else will end, and
// only that; both say who and why.
func TestAPersonsWords(t *testing.T) {
	ladder := []Rung{{Action: EnableSafeMode, Verification: "signal"}, {Action: RestartAgent, Params: map[string]string{"agent": "model"}, Verification: "signal"}}
	escalated := func() *world {
		w := newWorld(func(format string, args ...any) { t.Helper(); t.Fatalf(format, args...) })
		w.open(LatencySLOBreach, Confirmed, ladder, Settings{})
		w.step(Event{Type: EvEscalate, By: "ann", Reason: "I look at it"})
		if w.in.State != Escalated || w.in.Escalation != EscPerson {
			t.Fatalf("%s %s", w.in.State, w.in.Escalation)
		}
		return w
	}
	w := escalated()
	for typ, want := range map[EventType]string{EvEscalate: "called already", EvClose: "CONFIRMED still"} {
		if why := Fits(w.in, Event{Type: typ, By: "ann"}, w.now); !strings.Contains(why, want) {
			t.Errorf("%s: %q", typ, why)
		}
		before := w.in.Steps
		w.step(Event{Type: typ, By: "ann", Reason: "x"})
		if w.in.State != Escalated || w.in.Steps != before {
			t.Errorf("%s: %s", typ, w.in.State)
		}
	}
	again := Event{Type: EvRetry, By: "ann", Reason: "the host is back", Ladder: []Rung{ladder[1], ladder[0]}, OrderReason: "ranked"}
	if why := Fits(w.in, again, w.now); why != "" {
		t.Errorf("retry: %s", why)
	}
	w.now = w.now.Add(time.Second)
	w.step(again)
	a := w.in.current()
	if w.in.State != Proposed || a.Type != RestartAgent || w.in.OrderReason != "ranked" {
		t.Errorf("%s %s %q", w.in.State, a.Type, w.in.OrderReason)
	}
	if before := w.in.Actions[:len(w.in.Actions)-1]; len(before) == 0 || w.in.Earlier(*a) || slices.ContainsFunc(before, func(b Action) bool { return !b.open() && !w.in.Earlier(b) }) {
		t.Errorf("the pass that begins now is told with what was tried before: %+v", before)
	}
	if why := Fits(w.in, again, w.now); !strings.Contains(why, "in hand") {
		t.Errorf("retry of what is in hand: %q", why)
	}

	w = escalated()
	w.now = w.now.Add(time.Minute) // no data any more
	end := Event{Type: EvClose, By: "ann", Reason: "the service is gone"}
	if why := Fits(w.in, end, w.now); why != "" {
		t.Errorf("close: %s", why)
	}
	w.step(end)
	if w.in.State != Failed || w.in.Status != StatusFailed || !strings.Contains(w.in.Reason, "ann ended it: the service is gone") {
		t.Errorf("%s %s %q", w.in.State, w.in.Status, w.in.Reason)
	}
	for _, typ := range []EventType{EvRetry, EvEscalate, EvClose} {
		if why := Fits(w.in, Event{Type: typ, By: "ann"}, w.now); !strings.Contains(why, "ended") {
			t.Errorf("%s of what has ended: %q", typ, why)
		}
	}
}

// Safe mode is never left behind by closing.
func TestSafeModeIsNotClosedOver(t *testing.T) {
	w := newWorld(func(format string, args ...any) { t.Helper(); t.Fatalf(format, args...) })
	w.open(AgentDown, Confirmed, []Rung{{Action: EnableSafeMode, Verification: "signal", Protect: true}}, Settings{})
	w.light = true
	w.deliver()
	w.now = w.now.Add(time.Second)
	w.sig(Confirmed)
	if w.in.State != Escalated || !w.in.Degraded {
		t.Fatalf("%s, degraded %v", w.in.State, w.in.Degraded)
	}
	w.now = w.now.Add(time.Minute)
	if why := Fits(w.in, Event{Type: EvClose, By: "ann"}, w.now); !strings.Contains(why, "safe mode stands") {
		t.Errorf("%q", why)
	}
}

// A person restarts the agent that an action of ours is about, while safe mode protects: the action is theirs, but safe
// mode is still left by us when the model is well.
func TestAPersonsRestartLeavesSafeModeToUs(t *testing.T) {
	w := newWorld(func(format string, args ...any) { t.Helper(); t.Fatalf(format, args...) })
	w.open(AgentDown, Confirmed, []Rung{
		{Action: EnableSafeMode, Verification: "signal", Protect: true},
		{Action: RestartAgent, Params: map[string]string{"agent": "decisions"}, Verification: "agent", VerifyTTL: time.Minute},
	}, Settings{})
	w.light = true
	for range 5 {
		w.deliver()
		w.now = w.now.Add(time.Second)
		if w.in.State != Verifying {
			w.sig(Confirmed)
		}
	}
	if w.in.State != Verifying || !w.in.Degraded {
		t.Fatalf("%s, degraded %v", w.in.State, w.in.Degraded)
	}
	w.step(Event{Type: EvPerson, Setting: "agent:decisions", Value: "3", By: "ann"})
	if w.in.State != Escalated || w.in.Actions[1].Result != TakenOver || w.in.Actions[0].Result != HandedOver || !w.in.Degraded {
		t.Fatalf("%s, %s, %s", w.in.State, w.in.Actions[0].Result, w.in.Actions[1].Result)
	}
	for range 12 {
		w.now = w.now.Add(time.Second)
		w.sig(Healthy)
		w.step(Event{Type: EvShadow, Shadow: &Shadow{State: Healthy, N: 3, ObservedAt: w.now}})
	}
	if !w.is(Restore) {
		t.Errorf("%s: safe mode stays", w.in.State)
	}
}

func (w *world) is(p Purpose) bool {
	a := w.in.current()
	return a != nil && a.Purpose == p
}

// TestWhatAPersonDoesFirst: who restarts by hand what a request was to restart has answered it. What monitoring still says
// of the life before asks for nothing; if the next life is down too, the rung is asked for again.
func TestWhatAPersonDoesFirst(t *testing.T) {
	ladder := []Rung{{Action: RestartAgent, Params: map[string]string{"agent": "decisions"}, Verification: "agent", VerifyTTL: time.Minute}}
	restarted := func() *script {
		s := opened(t, AgentDown, ladder).decide(AGLEscalated).is(AwaitingApproval, StatusOpen)
		request := s.in.current().RequestID
		s.wait(time.Second).step(Event{Type: EvPerson, Setting: "agent:decisions", Value: "2", By: "ann"}).is(Detected, StatusOpen)
		if a := s.in.Actions[0]; a.Result != Withdrawn || a.Reason != "ann restarted decisions" || s.emitted(FxWithdraw).RequestID != request {
			t.Fatalf("%+v", a)
		}
		return s
	}
	down := func(s *script, since time.Time) *script {
		sig := s.signal(AgentDown, Confirmed)
		sig.OnsetAt = since
		return s.step(Event{Type: EvSignal, Signal: &sig})
	}

	s := restarted()
	begun := s.now
	for range 2 { // of the life before
		down(s.wait(time.Second), begun.Add(-3*time.Second)).is(Detected, StatusOpen)
	}
	for range 4 {
		s.wait(time.Second).sig(Healthy)
	}
	s.is(Cancelled, StatusResolved)
	if s.in.Reason != "healthy after ann restarted decisions" || s.in.Escalations != 0 || len(s.in.Actions) != 1 {
		t.Errorf("%q, %d calls, %v", s.in.Reason, s.in.Escalations, s.types())
	}
	if !slices.ContainsFunc(s.all, func(f Effect) bool { return f.Type == FxRemember && f.Memory.NoCredit == NoCreditPerson }) {
		t.Errorf("remembered as if it had ended by itself: %+v", s.all)
	}
	down(s.wait(time.Second), s.now).proposes(RestartAgent) // a relapse, and of this life
	if s.in.ByHand != "" {
		t.Error(s.in.ByHand)
	}

	s = restarted()
	down(s.wait(2*time.Second), s.now.Add(time.Second)).proposes(RestartAgent) // it died at once

	s = restarted()
	old := s.now.Add(-3 * time.Second)
	down(s.wait(4*time.Second), old).is(Detected, StatusOpen)
	down(s.wait(2*time.Second), old).proposes(RestartAgent) // the restart changed nothing
	if s.in.ByHand != "" {
		t.Errorf("it is asked for again, and told as mended: %s", s.in.ByHand)
	}
}

package incident

import (
	"slices"
	"testing"
	"time"
)

var t0 = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// script drives one incident by hand.
type script struct {
	t   *testing.T
	in  Incident
	now time.Time
	fx  []Effect // of the last step
	all []Effect
}

func latencyLadder() []Rung {
	return []Rung{
		{Action: EnableSafeMode, Verification: "signal", Dwell: time.Second},
		{Action: RestartAgent, Params: map[string]string{"agent": "feature"}, Verification: "signal", Dwell: time.Second},
	}
}

func opened(t *testing.T, kind string, ladder []Rung) *script {
	t.Helper()
	s := &script{t: t, now: t0}
	in, fx, err := Open(Start{ID: "i1", Signal: s.signal(kind, Confirmed), Ladder: ladder}, s.now)
	if err != nil {
		t.Fatal(err)
	}
	s.in, s.fx, s.all = in, fx, fx
	return s
}

func (s *script) signal(kind string, state SignalState) Signal {
	return Signal{Kind: kind, Target: "decisions", Fingerprint: kind + "/decisions", State: state, Value: 2000, Threshold: 300, N: 100, ObservedAt: s.now, WindowFrom: s.now}
}

func (s *script) step(ev Event) *script {
	s.t.Helper()
	out, fx, err := Step(s.in, ev, s.now)
	if err != nil {
		s.t.Fatalf("%s: %v", ev.Type, err)
	}
	s.in, s.fx, s.all = out, fx, append(s.all, fx...)
	return s
}

func (s *script) sig(state SignalState) *script {
	sig := s.signal(s.in.Kind, state)
	sig.Fingerprint = s.in.Fingerprint
	return s.step(Event{Type: EvSignal, Signal: &sig})
}

func (s *script) wait(d time.Duration) *script { s.now = s.now.Add(d); return s }

func (s *script) decide(agl string) *script {
	s.t.Helper()
	a := s.in.current()
	d := Decision{RequestID: a.RequestID, AGL: agl, Rule: "test", ExpiresAt: s.now.Add(5 * time.Minute)}
	if a.Undo != nil {
		d.RequestID = a.Undo.RequestID
	} else if inv := map[string]string{EnableSafeMode: DisableSafeMode, DisableSafeMode: EnableSafeMode, RollbackModel: RestoreModel, PromoteModel: RestoreModel, AcceptReference: RestoreReference}[a.Type]; inv != "" {
		d.Inverse = &Inverse{Type: inv}
	}
	return s.step(Event{Type: EvDecision, Decision: &d})
}

func (s *script) succeed(outcome string) *script {
	return s.step(Event{Type: EvSucceeded, ActionID: s.in.CurrentID, At: s.now, Outcome: outcome, Params: map[string]string{"digest": "d7"}})
}

func (s *script) verdict(state SignalState) *script {
	a := s.in.current()
	return s.step(Event{Type: EvVerdict, ActionID: a.ID, Verdict: &Verdict{State: state, N: 50, From: a.ExecutedAt, ObservedAt: s.now, Lower: 0, Upper: 0.01}})
}

func (s *script) undone() *script {
	return s.step(Event{Type: EvUndone, ActionID: s.in.current().Undo.ID, At: s.now})
}

func (s *script) is(state State, status Status) *script {
	s.t.Helper()
	if s.in.State != state || s.in.Status != status {
		s.t.Fatalf("state %s, status %s (%s); want %s, %s\n%v", s.in.State, s.in.Status, s.in.Reason, state, status, s.in.Timeline)
	}
	return s
}

func (s *script) emitted(want EffectType) Effect {
	s.t.Helper()
	for _, f := range s.fx {
		if f.Type == want {
			return f
		}
	}
	s.t.Fatalf("no %s among %v", want, s.fx)
	return Effect{}
}

// toSafe brings a latency incident into verified safe mode.
func toSafe(t *testing.T) *script {
	s := opened(t, LatencySLOBreach, latencyLadder()).is(Proposed, StatusOpen)
	s.decide(AGLApproved).is(Executing, StatusMitigating).succeed("").is(Verifying, StatusMitigating)
	s.wait(time.Second).verdict(Healthy).is(Verifying, StatusMitigating)
	return s.wait(time.Second).verdict(Healthy).is(Degraded, StatusResolved)
}

func (s *script) shadow(state SignalState, d time.Duration) *script {
	for end := s.now.Add(d); s.now.Before(end) && (s.in.State == Degraded || s.in.State == Escalated); {
		s.wait(time.Second).step(Event{Type: EvShadow, Shadow: &Shadow{State: state, N: 5, ObservedAt: s.now}})
	}
	return s
}

func TestLatencyHealsAndTheModelComesBack(t *testing.T) {
	s := toSafe(t)
	if !s.in.Degraded || s.in.ResolvedAt.IsZero() || !s.in.RestoredAt.IsZero() {
		t.Fatalf("in safe mode: %+v", s.in)
	}
	s.shadow(Confirmed, 5*time.Second).is(Degraded, StatusResolved)
	from := s.now
	s.shadow(Healthy, 20*time.Second).is(Proposed, StatusResolved)
	if fx := s.emitted(FxPolicy); fx.Purpose != Restore || fx.Action.Type != DisableSafeMode {
		t.Fatalf("effect %+v", fx)
	}
	s.decide(AGLApproved).is(Executing, StatusResolved).succeed("").is(Verifying, StatusResolved)
	if !s.in.Degraded {
		t.Error("degraded ends only when the model is shown healthy")
	}
	s.wait(time.Second).verdict(Healthy).wait(2*time.Second).verdict(Healthy).is(Resolved, StatusResolved)
	if s.in.Degraded || s.in.RestoredAt.IsZero() || s.now.Sub(from) > 15*time.Second {
		t.Errorf("degraded %v, restored at %v, %v after the fault's end", s.in.Degraded, s.in.RestoredAt, s.now.Sub(from))
	}
}

// TestARestoreStandsUntilSomebodyDecides: while nobody does, one request to leave safe mode follows the other, and the
// incident doesn't grow. Who says no has a minute's quiet.
func TestARestoreStandsUntilSomebodyDecides(t *testing.T) {
	well := func(s *script) *script {
		return s.step(Event{Type: EvShadow, Shadow: &Shadow{State: Healthy, N: 5, ObservedAt: s.now}})
	}
	s := toSafe(t).shadow(Healthy, 10*time.Second).is(Proposed, StatusResolved)
	first := s.in.current().RequestID
	for n := range 20 {
		s.decide(AGLEscalated).is(AwaitingApproval, StatusResolved)
		request, until := s.in.current().RequestID, s.in.DeadlineAt
		for s.now.Add(time.Second).Before(until) {
			well(s.wait(time.Second)).is(AwaitingApproval, StatusResolved)
		}
		s.wait(time.Second)
		if n%2 == 0 { // whoever sees first that it is late
			s.step(Event{Type: EvDecision, At: s.now, Decision: &Decision{RequestID: request, AGL: AGLDenied, Rule: "expired"}})
		}
		late := func(a Action) bool { return a.RequestID == request && a.Result == Denied }
		saved := slices.ContainsFunc(s.in.Actions, late)
		well(s).is(Proposed, StatusResolved)
		if !saved && !slices.ContainsFunc(s.in.Actions, late) {
			t.Fatalf("of %s it is never known that it has expired: %+v", request, s.in.Actions)
		}
		if s.in.current().RequestID == request {
			t.Fatalf("%s is asked for again, which has expired", request)
		}
	}
	if n := len(s.in.Actions); n > 3 || s.in.Actions[0].Type != EnableSafeMode {
		t.Errorf("%d actions: %v", n, s.types())
	}
	if a := s.in.current(); a.RequestID == first || a.Purpose != Restore {
		t.Errorf("%+v", a)
	}
	s.decide(AGLEscalated).wait(time.Second).decide(AGLDenied).is(Degraded, StatusResolved)
	s.shadow(Healthy, 55*time.Second).is(Degraded, StatusResolved)
	s.shadow(Healthy, 10*time.Second).is(Proposed, StatusResolved)
}

func TestWhatDoesNotHoldIsUndoneAndTheNextRungRuns(t *testing.T) {
	s := opened(t, LatencySLOBreach, latencyLadder()).decide(AGLApproved).succeed("")
	s.wait(time.Second).verdict(Confirmed).is(Undoing, StatusMitigating)
	if s.emitted(FxPolicy).Purpose != Undo {
		t.Error("an undo is asked for")
	}
	s.decide(AGLApproved).is(Undoing, StatusMitigating)
	if fx := s.emitted(FxUndo); fx.Action.Inverse.Type != DisableSafeMode || fx.Undoes != "i1/a1" {
		t.Errorf("%+v", fx)
	}
	s.wait(time.Millisecond).undone().is(Detected, StatusMitigating) // the next rung needs a signal from after the undo
	s.wait(time.Millisecond).sig(Confirmed).is(Proposed, StatusMitigating)
	if a := s.in.current(); a.Type != RestartAgent || s.in.Degraded {
		t.Fatalf("%+v", a)
	}
	s.decide(AGLApproved).succeed("").wait(time.Second).verdict(Confirmed).is(Undoing, StatusMitigating)
	s.wait(time.Millisecond).undone().is(Detected, StatusMitigating).wait(time.Second)
	s.sig(Confirmed).is(Escalated, StatusMitigating)
	if s.in.Escalation != EscLadderEnd || s.in.Actions[0].Result != Undone || s.in.Actions[1].Result != NotHeld {
		t.Errorf("%s %+v", s.in.Escalation, s.in.Actions)
	}
	s.wait(2*time.Hour).step(Event{Type: EvTick}).is(Failed, StatusFailed)
}

// TestAnAgentLeftToAPersonIsRemindedOf: with growing gaps, as long as it is down, and it counts as failed when it would have
// without.
func TestAnAgentLeftToAPersonIsRemindedOf(t *testing.T) {
	s := opened(t, AgentDown, []Rung{{Action: RestartAgent, Verification: "agent"}})
	s.decide(AGLApproved).succeed("").wait(time.Second).verdict(Confirmed).undone().sig(Confirmed).is(Escalated, StatusMitigating)
	called := s.now
	var calls []time.Duration
	until := func(d time.Duration, state SignalState) {
		for s.now.Sub(called) < d && s.in.State == Escalated {
			s.all = nil
			s.wait(time.Second).sig(state)
			for _, f := range s.all {
				if f.Type == FxNotify {
					calls = append(calls, s.now.Sub(called))
				}
			}
		}
	}
	until(36*time.Minute, Confirmed)
	if len(calls) != 3 || calls[0] != 5*time.Minute || calls[1] != 15*time.Minute || calls[2] != 35*time.Minute {
		t.Errorf("reminded after %v", calls)
	}
	until(61*time.Minute, Unknown) // nobody can tell any more
	if s.is(Failed, StatusFailed); s.now.Sub(called) != time.Hour || len(calls) != 3 {
		t.Errorf("failed after %v, reminded after %v", s.now.Sub(called), calls)
	}
}

package incident

import (
	"strings"
	"testing"
	"time"
)

// notYet denies the request in progress until a time.
func (s *script) notYet(wait time.Duration) *script {
	s.t.Helper()
	d := Decision{RequestID: s.in.current().RequestID, AGL: AGLDenied, Rule: "limits", Reason: "cooldown", RetryAt: s.now.Add(wait)}
	return s.step(Event{Type: EvDecision, Decision: &d})
}

func (s *script) proposes(action string) *script {
	s.t.Helper()
	s.is(Proposed, s.in.Status)
	if got := s.in.current().Type; got != action {
		s.t.Fatalf("proposes %s, want %s", got, action)
	}
	return s
}

func TestAShortWaitIsWaitedFor(t *testing.T) {
	s := opened(t, LatencySLOBreach, latencyLadder()).proposes(EnableSafeMode).notYet(852*time.Millisecond).is(Detected, StatusOpen)
	if s.in.Actions[0].Result != Denied || !strings.Contains(s.in.Reason, "asked again in 852ms") {
		t.Errorf("%+v: %s", s.in.Actions[0], s.in.Reason)
	}
	s.wait(500*time.Millisecond).sig(Confirmed).is(Detected, StatusOpen)
	s.wait(500 * time.Millisecond).sig(Confirmed).proposes(EnableSafeMode)
	if len(s.in.Actions) != 2 || s.in.Actions[1].RequestID == s.in.Actions[0].RequestID || s.emitted(FxPolicy).Type == "" {
		t.Errorf("%+v", s.in.Actions)
	}
	// What heals meanwhile is not acted on.
	s = opened(t, LatencySLOBreach, latencyLadder()).notYet(5 * time.Second)
	for range 4 {
		s.wait(time.Second).sig(Healthy)
	}
	s.is(Cancelled, StatusResolved)
}

func TestALongerWaitLetsTheOtherRungsActFirst(t *testing.T) {
	s := opened(t, LatencySLOBreach, latencyLadder()).notYet(30 * time.Second).proposes(RestartAgent)
	// Itself the last, it would be asked for again, but the first one comes before it.
	s.decide(AGLDenied).is(Detected, StatusOpen)
	for range 29 {
		s.wait(time.Second).sig(Confirmed).is(Detected, StatusOpen)
	}
	s.wait(time.Second).sig(Confirmed).proposes(EnableSafeMode)
	s.decide(AGLDenied).is(Escalated, StatusOpen) // for good now
	if s.in.Escalation != EscLadderEnd {
		t.Error(s.in.Escalation)
	}
}

func TestTheLastRungWaitsLonger(t *testing.T) {
	s := opened(t, LatencySLOBreach, latencyLadder()[:1]).notYet(time.Minute).is(Detected, StatusOpen)
	s.wait(59*time.Second).sig(Confirmed).is(Detected, StatusOpen)
	s.wait(time.Second).sig(Confirmed).proposes(EnableSafeMode)
	// Not for ever, and not for what is far away.
	s.notYet(time.Second).wait(time.Second).sig(Confirmed).proposes(EnableSafeMode)
	s.notYet(time.Second).wait(time.Second).sig(Confirmed).proposes(EnableSafeMode)
	s.notYet(time.Second).is(Escalated, StatusOpen)
	opened(t, LatencySLOBreach, latencyLadder()[:1]).notYet(3*time.Minute).is(Escalated, StatusOpen)
}

// TestWhatFollowsWaitsForALimit: a cooldown of seconds takes nothing back of the rung that it comes after.
func TestWhatFollowsWaitsForALimit(t *testing.T) {
	trained := func() *script {
		return drifted(t, map[string]bool{FactEarlierReference: false}).decide(AGLApproved).succeed("keep").proposes(AcceptReference)
	}
	s := trained()
	asked := s.in.current().RequestID
	s.notYet(40*time.Second).is(Proposed, StatusMitigating)
	for _, f := range s.fx {
		if f.Type == FxPolicy {
			t.Errorf("asked again at once: %+v", f)
		}
	}
	for range 39 {
		s.wait(time.Second).sig(Confirmed).is(Proposed, StatusMitigating)
		if len(s.fx) > 0 {
			t.Fatalf("while it waits: %+v", s.fx)
		}
	}
	s.wait(time.Second).sig(Confirmed).proposes(AcceptReference)
	if again := s.emitted(FxPolicy).RequestID; again == asked || again != s.in.current().RequestID {
		t.Errorf("request %s, before it %s", again, asked)
	}
	s.wait(2 * time.Second).sig(Confirmed).emitted(FxPolicy) // nobody has answered
	s.decide(AGLApproved).is(Executing, StatusMitigating).succeed("").wait(time.Second).verdict(Healthy).is(Resolved, StatusResolved)
	s.want("RESTORE_REFERENCE REFUSED", "TRIGGER_RETRAINING VERIFIED", "ACCEPT_REFERENCE VERIFIED")

	trained().notYet(3*time.Minute).is(Undoing, StatusMitigating) // too far away
	s = trained()
	for range s.in.Settings.MaxAsks - 1 { // and not for ever
		s.notYet(time.Second).is(Proposed, StatusMitigating).wait(time.Second)
	}
	s.notYet(time.Second).is(Undoing, StatusMitigating)
}

// TestAPersonsHoldIsWaitedOut: the ladder came to its end because a person held what a rung touches. When the hold ends and
// the signal is still bad the ladder begins again, once.
func TestAPersonsHoldIsWaitedOut(t *testing.T) {
	s := opened(t, LatencySLOBreach, latencyLadder()[:1]).proposes(EnableSafeMode)
	held := Event{Type: EvRefused, ActionID: s.in.CurrentID, Reason: "ann's", Until: s.now.Add(10 * time.Minute)}
	s.step(held).is(Escalated, StatusOpen)
	for range 599 {
		s.wait(time.Second).sig(Confirmed).is(Escalated, StatusOpen)
	}
	s.wait(time.Second).sig(Confirmed).proposes(EnableSafeMode).decide(AGLDenied).is(Escalated, StatusOpen)
	for range 60 {
		s.wait(time.Second).sig(Confirmed).is(Escalated, StatusOpen)
	}
}

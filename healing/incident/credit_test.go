package incident

import (
	"strings"
	"testing"
	"time"
)

// remembered is the last memory of an action, as the agent is to keep it.
func (s *script) remembered(action string) (m *Memory) {
	for _, f := range s.all {
		if f.Type == FxRemember && f.Memory.Action == action {
			m = f.Memory
		}
	}
	return m
}

// TestOnlyWhatWasVerifiedEarnsCredit: what stands when a fault ends after a person was called, or beside the action that
// healed, has shown nothing.
func TestOnlyWhatWasVerifiedEarnsCredit(t *testing.T) {
	called := func() *script {
		s := opened(t, PerfDrop, randomLadders[PerfDrop][1:2]).wait(time.Second).sig(Confirmed).decide(AGLApproved).succeed("")
		return s.wait(time.Second).sig(Confirmed).is(Escalated, StatusMitigating)
	}
	s := called()
	for range 4 {
		s.wait(time.Second).sig(Healthy)
	}
	s.is(Degraded, StatusResolved).want("ENABLE_SAFE_MODE STOOD")
	if m := s.remembered(EnableSafeMode); m == nil || m.Held || m.NoCredit != NoCreditPerson || !s.in.SelfRecovered {
		t.Errorf("after a person was called: %+v, by itself %v", m, s.in.SelfRecovered)
	}

	// Nobody is called: outcomes that were reported wrongly are right again while a model is trained.
	s = opened(t, PerfDrop, randomLadders[PerfDrop][1:]).wait(time.Second).sig(Confirmed).decide(AGLApproved).succeed("")
	s.wait(time.Second).sig(Confirmed).decide(AGLApproved).is(Executing, StatusMitigating)
	for range 4 {
		s.wait(time.Second).sig(Healthy)
	}
	s.is(Degraded, StatusResolved)
	if m := s.remembered(EnableSafeMode); m == nil || m.Held || m.NoCredit != NoCreditSelf || !s.in.SelfRecovered {
		t.Errorf("accurate again in safe mode: %+v, by itself %v", m, s.in.SelfRecovered)
	}

	// A person tries again, and a rollback heals.
	s = called()
	s.step(Event{Type: EvRetry, By: "ann", Ladder: randomLadders[PerfDrop][:1]}).wait(time.Second).sig(Confirmed).decide(AGLApproved).succeed("")
	s.wait(time.Second).verdict(Healthy).is(Degraded, StatusResolved).want("ENABLE_SAFE_MODE STOOD", "ROLLBACK_MODEL VERIFIED")
	if m := s.remembered(EnableSafeMode); m.Held || m.NoCredit != NoCreditOther {
		t.Errorf("beside the rollback: %+v", m)
	}
	if m := s.remembered(RollbackModel); !m.Held || m.NoCredit != "" || s.in.SelfRecovered {
		t.Errorf("the rollback: %+v", m)
	}

	// The control shows that it ended by itself: one answer for action, memory and incident.
	s = opened(t, LatencySLOBreach, latencyLadder()).decide(AGLApproved).succeed("")
	for range 3 {
		s.wait(time.Second)
		if s.in.State == Verifying {
			a := s.in.current()
			s.step(Event{Type: EvVerdict, ActionID: a.ID, Verdict: &Verdict{State: Healthy, N: 50, From: a.ExecutedAt, ObservedAt: s.now, SelfRecovered: true}})
		}
	}
	if m := s.remembered(EnableSafeMode); m == nil || !m.SelfRecovered || s.in.Actions[0].NoCredit != NoCreditSelf {
		t.Errorf("by itself: %+v, %+v", m, s.in.Actions[0])
	}
}

// TestAPersonsNoIsNotTheActionsFault: a training whose promotion nobody allowed has not failed.
func TestAPersonsNoIsNotTheActionsFault(t *testing.T) {
	training := func() *script {
		return drifted(t, map[string]bool{FactEarlierReference: false}).decide(AGLApproved).succeed("promote")
	}
	silent := training().decide(AGLEscalated).wait(10*time.Minute).step(Event{Type: EvTick}).is(Undoing, StatusMitigating)
	for _, s := range []*script{silent, training().decide(AGLDenied).wait(time.Second)} {
		s.undone().want("RESTORE_REFERENCE REFUSED", "TRIGGER_RETRAINING NOT_HELD", "PROMOTE_MODEL DENIED")
		if m := s.remembered(TriggerRetraining); m != nil {
			t.Errorf("remembered: %+v", m)
		}
	}
	s := drifted(t, map[string]bool{FactEarlierReference: false}).decide(AGLApproved).succeed("none").wait(time.Second).undone()
	if m := s.remembered(TriggerRetraining); m == nil || m.Held {
		t.Errorf("a training that came to nothing: %+v", m)
	}
	s = drifted(t, map[string]bool{FactEarlierReference: false}).decide(AGLApproved)
	s.step(Event{Type: EvSucceeded, ActionID: s.in.CurrentID, Outcome: "none", Blameless: true}).is(Undoing, StatusMitigating).wait(time.Second).undone()
	if m := s.remembered(TriggerRetraining); m != nil {
		t.Errorf("a training on outcomes that are not credible: %+v", m)
	}
}

// TestARelapseIsDetectedAnew: from then to its end is what the relapse took; what came before keeps its own answer.
func TestARelapseIsDetectedAnew(t *testing.T) {
	s := toSafe(t).shadow(Healthy, 10*time.Second)
	s.decide(AGLApproved).succeed("").wait(time.Second).verdict(Healthy).wait(time.Second).verdict(Healthy).is(Resolved, StatusResolved)
	first := s.in.DetectedAt
	s.wait(5 * time.Minute).sig(Confirmed)
	if !s.in.DetectedAt.Equal(s.now) || len(s.in.Detections) != 1 || !s.in.Detections[0].Equal(first) || s.in.Status != StatusOpen {
		t.Fatalf("detected %v before %v, %s", s.in.DetectedAt, s.in.Detections, s.in.Status)
	}
	s.wait(time.Second)
	for range 4 {
		s.wait(time.Second).sig(Healthy)
	}
	s.is(Cancelled, StatusResolved)
	if took := s.in.ResolvedAt.Sub(s.in.DetectedAt); took > 10*time.Second || s.in.Actions[0].NoCredit != "" {
		t.Errorf("took %s; the action that healed before: %q", took, s.in.Actions[0].NoCredit)
	}
	for _, e := range s.in.Timeline {
		if strings.Contains(e.Text, "0. time") {
			t.Error(e.Text)
		}
	}
}

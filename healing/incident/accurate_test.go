package incident

import (
	"slices"
	"testing"
	"time"
)

// TestNothingIsPromotedForWhatIsOver: a loss of accuracy that ends by itself while a model is trained, or while its promotion
// is thought about, ends the incident; the candidate has learnt from what is over.
func TestNothingIsPromotedForWhatIsOver(t *testing.T) {
	ladder := randomLadders[PerfDrop]
	trains := func() *script {
		return opened(t, PerfDrop, ladder[2:]).wait(time.Second).sig(Confirmed).decide(AGLApproved).is(Executing, StatusMitigating)
	}
	well := func(s *script) *script {
		for range 4 {
			s.wait(time.Second).sig(Healthy)
		}
		return s
	}
	needless := func(s *script, action string) {
		t.Helper()
		if m := s.remembered(action); m == nil || m.Held || !m.SelfRecovered || !s.in.SelfRecovered {
			t.Errorf("%s: remembered %+v, by itself %v", action, m, s.in.SelfRecovered)
		}
	}
	// While it is trained: the training is called off, and its executor told.
	s := well(trains()).is(Cancelled, StatusResolved).want("TRIGGER_RETRAINING WITHDRAWN")
	told := slices.ContainsFunc(s.all, func(fx Effect) bool { return fx.Type == FxWithdraw && fx.Action.Type == TriggerRetraining })
	if !told || !s.in.SelfRecovered {
		t.Errorf("the executor is told: %v, by itself %v", told, s.in.SelfRecovered)
	}
	// What it yields all the same, a moment later, is of no use.
	s.step(Event{Type: EvSucceeded, ActionID: s.in.Actions[0].ID, Outcome: "promote"}).is(Cancelled, StatusResolved)

	// It becomes healthy while the promotion waits.
	s = trains().succeed("promote").is(Proposed, StatusMitigating)
	well(s).is(Resolved, StatusResolved).want("TRIGGER_RETRAINING STOOD", "PROMOTE_MODEL WITHDRAWN")
	needless(s, TriggerRetraining)

	// In safe mode that is left when the model is shown well beside it.
	s = opened(t, PerfDrop, ladder[1:]).wait(time.Second).sig(Confirmed).decide(AGLApproved).succeed("")
	s.wait(time.Second).sig(Confirmed).decide(AGLApproved).is(Executing, StatusMitigating)
	well(s).is(Degraded, StatusResolved).want("ENABLE_SAFE_MODE STOOD", "TRIGGER_RETRAINING WITHDRAWN")
	needless(s, EnableSafeMode)

	// Bad still, or well for a moment only: it goes on.
	trains().wait(time.Second).sig(Confirmed).succeed("promote").is(Proposed, StatusMitigating)
	trains().wait(time.Second).sig(Healthy).succeed("promote").is(Proposed, StatusMitigating)
	// Another population stays what it is, whatever the signal says in between.
	s = well(drifted(t, map[string]bool{FactEarlierReference: false}).decide(AGLApproved)).succeed("promote").is(Proposed, StatusMitigating)
	if s.in.current().Type != PromoteModel {
		t.Errorf("%+v", s.in.current())
	}
}

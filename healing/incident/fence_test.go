package incident

import (
	"testing"
	"time"
)

// TestWhatMayStillTakeEffectIsFencedFirst: an action that nobody heard of again blocks its target until it is known to
// have ended.
func TestWhatMayStillTakeEffectIsFencedFirst(t *testing.T) {
	restart := []Rung{{Action: RestartAgent, Params: map[string]string{"agent": "model"}, Verification: "agent"}}
	s := opened(t, LatencySLOBreach, restart).decide(AGLApproved).wait(time.Minute).step(Event{Type: EvTick}).is(Undoing, StatusMitigating)
	s.wait(2*time.Minute).step(Event{Type: EvTick}).is(Escalated, StatusMitigating).want("RESTART_AGENT ESCALATED")
	other := opened(t, LatencySLOBreach, restart).in
	other.ID = "i2"
	if got := Locked([]Incident{s.in, other}, other); got != "i1" {
		t.Errorf("another incident may touch what may still take effect: locked by %q", got)
	}
	sig := s.signal(AgentDown, Confirmed)
	sig.Target, sig.Fingerprint = "model", "AGENT_DOWN/model"
	s.step(Event{Type: EvTakeOver, TakeOver: &TakeOver{Signal: sig, Ladder: restart}}).is(Escalated, StatusMitigating)
	s.want("RESTART_AGENT ESCALATED", "RESTART_AGENT REFUSED")
	s.step(Event{Type: EvRetry, By: "eva"}).is(Undoing, StatusMitigating)
	if s.in.Earlier(*s.in.current()) {
		t.Error("what is being taken back is told as over")
	}
	if fx := s.emitted(FxUndo); fx.Undoes != "i1/a1" || fx.ID == "i1/a1/undo" {
		t.Errorf("%+v", fx)
	}
	s.undone().wait(time.Second).sig(Confirmed).is(Proposed, StatusMitigating)
	if !s.in.Earlier(s.in.Actions[0]) || s.in.Earlier(*s.in.current()) {
		t.Error("what was taken back is told as tried in the new pass, or what is tried now isn't")
	}
}

// TestASignalOverOldDataShowsNothing: a window that reaches back before our last change doesn't end an incident, however
// healthy it is.
func TestASignalOverOldDataShowsNothing(t *testing.T) {
	s := opened(t, PerfDrop, randomLadders[PerfDrop][1:2]).wait(time.Second).sig(Confirmed).decide(AGLApproved).succeed("")
	s.wait(time.Second).sig(Confirmed).is(Escalated, StatusMitigating) // safe mode protects, nothing heals
	changed := s.in.ChangedAt
	healthy := func(from time.Time) {
		sig := s.wait(time.Second).signal(PerfDrop, Healthy)
		sig.WindowFrom = from
		s.step(Event{Type: EvSignal, Signal: &sig})
	}
	for range 10 {
		healthy(changed.Add(-time.Second))
	}
	s.is(Escalated, StatusMitigating)
	for range 4 {
		healthy(changed.Add(time.Second))
	}
	s.is(Degraded, StatusResolved).want("ENABLE_SAFE_MODE STOOD")
}

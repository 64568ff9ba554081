package incident

import (
	"strings"
	"testing"
	"time"
)

// TestWhatDriftsWithIt is in the record before a reference is made of the rows of all, each feature once and as it was seen
// last; what is seen against the new reference is none of it, nor what was before a relapse.
func TestWhatDriftsWithIt(t *testing.T) {
	s := drifted(t, map[string]bool{FactEarlierReference: false})
	with := func(state SignalState, drifts ...Drift) *script {
		sig := s.signal(DataDrift, state)
		sig.With = drifts
		return s.step(Event{Type: EvSignal, Signal: &sig})
	}
	with(Confirmed, Drift{Target: "income", PSI: 0.3})
	before := s.in
	with(Confirmed, Drift{Target: "income", PSI: 0.412}, Drift{Target: "loan_amount", PSI: 0.25})
	if before.With[0].PSI != 0.3 {
		t.Error("the incident that was stepped from was changed")
	}
	const told = "also drifting with it: income (PSI 0.41), loan_amount (PSI 0.25)"
	if got := s.in.AlsoDrifting(); got != told {
		t.Errorf("%q, want %q", got, told)
	}
	s.decide(AGLApproved).succeed("keep").is(Proposed, StatusMitigating)
	if got := s.in.Reason; !strings.HasPrefix(got, "ACCEPT_REFERENCE follows") || !strings.HasSuffix(got, told) {
		t.Errorf("told as %q", got)
	}
	s.decide(AGLApproved).succeed("").is(Verifying, StatusMitigating)
	with(Confirmed, Drift{Target: "debt_ratio", PSI: 0.3})
	if got := s.in.AlsoDrifting(); got != told {
		t.Errorf("%q, want %q", got, told)
	}
	s.wait(time.Second).verdict(Healthy).is(Resolved, StatusResolved)
	s.wait(time.Minute).sig(Confirmed)
	if s.in.State == Resolved || s.in.AlsoDrifting() != "" {
		t.Errorf("%s after a relapse: %q", s.in.State, s.in.AlsoDrifting())
	}
}

package app

import (
	"testing"

	"aura/agents/healing"
	"aura/mlops/gate"
)

// TestDataThatIsNotToBeBelievedBlamesNoTraining: only what the gate says of a candidate, or of the champion, tells what
// training is worth.
func TestDataThatIsNotToBeBelievedBlamesNoTraining(t *testing.T) {
	for code, blameless := range map[gate.Code]bool{
		gate.Labels: true, gate.BrokenFeed: true, gate.Leak: true, gate.TooFew: true, gate.Undecided: false, gate.Kept: false,
	} {
		got, err := (&system{}).conclude(t.Context(), healing.Training{}, &gate.Outcome{Verdict: gate.Verdict{Code: code}}, nil)
		if err != nil || got.Blameless != blameless {
			t.Errorf("%s: blameless %v, %v", code, got.Blameless, err)
		}
	}
}

package app

import (
	"maps"
	"slices"
	"testing"

	"aura/healing/incident"
	"aura/healing/playbook"
	"aura/healing/policy"
)

// TestPlaybookHasTheWordsOfTheLoop: what a playbook may name is what the process tests, tells apart and falls back to; with a
// word that only one of the two knows a rung could never be tried.
func TestPlaybookHasTheWordsOfTheLoop(t *testing.T) {
	if tested, named := slices.Sorted(maps.Keys(facts)), slices.Sorted(slices.Values(playbook.Facts)); !slices.Equal(tested, named) {
		t.Errorf("facts %v are tested, %v may be required", tested, named)
	}
	if d := incident.Defaults(); d.ExecuteTTL != playbook.DefaultExecuteWithin || d.VerifyTTL != playbook.DefaultVerifyWithin {
		t.Errorf("times by default are %v and %v", d.ExecuteTTL, d.VerifyTTL)
	}
	for outcome, known := range map[string]bool{outcomePromote: true, outcomeKeep: true, outcomeNone: false} {
		p := playbook.Default()
		p[incident.PerfDrop] = []playbook.Rung{{Action: incident.TriggerRetraining, Verification: "signal", Then: map[string][]string{outcome: {incident.AcceptReference}}}}
		if err := p.Validate(); (err == nil) != known {
			t.Errorf("after the outcome %s: %v", outcome, err)
		}
	}
	kinds := append(slices.Clone(playbook.Kinds), incident.BusDown)
	for _, kind := range kinds {
		if _, err := policy.Compile([]policy.Rule{{Name: "of a kind", When: "incident_type == '" + kind + "'", Decide: policy.Denied, Reason: "a person looks"}}); err != nil {
			t.Error(err)
		}
	}
}

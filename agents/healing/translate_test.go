package healing

import (
	"testing"

	"aura/healing/incident"
)

// TestWhatAnActionIsBlamedFor: an agent that is down is blamed on what changes its work, not on what has nothing to do with it.
func TestWhatAnActionIsBlamedFor(t *testing.T) {
	in := incident.Incident{Covers: []string{"AGENT_DOWN:model"}}
	for _, c := range []struct {
		action, agent, worse string
		explained            bool
	}{
		{incident.AcceptReference, "", "AGENT_DOWN:feature", true},
		{incident.AcceptReference, "", "AGENT_DOWN:monitoring", false},
		{incident.AcceptReference, "", "LATENCY_SLO_BREACH:service", false},
		{incident.AcceptReference, "", "BUS_DOWN:store", true},
		{incident.AcceptReference, "", "AGENT_DOWN:model", true},
		{incident.PromoteModel, "", "AGENT_DOWN:ingestion", true},
		{incident.PromoteModel, "", "AGENT_DOWN:decision", false},
		{incident.RestoreReference, "", "AGENT_DOWN:decision", false}, // it may bring a model along
		{incident.EnableSafeMode, "", "AGENT_DOWN:decision", false},
		{incident.DisableSafeMode, "", "AGENT_DOWN:feature", true},
		{incident.RestartAgent, "decision", "AGENT_DOWN:decision", false},
		{incident.RestartAgent, "decision", "AGENT_DOWN:feature", true},
	} {
		in.Actions = []incident.Action{{ID: "a", Type: c.action, Params: map[string]string{"agent": c.agent}}}
		if got := explained(in, "a", c.worse); got != c.explained {
			t.Errorf("%s and %s: explained %v", c.action, c.worse, got)
		}
	}
	in.Actions[0].Type = incident.EnableSafeMode
	if in.Covers = nil; explained(in, "a", "AGENT_DOWN:model") {
		t.Error("what is not covered is explained")
	}
}

package incident

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// TestACallSaysWhy: what was tried last and what is wrong, in words; under a profile that only watches, that it was denied,
// and a command only where nobody else restarts the agent.
func TestACallSaysWhy(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	denied := Action{
		Type: RestartAgent, Purpose: Forward, Result: Denied, AGL: AGLDenied, Rule: "off", ProposedAt: at,
		Reason: "denied by off: profile off: the system only watches",
	}
	byRule := denied
	byRule.Rule, byRule.Reason = "night", "denied by night: not at night"
	retrained := Action{
		Type: TriggerRetraining, Purpose: Forward, Result: NotHeld, ProposedAt: at,
		Undo: &UndoRecord{Reason: "its outcome was none: outcomes are the reverse of what the champion expects"},
	}
	again := Action{
		Type: RestartAgent, Purpose: Forward, Result: NotHeld, ProposedAt: at,
		Undo: &UndoRecord{Reason: "the signal is still bad: its new life crashed again: panic: income 4711"},
	}
	for name, test := range map[string]struct {
		kind, target, words string
		facts               map[string]bool
		actions             []Action
		want                string
	}{
		"accuracy": {
			PerfDrop, "model", "an accuracy of 0.310 against a floor of 0.780, on 400 outcomes", nil,
			[]Action{retrained},
			"PERF_DROP model: a person was called: LADDER_END; TRIGGER_RETRAINING: its outcome was none: outcomes are the reverse of what the " +
				"champion expects; an accuracy of 0.310 against a floor of 0.780, on 400 outcomes",
		},
		"a rung is passed over after it": {
			PerfDrop, "model", "an accuracy of 0.310 against a floor of 0.780, on 400 outcomes", nil,
			[]Action{retrained, {Type: TriggerRetraining, Result: Refused, Reason: "its precondition reference_outgrown does not hold", ProposedAt: at}},
			"PERF_DROP model: a person was called: LADDER_END; TRIGGER_RETRAINING: its outcome was none: outcomes are the reverse of what the " +
				"champion expects; an accuracy of 0.310 against a floor of 0.780, on 400 outcomes",
		},
		"latency, nothing tried": {
			LatencySLOBreach, "service", "a median of 375 ms against 300 ms", nil, nil,
			"LATENCY_SLO_BREACH service: a person was called: LADDER_END; a median of 375 ms against 300 ms",
		},
		"of an earlier detection": {
			LatencySLOBreach, "service", "a median of 375 ms against 300 ms", nil,
			[]Action{{Type: EnableSafeMode, Result: Undone, Reason: "old", ProposedAt: at.Add(-time.Hour)}},
			"LATENCY_SLO_BREACH service: a person was called: LADDER_END; a median of 375 ms against 300 ms",
		},
		"the supervisor restarts it": {
			AgentDown, "feature", "the feature agent has crashed: panic: income 4711", nil,
			[]Action{denied},
			"AGENT_DOWN feature: a person was called: LADDER_END: its supervisor restarts it; RESTART_AGENT denied by off: profile off: the system " +
				"only watches; the feature agent has crashed",
		},
		"quarantined": {
			AgentDown, "feature", "the feature agent is quarantined: panic: income 4711",
			map[string]bool{FactQuarantined: true},
			[]Action{denied},
			"AGENT_DOWN feature: a person was called: LADDER_END: once its cause is mended: aura agent restart feature --reason mended; RESTART_AGENT " +
				"denied by off: profile off: the system only watches; the feature agent is quarantined",
		},
		"denied by a rule": {
			AgentDown, "feature", "the feature agent has crashed", nil,
			[]Action{byRule},
			"AGENT_DOWN feature: a person was called: LADDER_END: once its cause is mended: aura agent restart feature --reason mended; RESTART_AGENT " +
				"denied by night: not at night; the feature agent has crashed",
		},
		"crashed again": {
			AgentDown, "feature", "the feature agent has crashed", nil,
			[]Action{again},
			"AGENT_DOWN feature: a person was called: LADDER_END: once its cause is mended: aura agent restart feature --reason mended; RESTART_AGENT: " +
				"its new life crashed again; the feature agent has crashed",
		},
		"long": {
			LatencySLOBreach, "service", strings.Repeat("é", 1000), nil, nil,
			"LATENCY_SLO_BREACH service: a person was called: LADDER_END; " + strings.Repeat("é", 338) + "…",
		},
	} {
		t.Run(name, func(t *testing.T) {
			in := Incident{
				ID: "i1", Kind: test.kind, Target: test.target, State: Detected, DetectedAt: at, Actions: test.actions,
				Signal: Signal{Kind: test.kind, Target: test.target, State: Confirmed, Words: test.words, Facts: test.facts},
			}
			x := &step{in: &in, now: at}
			in.Reason = x.endLadder()
			in.State = Escalated
			got := stateEffects(in)[0]
			if got.Type != FxNotify || got.Text != test.want || utf8.RuneCountInString(got.Text) > maxCall {
				t.Errorf("%s (%d)\n%q, want\n%q", got.Type, utf8.RuneCountInString(got.Text), got.Text, test.want)
			}
		})
	}
}

// TestTheSupervisorLeavesAnAgentDown: whoever was told that it restarts the agent hears the command when it has not.
func TestTheSupervisorLeavesAnAgentDown(t *testing.T) {
	s := opened(t, AgentDown, []Rung{{Action: RestartAgent, Verification: "agent"}})
	s.step(Event{Type: EvDecision, ActionID: s.in.CurrentID, Decision: &Decision{
		RequestID: s.in.current().RequestID, AGL: AGLDenied, Rule: "off", Reason: "profile off: the system only watches",
	}}).is(Escalated, StatusOpen)
	if text := s.emitted(FxNotify).Text; !strings.Contains(text, "its supervisor restarts it") || strings.Contains(text, "aura agent restart") {
		t.Errorf("%q", text)
	}
	for s.now.Sub(s.in.EnteredAt) < remindAfter {
		s.wait(time.Second).sig(Confirmed)
	}
	s.wait(time.Second).sig(Confirmed)
	if text := s.in.Reason; !strings.Contains(text, "it is down still") || !strings.Contains(text, "aura agent restart") {
		t.Errorf("%q", text)
	}
}

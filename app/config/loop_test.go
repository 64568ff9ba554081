package config

import (
	"reflect"
	"strings"
	"testing"

	"aura/healing/playbook"
	"aura/healing/policy"
)

// TestDistributionSaysWhatShips: config.yaml shows playbook, rules and limits in full; they are those of the program.
func TestDistributionSaysWhatShips(t *testing.T) {
	l, err := Load(Options{File: "../../config.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	book, rules, err := l.Config.Loop()
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(book, playbook.Default()) {
		t.Errorf("playbooks differ:\n%+v\n%+v", book, playbook.Default())
	}
	if !reflect.DeepEqual(rules.Config, policy.DefaultConfig()) {
		t.Errorf("governance differs:\n%+v\n%+v", rules.Config, policy.DefaultConfig())
	}
	if l.origins["healing.playbooks"] == "default" || l.origins["governance.rules"] == "default" {
		t.Error("the documents were not read from the file")
	}
}

// TestDocumentsRefused: what is wrong inside of a document is named like any other key.
func TestDocumentsRefused(t *testing.T) {
	for _, c := range []struct {
		yaml string
		want []string
	}{
		{"healing: {playbooks: {PERF_DROP: [{action: REBOOT, verification: signal}]}}", []string{"healing.playbooks", "PERF_DROP[0].action", "REBOOT", "ROLLBACK_MODEL"}},
		{"healing: {playbooks: {PERF_DROP: []}}", []string{"healing.playbooks", "empty ladder"}},
		{"healing: {playbooks: {AGENT_DOWN: [{action: RESTART_AGENT}]}}", []string{"AGENT_DOWN[0].verification"}},
		{"healing: {playbooks: {AGENT_DOWN: [{action: RESTART_AGENT, verification: agent, dwell: -1s}]}}", []string{"AGENT_DOWN[0].dwell", "negative"}},
		{"healing: {playbooks: [1, 2]}", []string{"healing.playbooks"}},
		{"governance: {rules: [{name: a, when: 'action +', decide: APPROVED}]}", []string{"governance.rules", "rule a"}},
		{"governance: {rules: [{name: a, when: 'true', decide: PERHAPS}]}", []string{"governance.rules", "PERHAPS"}},
		{"governance: {limits: {target_hour: 0}}", []string{"governance.limits", "target_hour"}},
		{"governance: {limits: {colour: red}}", []string{"governance.limits", "colour"}},
		{"governance: {profile: bold}", []string{"governance.profile", "supervised"}},
	} {
		_, err := load([]byte(c.yaml), "some.yaml", Options{})
		problems, ok := err.(Errors)
		if !ok || len(problems) != 1 {
			t.Errorf("%s: want one problem, got %v", c.yaml, err)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q lacks %q", c.yaml, err, w)
			}
		}
	}
}

// TestLimitsAddToTheShippedOnes: who gives one limit keeps the others.
func TestLimitsAddToTheShippedOnes(t *testing.T) {
	l, err := load([]byte("governance: {limits: {target_hour: 2, cooldown: {RESTART_AGENT: 7s}}}"), "some.yaml", Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, rules, err := l.Config.Loop()
	if err != nil {
		t.Fatal(err)
	}
	want := policy.DemoLimits()
	want.TargetHour, want.Cooldown["RESTART_AGENT"] = 2, 7e9
	if !reflect.DeepEqual(rules.Config.Limits, want) {
		t.Errorf("%+v", rules.Config.Limits)
	}
}

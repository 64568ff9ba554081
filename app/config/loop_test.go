package config

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

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
		{"healing: {playbooks: {AGENT_DOWN: [{action: RESTART_AGENT, verification: agent, requires: [foo]}]}}", []string{"healing.playbooks", "AGENT_DOWN[0].requires", `"foo"`, "model_agent"}},
		{"governance: {rules: [{name: a, when: 'action == \"ENABLE_SAFEMODE\"', decide: DENIED, reason: x}]}", []string{"governance.rules", "rule a", "ENABLE_SAFEMODE", "ENABLE_SAFE_MODE"}},
		{"governance: {rules: [{name: a, when: 'action +', decide: APPROVED}]}", []string{"governance.rules", "rule a"}},
		{"governance: {rules: [{name: a, when: 'true', decide: PERHAPS}]}", []string{"governance.rules", "PERHAPS"}},
		{"governance: {limits: {target_hour: 0}}", []string{"governance.limits", "target_hour"}},
		{"governance: {limits: {colour: red}}", []string{"governance.limits", "colour"}},
		{"governance:\n  limits: prod", []string{"governance.limits (file some.yaml): there is no table of limits \"prod\"; give demo or staging"}},
		{"governance: {limits: {cooldown: {default: soon}}}", []string{`cooldown.default: "soon" is not what this field takes; give a duration with its unit, such as 500ms, 2s or 1h`}},
		{"governance: {rules: [{name: a, when: 'true', decide: DENIED, reason: x, colour: red}]}", []string{"governance.rules (file some.yaml): [0].colour: unknown key; give of name, when"}},
		{"governance: {rules: 5}", []string{"governance.rules", "\"5\" is not", "give a list"}},
		{"healing: {playbooks: prod}", []string{"healing.playbooks (file some.yaml): \"prod\" is not what this field takes; give a table with a name for each entry"}},
		{"healing: {playbooks: {PERF_DROP: [5]}}", []string{`PERF_DROP[0]: "5" is not what this field takes; give a table of action, params, requires`}},
		{"healing: {playbooks: {PERF_DROP: [{action: ROLLBACK_MODEL, verification: signal, dwell: 5}]}}", []string{`PERF_DROP[0].dwell: "5" is not`, "give a duration"}},
		{"governance: {profile: bold}", []string{"governance.profile", "supervised"}},
	} {
		_, err := load([]byte(c.yaml), "some.yaml", Options{})
		problems, ok := err.(Errors)
		if !ok || len(problems) != 1 {
			t.Errorf("%s: want one problem, got %v", c.yaml, err)
			continue
		}
		if typed := regexp.MustCompile(`(policy|playbook|time|map)[.\[]|line \d`).FindString(err.Error()); typed != "" {
			t.Errorf("%s: %q speaks of %s", c.yaml, err, typed)
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

// TestLimitsByName: a table that ships may be named, and docs/operations.md shows both as they are.
func TestLimitsByName(t *testing.T) {
	doc, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	tables := map[string]policy.Limits{"demo": policy.DemoLimits(), "staging": policy.StagingLimits()}
	for name, want := range tables {
		l, err := load([]byte("governance: {limits: "+name+"}"), "some.yaml", Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, rules, err := l.Config.Loop(); err != nil || !reflect.DeepEqual(rules.Config.Limits, want) {
			t.Errorf("%s: %+v, %v", name, rules.Config.Limits, err)
		}
	}
	d, s := tables["demo"], tables["staging"]
	row := func(name string, a, b any) string { return fmt.Sprintf("| `%s` | %v | %v |", name, a, b) }
	short := func(d time.Duration) string { return formatDuration(d) }
	for _, want := range []string{
		row("target_hour", d.TargetHour, s.TargetHour), row("target_day", d.TargetDay, s.TargetDay),
		row("global_hour", d.GlobalHour, s.GlobalHour), row("global_day", d.GlobalDay, s.GlobalDay), row("in_flight", d.InFlight, s.InFlight),
		row("cooldown.default", short(d.Cooldown["default"]), short(s.Cooldown["default"])),
		row("cooldown.RESTART_AGENT", short(d.Cooldown["RESTART_AGENT"]), "default"),
		row("cooldown.TRIGGER_RETRAINING", short(d.Cooldown["TRIGGER_RETRAINING"]), short(s.Cooldown["TRIGGER_RETRAINING"])),
		row("max_cooldown", short(d.MaxCooldown), short(s.MaxCooldown)), row("breaker_failures", d.BreakerFailures, s.BreakerFailures),
		row("breaker_window", short(d.BreakerWindow), short(s.BreakerWindow)), row("breaker_reset", short(d.BreakerReset), short(s.BreakerReset)),
	} {
		if !strings.Contains(string(doc), want) {
			t.Errorf("docs/operations.md lacks %s", want)
		}
	}
	if _, err := load([]byte("governance: {limits: production}"), "some.yaml", Options{}); err == nil {
		t.Error("a table that doesn't ship was accepted")
	}
}

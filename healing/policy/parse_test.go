package policy

import (
	"maps"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	c, p, err := Parse([]byte("profile: supervised\napproval_ttl: 5m\nlimits: {target_hour: 4, cooldown: {default: 1s}}\nrules:\n- {name: all, when: 'true', decide: DENIED, reason: closed}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Limits.TargetHour != 4 || c.Limits.GlobalDay != DemoLimits().GlobalDay || c.Limits.Cooldown["default"] != time.Second || c.ApprovalTTL != 5*time.Minute || len(p.Rules()) != 1 {
		t.Errorf("%+v", c)
	}
	if c, _, err := Parse(nil); err != nil || c.Profile != Demo {
		t.Errorf("empty: %+v, %v", c, err)
	}
	for yaml, want := range map[string]string{
		"profile: yolo":                        "demo, supervised or off",
		"approval_ttl: -1s":                    "approval_ttl",
		"colour: red":                          "colour: unknown key; give of profile, approval_ttl, rules, limits",
		"limits: prod":                         `limits: "prod" is not what this field takes; give a table of target_hour`,
		"limits: {target_hour: 1.5}":           `limits.target_hour: "1.5" is not`,
		"rules: [{name: x, decide: [DENIED]}]": "rules[0].decide: a list is not",
		"limits: {target_hour: 0}":             "limits.target_hour",
		"rules: []":                            "0 rules",
		"rules: [{name: x, when: 'a b', decide: DENIED}]":                                         "rule x",
		"limits: {cooldown: {RESTART_AGENT: 61m}}":                                                "limits.cooldown.RESTART_AGENT: it is 1h1m0s; give 0s to 1h",
		"limits: {max_cooldown: 99999h}":                                                          "limits.max_cooldown",
		"limits: {breaker_window: 25h}":                                                           "at most 24h",
		"rules: [{name: x, when: 'true', decide: DENIED}]":                                        "rule x: it has no reason",
		"limits: {cooldown: {RESTART_AGNT: 3s}}":                                                  "limits.cooldown.RESTART_AGNT",
		"rules: [{name: x, when: 'true', decide: DENIED, reason: 'over {bogus}'}]":                "rule x: reason: nothing stands for {bogus}",
		"rules: [{name: x, when: 'counts.bogus > 3', decide: DENIED}]":                            "rule x: when: there is no counts.bogus",
		"rules: [{name: x, when: 'profile == \"off\" && counts[\"bogus\"] > 3', decide: DENIED}]": "rule x: when: there is no counts.bogus",
		"rules: [{name: x, when: 'params.version == \"1\"', decide: DENIED}]":                     "rule x: when: tried",
	} {
		if _, _, err := Parse([]byte(yaml)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", yaml, err, want)
		}
	}
}

// TestADefaultReplacesAllCooldowns: a demo's short cooldown must not stay beside a longer default.
func TestADefaultReplacesAllCooldowns(t *testing.T) {
	for text, want := range map[string]map[string]time.Duration{
		"limits: {target_hour: 3}":                 DemoLimits().Cooldown,
		"limits: {cooldown: {default: 5m}}":        {"default": 5 * time.Minute},
		"limits: {cooldown: {RESTART_AGENT: 10s}}": {"default": 2 * time.Second, "RESTART_AGENT": 10 * time.Second, "TRIGGER_RETRAINING": 10 * time.Second},
	} {
		c, _, err := Parse([]byte(text))
		if err != nil || !maps.Equal(c.Limits.Cooldown, want) {
			t.Errorf("%s: %v, %v", text, c.Limits.Cooldown, err)
		}
	}
}

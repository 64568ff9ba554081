package config

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"aura/healing/playbook"
	"aura/healing/policy"
)

// Rules are what governance decides by.
type Rules struct {
	Config policy.Config
	Policy *policy.Policy
}

// Loop is what the healing loop goes by: the playbook, and governance's rules and limits.
func (c Config) Loop() (playbook.Playbook, Rules, error) {
	book, err := playbook.Parse([]byte(c.Healing.Playbooks))
	if err != nil {
		return nil, Rules{}, fmt.Errorf("healing.%w", err)
	}
	rules, err := c.Governance.parse()
	return book, rules, err
}

// parse puts governance's documents together in the form that policy reads.
func (g Governance) parse() (Rules, error) {
	var text bytes.Buffer
	fmt.Fprintf(&text, "profile: %s\napproval_ttl: %s\n", g.Profile, g.ApprovalTTL)
	for name, d := range map[string]Document{"rules": g.Rules, "limits": g.Limits} {
		var parsed any
		if err := yaml.Unmarshal([]byte(d), &parsed); err != nil {
			return Rules{}, fmt.Errorf("governance.%s: %w", name, err)
		}
		if parsed == nil {
			continue
		}
		if name == "limits" {
			parsed = limitsNamed(parsed)
		}
		part, err := yaml.Marshal(map[string]any{name: parsed})
		if err != nil {
			return Rules{}, fmt.Errorf("governance.%s: %w", name, err)
		}
		text.Write(part)
	}
	c, p, err := policy.Parse(text.Bytes())
	if err != nil {
		return Rules{}, fmt.Errorf("governance: %w", err)
	}
	return Rules{c, p}, nil
}

// limitsNamed puts a table of limits that ships in the place of its name.
func limitsNamed(parsed any) any {
	switch parsed {
	case "demo":
		return policy.DemoLimits()
	case "staging":
		return policy.StagingLimits()
	}
	return parsed
}

// loop tests the documents by the rules of those who read them.
func (b *builder) loop() {
	c := b.Config
	if _, err := playbook.Parse([]byte(c.Healing.Playbooks)); err != nil && !b.broken["healing.playbooks"] {
		wrong, remedy := err.Error(), "config.yaml of the distribution shows the form"
		var field *playbook.FieldError
		if errors.As(err, &field) {
			wrong, remedy = field.Field+": "+field.Problem, field.Remedy
		}
		b.wrong("healing.playbooks", wrong, remedy)
	}
	for _, p := range b.problems {
		if strings.HasPrefix(p.Key, "governance.") {
			return // what is wrong is said already
		}
	}
	if _, err := c.Governance.parse(); err != nil {
		key := "governance.limits"
		var rule *policy.RuleError
		if errors.As(err, &rule) {
			key = "governance.rules"
		}
		b.wrong(key, err.Error(), "config.yaml of the distribution shows the form")
	}
}

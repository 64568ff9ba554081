package config

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"aura/healing/playbook"
	"aura/healing/policy"
	"aura/healing/strict"
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
		if err := strict.Decode([]byte(d), &parsed); err != nil {
			var form *strict.Error
			errors.As(err, &form)
			return Rules{}, &policy.FieldError{Field: name, Problem: form.Problem, Remedy: form.Remedy}
		}
		if parsed == nil {
			continue
		}
		if table, named := parsed.(string); name == "limits" && named {
			switch table {
			case "demo":
				parsed = policy.DemoLimits()
			case "staging":
				parsed = policy.StagingLimits()
			default:
				return Rules{}, &policy.FieldError{Field: "limits", Problem: fmt.Sprintf("there is no table of limits %q", table), Remedy: "give demo or staging, or the limits one by one"}
			}
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

// loop tests the documents by the rules of those who read them.
func (b *builder) loop() {
	c := b.Config
	if _, err := playbook.Parse([]byte(c.Healing.Playbooks)); err != nil && !b.broken["healing.playbooks"] {
		var field *playbook.FieldError
		errors.As(err, &field)
		b.inside("healing.playbooks", field.Field, field.Problem, field.Remedy)
	}
	for _, p := range b.problems {
		if strings.HasPrefix(p.Key, "governance.") {
			return // what is wrong is said already
		}
	}
	_, err := c.Governance.parse()
	var rule *policy.RuleError
	var field *policy.FieldError
	switch {
	case err == nil:
	case errors.As(err, &rule):
		b.inside("governance.rules", "rule "+rule.Rule, rule.Problem, shows)
	case errors.As(err, &field):
		for _, key := range []string{"rules", "limits"} {
			if within, found := strings.CutPrefix(field.Field, key); found {
				b.inside("governance."+key, strings.TrimPrefix(within, "."), field.Problem, field.Remedy)
			}
		}
	default:
		b.wrong("governance.rules", oneLine(err), shows)
	}
}

const shows = "config.yaml of the distribution shows the form"

// inside refuses something in a document: what stands there the problem says, the whole would not help.
func (b *builder) inside(key, within, wrong, remedy string) {
	if within != "" {
		wrong = within + ": " + wrong
	}
	b.refuse(Problem{Key: key, Origin: b.origins[key], Wrong: wrong, Remedy: remedy})
}

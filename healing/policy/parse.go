package policy

import (
	"errors"
	"fmt"
	"maps"
	"time"

	"aura/healing/strict"
)

// Config is the governance part of the configuration.
type Config struct {
	Profile     string        `json:"profile" yaml:"profile"`
	ApprovalTTL time.Duration `json:"approval_ttl" yaml:"approval_ttl"` // how long a person may take; expiry means no
	Rules       []Rule        `json:"rules" yaml:"rules"`
	Limits      Limits        `json:"limits" yaml:"limits"`
}

// FieldError is governance's configuration that can't be used: which field (empty: the whole), what is wrong, what to do.
type FieldError struct{ Field, Problem, Remedy string }

func (e *FieldError) Error() string {
	return "policy: " + e.Field + ": " + e.Problem + "; " + e.Remedy
}

// DefaultConfig is the demo profile with the default rules.
func DefaultConfig() Config {
	return Config{Profile: Demo, ApprovalTTL: 10 * time.Minute, Rules: DefaultRules(), Limits: DemoLimits()}
}

// Parse reads YAML over the defaults, strictly, and compiles the rules. The error is a *FieldError or a
// *RuleError.
func Parse(raw []byte) (Config, *Policy, error) {
	c := DefaultConfig()
	cooldown := c.Limits.Cooldown
	c.Limits.Cooldown = nil
	if err := strict.Decode(raw, &c); err != nil {
		var form *strict.Error
		errors.As(err, &form)
		return Config{}, nil, &FieldError{form.Field, form.Problem, form.Remedy}
	}
	// A demo's own short cooldowns must not stay beside a default that is given.
	if _, given := c.Limits.Cooldown["default"]; !given {
		maps.Copy(cooldown, c.Limits.Cooldown)
		c.Limits.Cooldown = cooldown
	}
	if c.Profile != Demo && c.Profile != Supervised && c.Profile != Off {
		return Config{}, nil, &FieldError{"profile", fmt.Sprintf("unknown profile %q", c.Profile), "give demo, supervised or off"}
	}
	if c.ApprovalTTL <= 0 {
		return Config{}, nil, &FieldError{"approval_ttl", fmt.Sprintf("it is %v", c.ApprovalTTL), "give more than 0s"}
	}
	if err := c.Limits.Validate(); err != nil {
		return Config{}, nil, err
	}
	p, err := Compile(c.Rules)
	return c, p, err
}

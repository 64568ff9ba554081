package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"time"

	"go.yaml.in/yaml/v3"
)

// Config is the governance part of the configuration.
type Config struct {
	Profile     string        `json:"profile" yaml:"profile"`
	ApprovalTTL time.Duration `json:"approval_ttl" yaml:"approval_ttl"` // how long a person may take; expiry means no
	Rules       []Rule        `json:"rules" yaml:"rules"`
	Limits      Limits        `json:"limits" yaml:"limits"`
}

// DefaultConfig is the demo profile with the default rules.
func DefaultConfig() Config {
	return Config{Profile: Demo, ApprovalTTL: 10 * time.Minute, Rules: DefaultRules(), Limits: DemoLimits()}
}

// Parse reads YAML over the defaults, strictly, and compiles the rules. An error names field or rule, and the remedy.
func Parse(raw []byte) (Config, *Policy, error) {
	c := DefaultConfig()
	cooldown := c.Limits.Cooldown
	c.Limits.Cooldown = nil
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	if err := dec.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		return Config{}, nil, fmt.Errorf("policy: %w", err)
	}
	// A demo's own short cooldowns must not stay beside a default that is given.
	if _, given := c.Limits.Cooldown["default"]; !given {
		maps.Copy(cooldown, c.Limits.Cooldown)
		c.Limits.Cooldown = cooldown
	}
	if c.Profile != Demo && c.Profile != Supervised && c.Profile != Off {
		return Config{}, nil, fmt.Errorf("policy: profile is %q; give demo, supervised or off", c.Profile)
	}
	if c.ApprovalTTL <= 0 {
		return Config{}, nil, fmt.Errorf("policy: approval_ttl is %v; give a positive duration", c.ApprovalTTL)
	}
	if err := c.Limits.Validate(); err != nil {
		return Config{}, nil, err
	}
	p, err := Compile(c.Rules)
	return c, p, err
}

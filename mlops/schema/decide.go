package schema

import (
	"math"
	"slices"
)

// Decide applies the policy's thresholds to a calibrated probability of default: below ApproveBelow approve, above
// DeclineAbove decline, else refer to a person. NaN is referred.
func (s *Schema) Decide(pd float64) Outcome {
	switch {
	case pd < s.Policy.ApproveBelow:
		return Approve
	case pd > s.Policy.DeclineAbove:
		return Decline
	default:
		return Refer
	}
}

// DecideSafe decides by the safe-mode rules from values (of Encode: all columns); the first rule whose conditions all
// hold wins, else the default. An approval has no reasons. The reasons are shared: read only. It does not allocate.
func (s *Schema) DecideSafe(values Vector) (o Outcome, rule string, reasons []Reason) {
	rules := s.Policy.SafeMode.Rules
	if len(values) == len(s.Features) {
		for i := range rules {
			if rules[i].holds(values) {
				return rules[i].Decision, rules[i].Name, s.safeReasons[i]
			}
		}
	}
	d := &s.Policy.SafeMode.Default
	return d.Decision, d.Name, s.safeReasons[len(rules)]
}

func (r *Rule) holds(values Vector) bool {
	for i := range r.When {
		if !r.When[i].holds(values[r.When[i].column]) {
			return false
		}
	}
	return true
}

func (c *Condition) holds(x float64) bool {
	if math.IsNaN(x) {
		return c.Missing != nil && *c.Missing
	}
	if c.Missing != nil && *c.Missing {
		return false
	}
	return (c.LT == nil || x < *c.LT) && (c.LTE == nil || x <= *c.LTE) &&
		(c.GT == nil || x > *c.GT) && (c.GTE == nil || x >= *c.GTE) &&
		(c.In == nil || slices.Contains(c.In, x))
}

// Reason words one contribution towards default of model input i (index in Inputs).
func (s *Schema) Reason(i int, contribution float64) Reason {
	f := &s.Features[s.inputs[i].Feature]
	return Reason{Code: f.ReasonCode, Feature: f.Name, Text: f.ReasonText, Contribution: contribution}
}

package schema

import (
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// maxSchemaBytes bounds a schema file.
const maxSchemaBytes = 1 << 20

// Parse reads a schema. It is strict: an unknown key, a value of the wrong kind or one that makes no sense is an error
// that names the key's path and what to do; all errors are reported together (errors.Join of *KeyError).
func Parse(raw []byte) (*Schema, error) {
	if len(raw) > maxSchemaBytes {
		return nil, fmt.Errorf("schema: %d bytes are too many; the limit is %d", len(raw), maxSchemaBytes)
	}
	doc, err := document(raw)
	if err != nil {
		return nil, err
	}
	var errs []error
	s := &Schema{}
	p := parser{s: s}
	root := node{Node: doc, errs: &errs}
	p.root(root)
	for _, stage := range []func(node){s.validate, p.rules, s.validatePolicy} {
		if len(errs) == 0 { // each builds on what the one before has found sound
			stage(root)
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	s.compile()
	return s, nil
}

// parser remembers what can only be read once the features are known.
type parser struct {
	s        *Schema
	safe     *node
	cost     *costs
	policyAt *node
	explicit int
}

type costs struct {
	badApproved, goodDeclined, band float64
	at                              node
}

func (p *parser) root(n node) {
	s := p.s
	n.fields(map[string]func(node){
		"name":        func(v node) { s.Name = v.text() },
		"version":     func(v node) { s.Version = v.text() },
		"description": func(v node) { s.Description = v.text() },
		"id":          func(v node) { s.ID = v.text() },
		"label": func(v node) {
			v.fields(map[string]func(node){
				"column": func(v node) { s.Label.Column = v.text() },
				"bad":    func(v node) { s.Label.Bad = v.text() },
				"good":   func(v node) { s.Label.Good = v.text() },
			})
		},
		"features": func(v node) {
			v.items(func(_ int, v node) { s.Features = append(s.Features, feature(v)) })
		},
		"policy": p.policy,
	})
}

func feature(n node) Feature {
	f := Feature{Kind: Numeric, Transform: None}
	n.fields(map[string]func(node){
		"name":        func(v node) { f.Name = v.text() },
		"kind":        func(v node) { f.Kind = choice(v, Numeric, Categorical) },
		"min":         func(v node) { f.Min = v.pointer() },
		"max":         func(v node) { f.Max = v.pointer() },
		"integer":     func(v node) { f.Integer = v.boolean() },
		"categories":  func(v node) { v.items(func(_ int, v node) { f.Categories = append(f.Categories, v.text()) }) },
		"unit":        func(v node) { f.Unit = v.text() },
		"transform":   func(v node) { f.Transform = choice(v, None, Log1p, Sqrt, SignedLog1p) },
		"missing":     func(v node) { f.Missing = v.boolean() },
		"protected":   func(v node) { f.Protected = v.boolean() },
		"description": func(v node) { f.Description = v.text() },
		"reason":      func(v node) { f.ReasonCode, f.ReasonText = reason(v) },
	})
	return f
}

func reason(n node) (code, text string) {
	n.fields(map[string]func(node){
		"code": func(v node) { code = v.text() },
		"text": func(v node) { text = v.text() },
	})
	return code, text
}

func (p *parser) policy(n node) {
	p.policyAt = &n
	n.fields(map[string]func(node){
		"approve_below": func(v node) { p.s.Policy.ApproveBelow = v.number(); p.explicit++ },
		"decline_above": func(v node) { p.s.Policy.DeclineAbove = v.number(); p.explicit++ },
		"safe_mode":     func(v node) { p.safe = &v },
		"cost": func(v node) {
			c := &costs{at: v}
			v.fields(map[string]func(node){
				"bad_approved":  func(v node) { c.badApproved = v.number() },
				"good_declined": func(v node) { c.goodDeclined = v.number() },
				"refer_band":    func(v node) { c.band = v.number() },
			})
			p.cost = c
		},
	})
}

// rules reads the policy's thresholds and safe-mode rules, whose conditions need the features.
func (p *parser) rules(root node) {
	p.thresholds(root)
	if p.safe == nil {
		root.child("policy", p.at(root)).fail("safe_mode is missing; give it at least `default: {decision: REFER}`")
		return
	}
	hasDefault := false
	sm := &p.s.Policy.SafeMode
	p.safe.fields(map[string]func(node){
		"rules": func(v node) {
			v.items(func(_ int, v node) { sm.Rules = append(sm.Rules, p.rule(v, false)) })
		},
		"default": func(v node) { sm.Default, hasDefault = p.rule(v, true), true },
	})
	if !hasDefault {
		p.safe.fail("default is missing; say what happens when no rule matches, e.g. `default: {decision: REFER}`")
	}
}

func (p *parser) at(root node) *yaml.Node {
	if p.policyAt != nil {
		return p.policyAt.Node
	}
	return root.Node
}

// thresholds takes the two given ones, or derives them from costs: decline pays when
// pd > good_declined / (good_declined + bad_approved), the point where both expected losses are equal.
func (p *parser) thresholds(root node) {
	n := root.child("policy", p.at(root))
	switch {
	case p.cost != nil && p.explicit > 0:
		n.fail("give approve_below and decline_above, or cost, not both")
	case p.cost == nil && p.explicit != 2:
		n.fail("approve_below and decline_above (or cost) are needed: probabilities of default between 0 and 1")
	case p.cost != nil:
		c := p.cost
		if c.badApproved <= 0 || c.goodDeclined <= 0 || c.band < 0 {
			c.at.fail("bad_approved and good_declined must be above 0, refer_band not below 0")
			return
		}
		t := c.goodDeclined / (c.goodDeclined + c.badApproved)
		p.s.Policy.ApproveBelow, p.s.Policy.DeclineAbove = t-c.band, t+c.band
	}
}

func (p *parser) rule(n node, isDefault bool) Rule {
	var r Rule
	if isDefault {
		r.Name = "DEFAULT"
	}
	known := map[string]func(node){
		"name":     func(v node) { r.Name = v.text() },
		"decision": func(v node) { r.Decision = choice(v, Approve, Refer, Decline) },
		"reason":   func(v node) { r.Code, r.Text = reason(v) },
	}
	if !isDefault {
		known["when"] = func(v node) {
			v.each(func(name string, v node) { r.When = append(r.When, p.condition(name, v)) })
		}
	}
	n.fields(known)
	switch {
	case r.Name == "":
		n.fail("name is missing; it is shown with each decision the rule makes")
	case r.Decision == "":
		n.fail("decision is missing; use APPROVE, REFER or DECLINE")
	case len(r.When) == 0 && !isDefault:
		n.fail("when is missing; a rule without conditions belongs under default")
	}
	if r.Decision != Approve && r.Code == "" {
		r.Code = "R90"
	}
	if r.Decision != Approve && r.Text == "" {
		r.Text = "Decided by rule " + r.Name
	}
	return r
}

func (p *parser) condition(name string, n node) Condition {
	c := Condition{Feature: name, column: -1}
	for i := range p.s.Features {
		if p.s.Features[i].Name == name {
			c.column = i
		}
	}
	if c.column < 0 {
		n.fail("no feature has this name")
		return c
	}
	f := &p.s.Features[c.column]
	number := func(dst **float64) func(node) {
		return func(v node) {
			if f.Kind == Categorical {
				v.fail("%s is categorical; use eq, in or missing", f.Name)
				return
			}
			*dst = v.pointer()
		}
	}
	n.fields(map[string]func(node){
		"lt": number(&c.LT), "lte": number(&c.LTE), "gt": number(&c.GT), "gte": number(&c.GTE),
		"eq": func(v node) { c.In = append(c.In, operand(f, v)) },
		"in": func(v node) { v.items(func(_ int, v node) { c.In = append(c.In, operand(f, v)) }) },
		"missing": func(v node) {
			b := v.boolean()
			c.Missing = &b
		},
	})
	if len(n.Content) == 0 && n.Kind == yaml.MappingNode {
		n.fail("has no condition; use lt, lte, gt, gte, eq, in or missing")
	}
	return c
}

// operand reads what eq and in compare with: a number, or a category as its index.
func operand(f *Feature, n node) float64 {
	if f.Kind == Numeric {
		return n.number()
	}
	text := n.text()
	for i, c := range f.Categories {
		if c == text {
			return float64(i)
		}
	}
	n.fail("%q is no category of %s; use %s", clip(text), f.Name, f.bound())
	return -1
}

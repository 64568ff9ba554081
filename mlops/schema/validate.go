package schema

import (
	"fmt"
	"regexp"
)

var namePattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.\-]{0,63}$`)

// validate checks what can't be said of one key alone and fills defaults.
func (s *Schema) validate(n node) {
	at := func(path string) node { return node{path: path, errs: n.errs} }
	if !namePattern.MatchString(s.Name) {
		at("name").fail("%q is not usable; use up to 64 letters, digits, _ . - beginning with a letter", clip(s.Name))
	}
	if s.Version == "" {
		at("version").fail(`is missing; use e.g. "1" and raise it with each change`)
	}
	if s.Label.Column == "" || s.Label.Bad == "" {
		at("label").fail("column and bad are needed: where the outcome stands, and which value means default")
	}
	if s.Label.Good != "" && s.Label.Good == s.Label.Bad {
		at("label.good").fail("is the same as bad")
	}
	s.validateFeatures(n)
}

// validatePolicy checks the thresholds and that a rule's name says which one decided.
func (s *Schema) validatePolicy(n node) {
	at := func(path string) node { return node{path: path, errs: n.errs} }
	p := &s.Policy
	if !(p.ApproveBelow >= 0 && p.ApproveBelow <= p.DeclineAbove && p.DeclineAbove <= 1) {
		at("policy").fail("thresholds must be 0 <= approve_below <= decline_above <= 1, not %v and %v", p.ApproveBelow, p.DeclineAbove)
	}
	rules := make(map[string]bool)
	for i, r := range p.SafeMode.Rules {
		if rules[r.Name] || r.Name == p.SafeMode.Default.Name {
			at(fmt.Sprintf("policy.safe_mode.rules[%d].name", i)).fail("%q is used twice", clip(r.Name))
		}
		rules[r.Name] = true
	}
}

func (s *Schema) validateFeatures(n node) {
	at := func(i int, key string) node {
		return node{path: fmt.Sprintf("features[%d].%s", i, key), errs: n.errs}
	}
	used := map[string]string{s.Label.Column: "the label"}
	if s.ID != "" {
		if s.ID == s.Label.Column {
			node{path: "id", errs: n.errs}.fail("is the label's column too")
		}
		used[s.ID] = "the id"
	}
	inputs := 0
	for i := range s.Features {
		f := &s.Features[i]
		if !namePattern.MatchString(f.Name) {
			at(i, "name").fail("%q is not usable; use up to 64 letters, digits, _ . - beginning with a letter", clip(f.Name))
		}
		if by, twice := used[f.Name]; twice {
			at(i, "name").fail("%q is already used by %s", clip(f.Name), by)
		}
		used[f.Name] = fmt.Sprintf("features[%d]", i)
		f.check(func(key, problem string) { at(i, key).fail("%s", problem) })
		if !f.Protected {
			inputs++
		}
		if f.ReasonCode == "" {
			f.ReasonCode = fmt.Sprintf("R%02d", i+1)
		}
		if f.ReasonText == "" {
			what := f.Description
			if what == "" {
				what = f.Name
			}
			f.ReasonText = "Unfavourable: " + what
		}
	}
	switch {
	case len(s.Features) > MaxKeys:
		node{path: "features", errs: n.errs}.fail("%d are too many; the limit is %d", len(s.Features), MaxKeys)
	case inputs == 0:
		node{path: "features", errs: n.errs}.fail("at least one feature that is not protected is needed")
	}
}

// check tests one feature's own keys against each other.
func (f *Feature) check(fail func(key, problem string)) {
	if f.Kind == Categorical {
		switch {
		case f.Min != nil || f.Max != nil || f.Integer:
			fail("kind", "a categorical feature has no min, max or integer; remove them")
		case f.Transform != None:
			fail("transform", "a categorical feature is not transformed; remove it")
		case len(f.Categories) == 0:
			fail("categories", "are missing; list every value that may come")
		}
		seen := make(map[string]bool)
		for _, c := range f.Categories {
			if c == "" || seen[c] {
				fail("categories", fmt.Sprintf("%q is empty or given twice", clip(c)))
			}
			seen[c] = true
		}
		return
	}
	if len(f.Categories) > 0 {
		fail("categories", "belong to kind: categorical; change the kind or remove them")
	}
	if f.Min != nil && f.Max != nil && *f.Min > *f.Max {
		fail("min", fmt.Sprintf("%v is above max %v", *f.Min, *f.Max))
	}
	if (f.Transform == Log1p || f.Transform == Sqrt) && (f.Min == nil || *f.Min < 0) {
		fail("transform", fmt.Sprintf("%s needs min: 0 or more; use signed_log1p where values may be negative", f.Transform))
	}
}

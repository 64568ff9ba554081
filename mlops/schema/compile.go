package schema

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// compile fills what is derived from the exported fields; they have been validated.
func (s *Schema) compile() {
	s.names = make([]string, len(s.Features))
	s.index = make(map[string]int, len(s.Features))
	s.codes = make([]map[string]int, len(s.Features))
	for i, f := range s.Features {
		s.names[i], s.index[f.Name] = f.Name, i
		if f.Kind == Categorical {
			s.codes[i] = make(map[string]int, len(f.Categories))
			for code, c := range f.Categories {
				s.codes[i][c] = code
			}
		}
		if !f.Protected {
			s.inputs = append(s.inputs, Input{Name: f.Name, Categorical: f.Kind == Categorical, Categories: len(f.Categories), Feature: i})
		}
	}
	for i := range s.Policy.SafeMode.Rules {
		for c := range s.Policy.SafeMode.Rules[i].When {
			cond := &s.Policy.SafeMode.Rules[i].When[c]
			cond.column = s.index[cond.Feature]
		}
		s.safeReasons = append(s.safeReasons, ruleReasons(s.Policy.SafeMode.Rules[i]))
	}
	s.safeReasons = append(s.safeReasons, ruleReasons(s.Policy.SafeMode.Default))
	s.digest = digestOf(s)
	s.inputsDigest = s.digestInputs()
}

func ruleReasons(r Rule) []Reason {
	if r.Decision == Approve {
		return nil
	}
	var feature string
	if len(r.When) > 0 {
		feature = r.When[0].Feature
	}
	return []Reason{{Code: r.Code, Feature: feature, Text: r.Text}}
}

func (s *Schema) digestInputs() string {
	type input struct {
		Name       string
		Kind       FeatureKind
		Categories []string
		Transform  Transform
	}
	view := struct {
		Label  Label
		Inputs []input
	}{Label: s.Label}
	for _, in := range s.inputs {
		f := s.Features[in.Feature]
		view.Inputs = append(view.Inputs, input{f.Name, f.Kind, f.Categories, f.Transform})
	}
	return digestOf(view)
}

// digestOf hashes v's JSON form, whose order of keys Go fixes.
func digestOf(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		panic("schema: digest: " + err.Error()) // only finite numbers and texts come here
	}
	sum := sha256.Sum256(raw)
	return fmt.Sprintf("%x", sum)
}

// bound describes what a feature accepts: "integer 300..850 points".
func (f *Feature) bound() string {
	if f.Kind == Categorical {
		list := strings.Join(f.Categories, ", ")
		if len(list) > 120 {
			list = clip(list)
		}
		return "one of " + list + f.orMissing()
	}
	var b strings.Builder
	b.WriteString("number")
	if f.Integer {
		b.Reset()
		b.WriteString("integer")
	}
	switch {
	case f.Min != nil && f.Max != nil:
		b.WriteString(" " + short(*f.Min) + ".." + short(*f.Max))
	case f.Min != nil:
		b.WriteString(" >= " + short(*f.Min))
	case f.Max != nil:
		b.WriteString(" <= " + short(*f.Max))
	}
	if f.Unit != "" {
		b.WriteString(" " + f.Unit)
	}
	return b.String() + f.orMissing()
}

func (f *Feature) orMissing() string {
	if f.Missing {
		return " or null"
	}
	return ""
}

func short(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

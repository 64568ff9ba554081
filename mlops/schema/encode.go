package schema

import (
	"fmt"
	"math"
)

// Input is one column of the model's vector: which feature it comes from, and how many categories that has (0 for a
// number).
type Input struct {
	Name        string
	Categorical bool
	Categories  int
	Feature     int // index in Schema.Features
}

// Inputs describes the columns of Vector, in order; read only.
func (s *Schema) Inputs() []Input { return s.inputs }

// Encode turns a validated record (of ParseRecord or Check) into values: one number a feature, in the schema's order,
// a category as its index, missing as NaN. A record of another schema is an error.
func (s *Schema) Encode(r Record) (Vector, error) {
	if len(r.Values) != len(s.Features) || len(r.Names) != len(s.Features) {
		return nil, fmt.Errorf("schema %s: record has %d values, want %d: check it first", s.Name, len(r.Values), len(s.Features))
	}
	out := make(Vector, len(s.Features))
	for i := range r.Values {
		if r.Names[i] != s.names[i] {
			return nil, fmt.Errorf("schema %s: column %d is %s, want %s: check the record first", s.Name, i, clip(r.Names[i]), s.names[i])
		}
		x, ok := s.code(i, &r.Values[i])
		if !ok {
			return nil, fmt.Errorf("schema %s: %s: %s doesn't fit: check the record first", s.Name, s.names[i], clip(r.Values[i].String()))
		}
		out[i] = x
	}
	return out, nil
}

// Code is Encode for one validated value of feature i; NaN where it doesn't fit.
func (s *Schema) Code(i int, v Value) float64 {
	x, ok := s.code(i, &v)
	if !ok {
		return math.NaN()
	}
	return x
}

func (s *Schema) code(i int, v *Value) (float64, bool) {
	switch codes := s.codes[i]; {
	case v.kind == kindMissing:
		return math.NaN(), true
	case codes == nil:
		return v.num, v.kind == kindNumber
	case v.kind != kindText:
		return 0, false
	default:
		code, ok := codes[v.text]
		return float64(code), ok
	}
}

// Record is the inverse of Encode: values in the schema's order back to a record. It returns an error where the length
// or a category's index is wrong; bounds are not tested.
func (s *Schema) Record(values Vector) (Record, error) {
	if len(values) != len(s.Features) {
		return Record{}, fmt.Errorf("schema %s: %d values, want %d", s.Name, len(values), len(s.Features))
	}
	out := Record{Names: s.names, Values: make([]Value, len(values))}
	for i, x := range values {
		if cats := s.Features[i].Categories; s.codes[i] != nil && !math.IsNaN(x) {
			if x < 0 || x >= float64(len(cats)) || x != math.Trunc(x) {
				return Record{}, fmt.Errorf("schema %s: %s: %v is no index of a category", s.Name, s.names[i], x)
			}
			out.Values[i] = Text(cats[int(x)])
			continue
		}
		out.Values[i] = Number(x)
	}
	return out, nil
}

// Vector turns values (of Encode: all columns) into the model's input: protected columns left out, transformed. It keeps
// their full precision: how an engine rounds belongs to its model. len(values) must be len(Features).
func (s *Schema) Vector(values Vector) Vector {
	return s.AppendVector(make(Vector, 0, len(s.inputs)), values)
}

// AppendVector is Vector into dst.
func (s *Schema) AppendVector(dst, values Vector) Vector {
	for i := range s.inputs {
		in := &s.inputs[i]
		x := values[in.Feature]
		if !in.Categorical {
			x = s.Features[in.Feature].Transform.Apply(x)
		}
		dst = append(dst, x)
	}
	return dst
}

// Apply returns x on the scale that a model sees; NaN where x has no place on it. It never falls as x rises.
func (t Transform) Apply(x float64) float64 {
	switch t {
	case Log1p:
		return math.Log1p(x)
	case Sqrt:
		return math.Sqrt(x)
	case SignedLog1p:
		return math.Copysign(math.Log1p(math.Abs(x)), x)
	default:
		return x
	}
}

package onnx

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"

	"aura/mlops/forest"
	"aura/mlops/schema"
)

// mixedYAML has every kind of column: each transform, categories, missing values, a protected column.
const mixedYAML = `
name: mixed
version: "1"
label: {column: defaulted, bad: "1", good: "0"}
features:
  - {name: amount, min: 0, max: 1000000, transform: log1p}
  - {name: age, min: 18, max: 99, protected: true}
  - {name: purpose, kind: categorical, categories: [car, house, boat, tax, school, moving, none, other], missing: true}
  - {name: months, min: 0, max: 120, transform: sqrt, missing: true}
  - {name: balance, transform: signed_log1p}
  - {name: score, min: -1, max: 1, missing: true}
policy: {approve_below: 0.2, decline_above: 0.5, safe_mode: {default: {decision: REFER}}}
`

func mixed(t testing.TB) *schema.Schema {
	t.Helper()
	s, err := schema.Parse([]byte(mixedYAML))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// draw makes one application's values; a share of them is missing, or of a category that no row of training has.
func draw(s *schema.Schema, r *rand.Rand, missing float64) schema.Vector {
	values := make(schema.Vector, len(s.Features))
	for i := range s.Features {
		f := &s.Features[i]
		switch {
		case r.Float64() < missing:
			values[i] = math.NaN()
		case f.Kind == schema.Categorical:
			values[i] = float64(r.IntN(len(f.Categories)))
		case f.Min != nil && f.Max != nil:
			values[i] = *f.Min + (*f.Max-*f.Min)*r.Float64()*r.Float64()
		default:
			values[i] = r.NormFloat64() * 1000
		}
		values[i] = float64(float32(values[i])) // what an ONNX model is given
	}
	return values
}

// grow trains a forest on outcomes that depend on every input, missing ones too.
func grow(t testing.TB, s *schema.Schema, p forest.Params) *forest.Forest {
	t.Helper()
	r := rand.New(rand.NewPCG(7, 7))
	d := forest.Data{}
	for _, in := range s.Inputs() {
		d.Columns = append(d.Columns, forest.Column{Name: in.Name, Categorical: in.Categorical, Categories: in.Categories})
	}
	for range 1500 {
		values := draw(s, r, 0.15)
		risk := r.NormFloat64() / 2
		for j, in := range s.Inputs() {
			switch v := values[in.Feature]; {
			case math.IsNaN(v):
				risk += 0.4 * float64(j%3-1)
			case in.Categorical && v == float64(in.Categories-1): // never seen in training
				values[in.Feature] = 0
			case in.Categorical:
				risk += math.Mod(v*5, 7)/7 - 0.5
			default:
				risk += math.Sin(v * 3 / (1 + math.Abs(v)))
			}
		}
		d.X, d.Y = append(d.X, s.Vector(values)), append(d.Y, risk > 0.5)
	}
	f, err := forest.Train(t.Context(), d, p, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// rows are applications on which a model may err: on each side of every threshold and on it, at infinity, with missing
// values, and with categories that training never saw or that are none.
func rows(s *schema.Schema, f *forest.Forest, n int) []schema.Vector {
	r := rand.New(rand.NewPCG(11, 11))
	known := make([][]float64, len(s.Features))
	thresholds := newThresholds(s)
	seen := map[cut]bool{}
	for tree := range f.Trees() {
		for _, node := range f.Tree(tree) {
			if node.Leaf || node.OnlyMissing || node.Categories != nil || seen[cut{node.Column, node.Threshold}] {
				continue
			}
			seen[cut{node.Column, node.Threshold}] = true
			at := thresholds.raw(cut{node.Column, node.Threshold})
			feature := s.Inputs()[node.Column].Feature
			known[feature] = append(known[feature], float64(at),
				float64(math.Nextafter32(at, float32(math.Inf(1)))), float64(math.Nextafter32(at, float32(math.Inf(-1)))))
		}
	}
	out := make([]schema.Vector, n)
	for i := range out {
		values := draw(s, r, 0.1)
		for j := range values {
			f := &s.Features[j]
			switch {
			case f.Kind == schema.Categorical && r.IntN(8) == 0:
				values[j] = []float64{-1, 3.5, 1e9, float64(len(f.Categories)), math.Copysign(0, -1)}[r.IntN(5)]
			case f.Kind != schema.Categorical && r.IntN(50) == 0 && f.Transform == schema.None:
				values[j] = []float64{math.Inf(1), math.Inf(-1), math.MaxFloat32, -math.MaxFloat32, 0, math.Copysign(0, -1)}[r.IntN(6)]
			case len(known[j]) > 0 && r.IntN(2) == 0:
				values[j] = known[j][r.IntN(len(known[j]))]
			}
		}
		out[i] = values
	}
	return out
}

func export(t testing.TB, s *schema.Schema, f *forest.Forest) []byte {
	t.Helper()
	data, err := Export(s, f, map[string]string{"aura.model": "test", "aura.digest": f.Digest()})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// What is exported and imported again votes and scores the same, to the bit.
func TestRoundTripKeepsEveryBit(t *testing.T) {
	for name, c := range map[string]struct {
		schema *schema.Schema
		params forest.Params
	}{
		"built-in":         {schema.Builtin(), forest.Params{Trees: 40, Depth: 10}},
		"every column":     {mixed(t), forest.Params{Trees: 40, Depth: 10}},
		"two groups":       {mixed(t), forest.Params{Trees: 130, Depth: 3}},
		"a stump":          {mixed(t), forest.Params{Trees: 1, Depth: 1}},
		"few bins, deeper": {mixed(t), forest.Params{Trees: 10, Depth: 15, Bins: 4, MinLeaf: 1}},
	} {
		f := grow(t, c.schema, c.params)
		e, err := Import(c.schema, export(t, c.schema, f), Options{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if e.Trees() != f.Trees() {
			t.Errorf("%s: %d trees became %d", name, f.Trees(), e.Trees())
		}
		for i, values := range rows(c.schema, f, 3000) {
			x := c.schema.Vector(values)
			if math.Float64bits(e.Raw(x)) != math.Float64bits(f.Raw(x)) || math.Float64bits(e.Score(x)) != math.Float64bits(f.Score(x)) {
				t.Fatalf("%s: row %d, %v: vote %v became %v, score %v became %v", name, i, values, f.Raw(x), e.Raw(x), f.Score(x), e.Score(x))
			}
		}
	}
}

func TestTheSameModelGivesTheSameFile(t *testing.T) {
	s := mixed(t)
	f := grow(t, s, forest.Params{Trees: 3, Depth: 3})
	first := export(t, s, f)
	for range 5 { // whatever the order of a map
		if again := export(t, s, f); !bytes.Equal(again, first) {
			t.Fatal("two exports differ")
		}
	}
}

// A threshold in the schema's units parts the same numbers as the one behind the transform.
func TestThresholdsInTheSchemasUnits(t *testing.T) {
	s := mixed(t)
	for column, in := range s.Inputs() {
		transform := s.Features[in.Feature].Transform
		r := rand.New(rand.NewPCG(1, uint64(column)))
		for range 2000 {
			x := float32(math.Exp(r.NormFloat64() * 5))
			c := cut{column, float32(transform.Apply(float64(x)))}
			at := newThresholds(s).raw(c)
			above := math.Nextafter32(at, float32(math.Inf(1)))
			if got, next := float32(transform.Apply(float64(at))), float32(transform.Apply(float64(above))); got > c.at || next <= c.at {
				t.Fatalf("%s: cut %v became %v, which becomes %v; the next number becomes %v", in.Name, c.at, at, got, next)
			}
		}
	}
}

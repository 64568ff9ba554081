package ensemble

import (
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"aura/mlops/forest"
)

var twoColumns = []forest.Column{{Name: "a"}, {Name: "b"}}

func stump(threshold, yes, no float64) []Node {
	return []Node{{Threshold: threshold, True: 1, False: 2}, {Leaf: true, Value: yes}, {Leaf: true, Value: no}}
}

func build(t testing.TB, s Spec) *Ensemble {
	t.Helper()
	s.Columns = twoColumns
	if s.Divisor == 0 {
		s.Divisor = 1
	}
	e, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestScore(t *testing.T) {
	nan := math.NaN()
	equal := []Node{{Column: 1, Equal: true, Threshold: 3, MissingTrue: true, True: 1, False: 2}, {Leaf: true, Value: 0.75}, {Leaf: true, Value: 0.25}}
	never := []Node{{Threshold: nan, True: 1, False: 2}, {Leaf: true, Value: 1}, {Leaf: true, Value: 0.5}}
	for name, c := range map[string]struct {
		spec Spec
		x    []float64
		want float64
	}{
		"at the threshold":      {Spec{Trees: [][]Node{stump(2, 0.75, 0.25)}}, []float64{2, 0}, 0.75},
		"above it":              {Spec{Trees: [][]Node{stump(2, 0.75, 0.25)}}, []float64{math.Nextafter(2, 3), 0}, 0.25},
		"missing":               {Spec{Trees: [][]Node{stump(2, 0.75, 0.25)}}, []float64{nan, 0}, 0.25},
		"equal":                 {Spec{Trees: [][]Node{equal}}, []float64{0, 3}, 0.75},
		"equal in float32":      {Spec{Trees: [][]Node{equal}}, []float64{0, 3 + 1e-9}, 0.75},
		"not equal":             {Spec{Trees: [][]Node{equal}}, []float64{0, 4}, 0.25},
		"missing passes":        {Spec{Trees: [][]Node{equal}}, []float64{0, nan}, 0.75},
		"no threshold":          {Spec{Trees: [][]Node{never}}, []float64{math.Inf(-1), 0}, 0.5},
		"mean of two":           {Spec{Trees: [][]Node{stump(2, 1, 0), equal}, Divisor: 2}, []float64{1, 0}, 0.625},
		"base":                  {Spec{Trees: [][]Node{stump(2, -0.25, 0)}, Base: 0.5}, []float64{1, 0}, 0.25},
		"log odds":              {Spec{Trees: [][]Node{stump(2, 3, -1)}, Base: -3, Logistic: true}, []float64{1, 0}, 0.5},
		"calibrated":            {Spec{Trees: [][]Node{stump(2, 0.5, 0)}, Calibration: &forest.Calibration{A: 2}}, []float64{1, 0}, 0.5},
		"rounding leaves 0 ..1": {Spec{Trees: [][]Node{stump(2, 1+1e-7, 0)}}, []float64{1, 0}, 1},
	} {
		if got := build(t, c.spec).Score(c.x); got != c.want {
			t.Errorf("%s: score %v, want %v", name, got, c.want)
		}
	}
}

func TestRefused(t *testing.T) {
	many := make([][]Node, MaxTrees+1)
	for i := range many {
		many[i] = []Node{{Leaf: true}}
	}
	for name, c := range map[string]struct {
		spec Spec
		want string
	}{
		"no trees":        {Spec{Divisor: 1}, "0 trees"},
		"too many trees":  {Spec{Divisor: 1, Trees: many}, "10001 trees"},
		"empty tree":      {Spec{Divisor: 1, Trees: [][]Node{{}}}, "0 nodes"},
		"divisor":         {Spec{Trees: [][]Node{stump(0, 0, 1)}}, "divisor"},
		"base":            {Spec{Divisor: 1, Base: math.NaN(), Trees: [][]Node{stump(0, 0, 1)}}, "base NaN"},
		"child of itself": {Spec{Divisor: 1, Trees: [][]Node{{{True: 0, False: 0}}}}, "child 0"},
		"child behind":    {Spec{Divisor: 1, Trees: [][]Node{{{True: 1, False: 2}, {Leaf: true}}}}, "child 2"},
		"column":          {Spec{Divisor: 1, Trees: [][]Node{{{Column: 2, True: 1, False: 1}, {Leaf: true}}}}, "column 2"},
		"value":           {Spec{Divisor: 1, Trees: [][]Node{stump(0, math.NaN(), 0)}}, "value is NaN"},
		"no probability":  {Spec{Divisor: 1, Trees: [][]Node{stump(0, 1.5, 0)}}, "no probabilities"},
		"below 0":         {Spec{Divisor: 1, Trees: [][]Node{stump(0, 0.5, -0.1)}}, "no probabilities"},
		"sum overflows":   {Spec{Divisor: 1, Logistic: true, Trees: [][]Node{stump(0, math.MaxFloat64, 0), stump(0, math.MaxFloat64, 0)}}, "not finite"},
	} {
		c.spec.Columns = twoColumns
		_, err := New(c.spec)
		var refused *Error
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
}

// grow draws a tree of so many levels.
func grow(r *rand.Rand, levels int) []Node {
	var nodes []Node
	var add func(level int) int
	add = func(level int) int {
		at := len(nodes)
		if level == levels {
			nodes = append(nodes, Node{Leaf: true, Value: r.NormFloat64()})
			return at
		}
		nodes = append(nodes, Node{Column: r.IntN(2), Threshold: r.NormFloat64(), MissingTrue: r.IntN(2) == 0})
		yes := add(level + 1)
		no := add(level + 1)
		nodes[at].True, nodes[at].False = yes, no
		return at
	}
	add(0)
	return nodes
}

// Attributions add up to the probability, also where the trees speak in log odds.
func TestAttributionsAddUp(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	s := Spec{Logistic: true, Base: -0.5}
	for range 20 {
		s.Trees = append(s.Trees, grow(r, 4))
	}
	e := build(t, s)
	moved := make([]int32, 2)
	for range 200 {
		x := []float64{r.NormFloat64(), r.NormFloat64()}
		if r.IntN(5) == 0 {
			x[r.IntN(2)] = math.NaN()
		}
		sum := float64(e.Attribute(x, moved))
		for _, m := range moved {
			sum += float64(m)
		}
		if got := sum / e.Scale(); math.Abs(got-e.Score(x)) > 1e-6 {
			t.Fatalf("%v: attributions add up to %v, the score is %v", x, got, e.Score(x))
		}
	}
}

// The column that a tree doesn't test moves nothing, and the direction is that of the leaves.
func TestAttributionsNameTheColumn(t *testing.T) {
	for _, logistic := range []bool{false, true} {
		e := build(t, Spec{Trees: [][]Node{stump(0, 0.9, 0.1)}, Logistic: logistic})
		moved := make([]int32, 2)
		if e.Attribute([]float64{-1, 5}, moved); moved[0] <= 0 || moved[1] != 0 {
			t.Errorf("logistic %v: to the higher leaf %v", logistic, moved)
		}
		if e.Attribute([]float64{1, 5}, moved); moved[0] >= 0 || moved[1] != 0 {
			t.Errorf("logistic %v: to the lower leaf %v", logistic, moved)
		}
	}
}

// A node counts as the mean of the leaves below it, each alike.
func TestAttributionsStartFromTheMeanOfLeaves(t *testing.T) {
	chain := []Node{
		{True: 1, False: 2},
		{Leaf: true, Value: 0},
		{Threshold: 1, True: 3, False: 4},
		{Leaf: true, Value: 1},
		{Column: 1, True: 5, False: 6},
		{Leaf: true, Value: 1},
		{Leaf: true, Value: 0.5},
	}
	e, moved := build(t, Spec{Trees: [][]Node{chain}}), make([]int32, 2)
	start := e.Attribute([]float64{2, 1}, moved)
	if want := int32(0.625 * scale); start != want || moved[0] != int32(0.125*scale) || moved[1] != -int32(0.25*scale) {
		t.Errorf("from %v of %v by %v", start, want, moved)
	}
}

func TestScoreDoesNotAllocate(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	e := build(t, Spec{Logistic: true, Trees: [][]Node{grow(r, 6), grow(r, 6)}})
	x, moved := []float64{0.5, -0.5}, make([]int32, 2)
	if n := testing.AllocsPerRun(100, func() { e.Score(x); e.Attribute(x, moved) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
	if e.Steps() != 12 || e.Trees() != 2 || e.Nodes() != 2*127 {
		t.Errorf("%d steps, %d trees, %d nodes", e.Steps(), e.Trees(), e.Nodes())
	}
}

func BenchmarkScore(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	s := Spec{Logistic: true}
	for range 100 {
		s.Trees = append(s.Trees, grow(r, 6))
	}
	e := build(b, s)
	x := []float64{0.5, -0.5}
	for b.Loop() {
		e.Score(x)
	}
}

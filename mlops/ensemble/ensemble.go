// Package ensemble scores tree ensembles that were trained elsewhere: forests and boosted trees with real numbers in their
// leaves, a base value and a link, as scikit-learn, LightGBM and XGBoost make them.
//
// It owns how such a model walks, sums and is explained, and nothing of files: mlops/onnx reads those. It imports
// mlops/forest for the columns and the calibration of a model that AURA trained itself. Our own forests don't run on it:
// their trees are binned and a tenth of the size.
//
// A test is `x <= threshold` in float64, or `float32(x) == threshold`; NaN goes where the node says. The score is
// link(base + sum of leaves / divisor), summed in float64 in the order of the trees, so equal everywhere.
//
// An Ensemble is immutable and may be used from any number of goroutines. Score and Raw don't allocate or block. Tests build
// one from a few nodes by New.
package ensemble

import (
	"fmt"
	"math"

	"aura/mlops/forest"
)

// Limits of a model.
const (
	MaxTrees = 10_000
	MaxNodes = 2 << 20 // of all trees
	MaxSteps = 100_000 // nodes that a score visits at most
)

// Node is one node of a tree as a reader of files builds it. Children stand behind their parents; several parents may share
// one.
type Node struct {
	Leaf  bool
	Value float64 // of a leaf

	Column      int
	Equal       bool    // the test is float32(x) == Threshold, else x <= Threshold
	Threshold   float64 // NaN: the test never holds
	MissingTrue bool    // a missing value passes the test
	True, False int     // indices in the same tree, above the node's own
}

// Spec describes an ensemble.
type Spec struct {
	Columns []forest.Column
	Trees   [][]Node // of each the root first
	Base    float64
	Divisor float64 // of the sum of leaves; 1 for a plain sum
	// Logistic: base and leaves are log odds. Else they make a probability, and New refuses those that can leave 0..1.
	Logistic bool
	// Calibration, if not nil, maps what the trees say to the score, as a forest's does.
	Calibration *forest.Calibration
}

// Ensemble is a model. It is immutable.
type Ensemble struct {
	columns     []forest.Column
	nodes       []node
	roots       []int32
	values      []float64 // of a leaf; of an inner node the mean of the leaves below it
	base        float64
	divisor     float64
	logistic    bool
	calibration *forest.Calibration
	steps       int
	start       float64 // what the trees say before any test: the mean of all leaves
}

type node struct {
	threshold float64
	yes, no   int32
	column    uint16
	kind      uint8 // bits
}

const (
	leaf = 1 << iota
	equal
	missingTrue
)

// slack is how far rounding may take the sum of a model's float32 leaves out of 0..1.
const slack = 1e-5

// Error says why an ensemble is refused.
type Error struct{ Problem string }

// Error implements error.
func (e *Error) Error() string { return "ensemble: " + e.Problem }

func refuse(form string, args ...any) error { return &Error{fmt.Sprintf(form, args...)} }

// New makes an ensemble. Errors are *Error.
func New(s Spec) (*Ensemble, error) {
	if len(s.Trees) == 0 || len(s.Trees) > MaxTrees {
		return nil, refuse("%d trees, must be 1 to %d", len(s.Trees), MaxTrees)
	}
	if !(s.Divisor > 0) || math.IsInf(s.Divisor, 0) || math.IsNaN(s.Base) || math.IsInf(s.Base, 0) {
		return nil, refuse("base %v and divisor %v, must be finite and the divisor above 0", s.Base, s.Divisor)
	}
	e := &Ensemble{columns: s.Columns, base: s.Base, divisor: s.Divisor, logistic: s.Logistic, calibration: s.Calibration}
	var low, high float64
	for t, nodes := range s.Trees {
		l, h, err := e.add(nodes)
		if err != nil {
			return nil, refuse("tree %d: %v", t, err)
		}
		low, high = low+l, high+h
	}
	if e.steps > MaxSteps {
		return nil, refuse("a score may visit %d nodes, at most %d", e.steps, MaxSteps)
	}
	low, high = e.base+low/e.divisor, e.base+high/e.divisor
	switch {
	case math.IsInf(low, 0) || math.IsInf(high, 0):
		return nil, refuse("the sum of its leaves is not finite")
	case !e.logistic && (low < -slack || high > 1+slack):
		return nil, refuse("its scores may lie anywhere from %.4g to %.4g, which are no probabilities", low, high)
	}
	for _, root := range e.roots {
		e.start += e.values[root]
	}
	e.start = e.base + e.start/e.divisor
	return e, nil
}

// add appends a tree and returns its least and greatest leaf.
func (e *Ensemble) add(nodes []Node) (low, high float64, err error) {
	from := len(e.nodes)
	if len(nodes) == 0 || from+len(nodes) > MaxNodes {
		return 0, 0, fmt.Errorf("%d nodes behind %d others, must be 1 to %d in all", len(nodes), from, MaxNodes)
	}
	e.roots = append(e.roots, int32(from))
	e.nodes, e.values = append(e.nodes, make([]node, len(nodes))...), append(e.values, make([]float64, len(nodes))...)
	low, high = math.Inf(1), math.Inf(-1)
	leaves, depth := make([]float64, len(nodes)), make([]int, len(nodes))
	for i := len(nodes) - 1; i >= 0; i-- { // children before parents
		n, at := &nodes[i], from+i
		if n.Leaf {
			if math.IsNaN(n.Value) || math.IsInf(n.Value, 0) {
				return 0, 0, fmt.Errorf("node %d: its value is %v", i, n.Value)
			}
			e.nodes[at], e.values[at] = node{kind: leaf}, n.Value
			leaves[i], low, high = 1, min(low, n.Value), max(high, n.Value)
			continue
		}
		if n.Column < 0 || n.Column >= len(e.columns) {
			return 0, 0, fmt.Errorf("node %d: column %d of %d", i, n.Column, len(e.columns))
		}
		for _, child := range []int{n.True, n.False} {
			if child <= i || child >= len(nodes) {
				return 0, 0, fmt.Errorf("node %d: child %d of %d nodes", i, child, len(nodes))
			}
		}
		var kind uint8
		if n.Equal {
			kind |= equal
		}
		if n.MissingTrue {
			kind |= missingTrue
		}
		e.nodes[at] = node{n.Threshold, int32(from + n.True), int32(from + n.False), uint16(n.Column), kind}
		yes, no := leaves[n.True], leaves[n.False]
		// By shares, so that no product overflows.
		leaves[i] = min(yes+no, math.MaxFloat64/4)
		share := min(yes/leaves[i], 1)
		e.values[at] = float64(share*e.values[from+n.True]) + float64((1-share)*e.values[from+n.False])
		depth[i] = 1 + max(depth[n.True], depth[n.False])
	}
	e.steps += depth[0]
	return low, high, nil
}

// Width is the number of inputs.
func (e *Ensemble) Width() int { return len(e.columns) }

// Columns returns the model's inputs; read only.
func (e *Ensemble) Columns() []forest.Column { return e.columns }

// Trees is the number of trees, Nodes that of all their nodes, Steps that of the nodes a score visits at most.
func (e *Ensemble) Trees() int { return len(e.roots) }

// Nodes is the number of nodes of all trees, leaves included.
func (e *Ensemble) Nodes() int { return len(e.nodes) }

// Steps is the number of tests that a score takes at most.
func (e *Ensemble) Steps() int { return e.steps }

// Raw returns what the trees say of x: a probability, or log odds where the link is logistic. x holds one value a column, NaN
// for missing; another length panics. No allocation.
func (e *Ensemble) Raw(x []float64) float64 {
	e.wants(x)
	var sum float64
	for _, at := range e.roots {
		n := &e.nodes[at]
		for n.kind&leaf == 0 {
			at = n.next(x)
			n = &e.nodes[at]
		}
		sum += e.values[at]
	}
	return e.base + sum/e.divisor
}

func (n *node) next(x []float64) int32 {
	v := x[n.column]
	var yes bool
	switch {
	case v != v:
		yes = n.kind&missingTrue != 0
	case n.kind&equal != 0:
		yes = float64(float32(v)) == n.threshold
	default:
		yes = v <= n.threshold
	}
	if yes {
		return n.yes
	}
	return n.no
}

// Score returns the probability that x goes bad. No allocation.
func (e *Ensemble) Score(x []float64) float64 { return e.probability(e.Raw(x)) }

func (e *Ensemble) probability(raw float64) float64 {
	p := raw
	if e.logistic {
		p = 1 / (1 + math.Exp(-raw))
	}
	if e.calibration != nil {
		return e.calibration.Apply(p)
	}
	return min(max(p, 0), 1)
}

func (e *Ensemble) wants(x []float64) {
	if len(x) != len(e.columns) {
		panic(fmt.Sprintf("ensemble: a row of %d values for a model of %d columns", len(x), len(e.columns)))
	}
}

// Scale is the unit of Attribute: a sum of Scale means probability 1.
func (e *Ensemble) Scale() float64 { return scale }

const scale = 1 << 24

// stackColumns is the widest model explained without allocation.
const stackColumns = 256

// Attribute writes to dst, one number a column, how much each column moved the probability before calibration on the way
// from the roots to the leaves (Saabas 2014), in units of 1/Scale, and returns where the roots start from. A file tells
// of an inner node only what lies below it: it counts as the mean of its leaves. Log odds are brought to probabilities by the
// one factor that keeps their sum: the change of the probability over that of the log odds. dst has the length of x.
func (e *Ensemble) Attribute(x []float64, dst []int32) (start int32) {
	e.wants(x)
	if len(dst) != len(x) {
		panic(fmt.Sprintf("ensemble: room for %d attributions, want %d", len(dst), len(x)))
	}
	var room [stackColumns]float64
	moved := room[:]
	if len(x) <= stackColumns {
		moved = moved[:len(x)]
	} else {
		moved = make([]float64, len(x))
	}
	for _, at := range e.roots {
		for n := &e.nodes[at]; n.kind&leaf == 0; n = &e.nodes[at] {
			next := n.next(x)
			moved[n.column] += e.values[next] - e.values[at]
			at = next
		}
	}
	factor, from := 1/e.divisor, e.start
	if e.logistic {
		var all float64
		for _, m := range moved {
			all += m / e.divisor
		}
		from = 1 / (1 + math.Exp(-e.start))
		slope := from * (1 - from) // the limit for no change
		if math.Abs(all) > 1e-9 {
			slope = (1/(1+math.Exp(-(e.start+all))) - from) / all
		}
		factor *= slope
	}
	for j, m := range moved {
		dst[j] = fixed(m * factor)
	}
	return fixed(from)
}

// fixed rounds to units of 1/Scale.
func fixed(share float64) int32 {
	return int32(math.Round(min(max(share*scale, math.MinInt32), math.MaxInt32)))
}

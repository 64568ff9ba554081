package onnx

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"aura/mlops/forest"
	"aura/mlops/schema"
)

const (
	producer    = "aura"
	mlDomain    = "ai.onnx.ml"
	mlOpset     = 3
	coreOpset   = 17
	irVersion   = 8 // of coreOpset
	inputName   = "X"
	voteOutput  = "vote"
	groupTrees  = 128 // whose sum of leaves is exact in float32: 128 * 2^17 = 2^24
	clipAt      = 1e-4
	boundary    = 0.5 // of label
	leafMode    = "LEAF"
	regressorOp = "TreeEnsembleRegressor"

	columnsProp = "aura.columns"
)

// column describes an input of an exported model to its users.
type column struct {
	Name       string   `json:"name"`
	Categories []string `json:"categories,omitempty"` // a value is the index of one
}

// Export returns f, whose columns are the model inputs of s, as an ONNX model. about goes into the file's metadata. The same
// input gives the same bytes.
func Export(s *schema.Schema, f *forest.Forest, about map[string]string) ([]byte, error) {
	if len(s.Inputs()) != f.Width() {
		return nil, fmt.Errorf("onnx: the model has %d inputs, schema %s has %d", f.Width(), s.Name, len(s.Inputs()))
	}
	columns := columnsOf(s)
	described, err := json.Marshal(columns)
	if err != nil {
		return nil, fmt.Errorf("onnx: describe columns: %w", err)
	}
	g := &graph{name: s.Name, inputs: []valueInfo{{inputName, elementFloat, []dim{{param: "N"}, {value: int64(f.Width())}}}}}
	thresholds := newThresholds(s)
	for from := 0; from < f.Trees(); from += groupTrees {
		var t treeLists
		for tree := from; tree < min(from+groupTrees, f.Trees()); tree++ {
			t.add(int64(tree-from), f.Tree(tree), f, thresholds)
		}
		g.nodes = append(g.nodes, t.node(len(g.nodes)))
	}
	g.finish(f.Scale(), f.Calibration())
	m := model{
		irVersion: irVersion, producer: producer, graph: g,
		opsets: []opset{{mlDomain, mlOpset}, {"", coreOpset}},
		props:  []property{{columnsProp, string(described)}},
	}
	for key, value := range about {
		m.props = append(m.props, property{key, value})
	}
	slices.SortFunc(m.props[1:], func(a, b property) int { return strings.Compare(a.key, b.key) })
	return m.encode(), nil
}

func columnsOf(s *schema.Schema) []column {
	var columns []column
	for _, in := range s.Inputs() {
		columns = append(columns, column{in.Name, s.Features[in.Feature].Categories})
	}
	return columns
}

// thresholds finds, for the cut of a column as the model sees it, the one in the schema's units.
type thresholds struct {
	schema *schema.Schema
	known  map[cut]float32
}

type cut struct {
	column int
	at     float32
}

func newThresholds(s *schema.Schema) *thresholds { return &thresholds{s, map[cut]float32{}} }

// raw returns the largest float32 number that is at most c once it has been transformed and rounded.
func (t *thresholds) raw(c cut) float32 {
	transform := t.schema.Features[t.schema.Inputs()[c.column].Feature].Transform
	if transform == schema.None {
		return c.at
	}
	if r, ok := t.known[c]; ok {
		return r
	}
	// What has no place on the transformed scale (the root of -1) lies below all that has.
	below := func(r float32) bool { v := transform.Apply(float64(r)); return v != v || float32(v) <= c.at }
	low, high := ordered(float32(math.Inf(-1))), ordered(float32(math.Inf(1))) // low is below, high isn't
	for high-low > 1 {
		if mid := (low + high) / 2; below(unordered(mid)) {
			low = mid
		} else {
			high = mid
		}
	}
	t.known[c] = unordered(low)
	return t.known[c]
}

// ordered numbers the float32 numbers by size.
func ordered(f float32) int64 {
	if bits := math.Float32bits(f); bits>>31 == 0 {
		return int64(bits)
	}
	return -int64(math.Float32bits(f) &^ (1 << 31))
}

func unordered(n int64) float32 {
	if n >= 0 {
		return math.Float32frombits(uint32(n))
	}
	return -math.Float32frombits(uint32(-n))
}

// treeLists are the attributes of a tree ensemble: one element a node, and one a leaf for its weight.
type treeLists struct {
	trees, ids, features, yes, no, missing []int64
	modes                                  []string
	values                                 []float32
	leafTrees, leafIDs, leafTargets        []int64
	weights                                []float32
}

func (t *treeLists) put(tree, feature int64, mode string, value float32, yes, no, missing int64) {
	id := int64(0)
	if n := len(t.trees); n > 0 && t.trees[n-1] == tree {
		id = t.ids[n-1] + 1
	}
	t.trees, t.ids, t.features = append(t.trees, tree), append(t.ids, id), append(t.features, feature)
	t.modes, t.values = append(t.modes, mode), append(t.values, value)
	t.yes, t.no, t.missing = append(t.yes, yes), append(t.no, no), append(t.missing, missing)
}

// add appends one tree. A node of n categories becomes a chain of n nodes; one whose chain is empty is passed over.
func (t *treeLists) add(tree int64, nodes []forest.Node, f *forest.Forest, thresholds *thresholds) {
	known := make(map[int][]int)
	chains := make([][]int, len(nodes)) // the categories that a chain tests
	instead := make([]int, len(nodes))  // where all go that come to a node with an empty chain
	reached := make([]bool, len(nodes))
	entry := make([]int64, len(nodes))
	reached[0] = true
	next := int64(0)
	for i, n := range nodes {
		if !reached[i] {
			continue
		}
		entry[i] = next
		switch {
		case n.Leaf:
			next++
			continue
		case n.Categories == nil:
			next++
		default:
			if known[n.Column] == nil {
				known[n.Column] = f.KnownCategories(n.Column)
			}
			chains[i] = chainOf(n, known[n.Column])
			next += int64(len(chains[i]))
			if len(chains[i]) == 0 {
				instead[i] = missingSide(n)
				reached[instead[i]] = true
				continue
			}
		}
		reached[n.Left], reached[n.Right] = true, true
	}
	resolve := func(i int) int64 {
		for instead[i] != 0 {
			i = instead[i]
		}
		return entry[i]
	}
	for i, n := range nodes {
		switch {
		case !reached[i] || instead[i] != 0:
		case n.Leaf:
			t.leafTrees, t.leafIDs, t.leafTargets = append(t.leafTrees, tree), append(t.leafIDs, entry[i]), append(t.leafTargets, 0)
			t.weights = append(t.weights, float32(n.Value))
			t.put(tree, 0, leafMode, 0, 0, 0, 0)
		case n.Categories != nil:
			other, missing := resolve(n.Left+n.Right-missingSide(n)), resolve(missingSide(n))
			for k, c := range chains[i] {
				no := entry[i] + int64(k) + 1
				if k == len(chains[i])-1 {
					no = missing
				}
				t.put(tree, int64(n.Column), "BRANCH_EQ", float32(c), other, no, 0)
			}
		case n.OnlyMissing: // no number is below -Inf
			t.put(tree, int64(n.Column), "BRANCH_LT", float32(math.Inf(-1)), resolve(n.Left), resolve(n.Right), 1)
		default:
			missing := int64(0)
			if n.MissingLeft {
				missing = 1
			}
			t.put(tree, int64(n.Column), "BRANCH_LEQ", thresholds.raw(cut{n.Column, n.Threshold}), resolve(n.Left), resolve(n.Right), missing)
		}
	}
}

func missingSide(n forest.Node) int {
	if n.MissingLeft {
		return n.Left
	}
	return n.Right
}

// chainOf lists the categories of the side that a missing value does not take.
func chainOf(n forest.Node, known []int) []int {
	if !n.MissingLeft {
		return n.Categories
	}
	right := []int{}
	for _, c := range known {
		if _, left := slices.BinarySearch(n.Categories, c); !left {
			right = append(right, c)
		}
	}
	slices.Sort(right)
	return right
}

// node makes the k-th group of trees, whose output is sums<k>.
func (t *treeLists) node(k int) node {
	ints := func(name string, list []int64) attribute { return attribute{name: name, kind: kindInts, ints: list} }
	floats := func(name string, list []float32) attribute {
		return attribute{name: name, kind: kindFloats, floats: list}
	}
	return node{
		op: regressorOp, domain: mlDomain, inputs: []string{inputName}, outputs: []string{"sums" + strconv.Itoa(k)},
		attributes: []attribute{
			{name: "aggregate_function", kind: kindString, s: "SUM"},
			{name: "n_targets", kind: kindInt, i: 1},
			{name: "post_transform", kind: kindString, s: "NONE"},
			ints("nodes_treeids", t.trees),
			ints("nodes_nodeids", t.ids),
			ints("nodes_featureids", t.features),
			{name: "nodes_modes", kind: kindStrings, strings: t.modes},
			floats("nodes_values", t.values),
			ints("nodes_truenodeids", t.yes),
			ints("nodes_falsenodeids", t.no),
			ints("nodes_missing_value_tracks_true", t.missing),
			ints("target_treeids", t.leafTrees),
			ints("target_nodeids", t.leafIDs),
			ints("target_ids", t.leafTargets),
			floats("target_weights", t.weights),
		},
	}
}

func (g *graph) constant(name string, v float64) {
	g.initializers = append(g.initializers, tensor{name: name, element: elementDouble, values: []float64{v}})
}

func (g *graph) do(op, output string, inputs ...string) *node {
	g.nodes = append(g.nodes, node{op: op, inputs: inputs, outputs: []string{output}})
	return &g.nodes[len(g.nodes)-1]
}

func (g *graph) cast(output, input string, to int64) {
	g.do("Cast", output, input).attributes = []attribute{{name: "to", kind: kindInt, i: to}}
}

// finish appends what makes votes, probability and label of the sums that the groups of trees give.
func (g *graph) finish(scale float64, c forest.Calibration) {
	g.constant("scale", scale)
	g.constant("least", clipAt)
	g.constant("most", 1-clipAt)
	g.constant("one", 1)
	g.constant("a", c.A)
	g.constant("b", c.B)
	var doubles []string
	for k := range g.nodes {
		sum, double := "sums"+strconv.Itoa(k), "doubles"+strconv.Itoa(k)
		g.cast(double, sum, elementDouble)
		doubles = append(doubles, double)
	}
	g.do("Sum", "sum", doubles...)
	g.do("Div", voteOutput, "sum", "scale")
	g.do("Clip", "clipped", voteOutput, "least", "most")
	g.do("Sub", "rest", "one", "clipped")
	g.do("Div", "odds", "clipped", "rest")
	g.do("Log", "logodds", "odds")
	g.do("Mul", "sloped", "logodds", "a")
	g.do("Add", "calibrated", "sloped", "b")
	g.do("Neg", "negative", "calibrated")
	g.do("Exp", "power", "negative")
	g.do("Add", "denominator", "one", "power")
	g.do("Div", "probability", "one", "denominator")
	g.label()
}

// label appends what makes label of probability, and names the outputs.
func (g *graph) label() {
	g.constant("boundary", boundary)
	g.do("Less", "below", "probability", "boundary")
	g.do("Not", "bad", "below")
	g.cast("label", "bad", elementInt64)
	column := []dim{{param: "N"}, {value: 1}}
	g.outputs = []valueInfo{{"label", elementInt64, column}, {"probability", elementDouble, column}, {voteOutput, elementDouble, column}}
}

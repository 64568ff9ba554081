package onnx

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"aura/mlops/ensemble"
	"aura/mlops/schema"
)

const classifierOp = "TreeEnsembleClassifier"

// treeTable is a tree ensemble as the file lists it: one element a node, and one a weight of a leaf.
type treeTable struct {
	path    string
	wide    bool // the file compares in float64
	post    string
	average bool
	base    []float64
	labels  []string // of a classifier
	targets int64    // of a regressor

	trees, ids, features, yes, no, missing []int64
	modes                                  []string
	values                                 []float64

	leafTrees, leafIDs, leafTargets []int64
	weights                         []float64
	negate                          bool // the weights are those of the other class
	column                          int  // of the classifier's output that speaks for the bad class, or, if negate, for the other
	wanted                          func(target int64) bool
}

// readTrees reads node i of the graph, whose leaves' attributes begin with prefix.
func readTrees(g *graph, i int, prefix string) (*treeTable, error) {
	n := &g.nodes[i]
	t := &treeTable{path: g.at(i), post: "NONE", targets: 1, wanted: func(int64) bool { return true }}
	in := g.features()
	if len(n.inputs) != 1 || in.name == "" || n.inputs[0] != in.name {
		return nil, &Refused{t.path + ".input", "the trees don't read the graph's one input", "export the trees alone, with one input of all columns: initial_types=[('X', FloatTensorType([None, N]))]"}
	}
	if in.element != elementFloat && in.element != elementDouble {
		return nil, &Refused{"graph.input[" + strconv.Quote(in.name) + "]", fmt.Sprintf("its elements have type %d, neither float (1) nor double (11)", in.element), "export with FloatTensorType"}
	}
	t.wide = in.element == elementDouble
	seen := map[string]bool{}
	for _, a := range n.attributes {
		if seen[a.name] {
			return nil, damaged(t.path+"."+a.name, "it stands twice")
		}
		seen[a.name] = true
		if err := t.read(&a, prefix); err != nil {
			return nil, err
		}
	}
	return t, t.check()
}

// read takes one attribute.
func (t *treeTable) read(a *attribute, prefix string) error {
	numbers := func(into *[]float64) {
		if a.t != nil {
			*into = a.t.values
			return
		}
		for _, f := range a.floats {
			*into = append(*into, float64(f))
		}
	}
	switch a.name {
	case "nodes_treeids":
		t.trees = a.ints
	case "nodes_nodeids":
		t.ids = a.ints
	case "nodes_featureids":
		t.features = a.ints
	case "nodes_modes":
		t.modes = a.strings
	case "nodes_values", "nodes_values_as_tensor":
		numbers(&t.values)
	case "nodes_truenodeids":
		t.yes = a.ints
	case "nodes_falsenodeids":
		t.no = a.ints
	case "nodes_missing_value_tracks_true":
		t.missing = a.ints
	case "nodes_hitrates", "nodes_hitrates_as_tensor": // statistics
	case prefix + "_treeids":
		t.leafTrees = a.ints
	case prefix + "_nodeids":
		t.leafIDs = a.ints
	case prefix + "_ids":
		t.leafTargets = a.ints
	case prefix + "_weights", prefix + "_weights_as_tensor":
		numbers(&t.weights)
	case "base_values", "base_values_as_tensor":
		numbers(&t.base)
	case "post_transform":
		t.post = a.s
	case "n_targets":
		t.targets = a.i
	case "aggregate_function":
		if t.average = a.s == "AVERAGE"; !t.average && a.s != "SUM" {
			return &Refused{t.path + ".aggregate_function", fmt.Sprintf("%.32q is neither SUM nor AVERAGE", a.s), "export a model whose trees are summed"}
		}
	case "classlabels_int64s":
		for _, l := range a.ints {
			t.labels = append(t.labels, strconv.FormatInt(l, 10))
		}
	case "classlabels_strings":
		t.labels = append(t.labels, a.strings...)
	default:
		return &Refused{t.path + "." + fmt.Sprintf("%.64q", a.name), "this attribute isn't known here", "export with target_opset {'': 17, 'ai.onnx.ml': 3}"}
	}
	return nil
}

// check compares the lengths of the lists.
func (t *treeTable) check() error {
	nodes := len(t.trees)
	if nodes == 0 || nodes > ensemble.MaxNodes {
		return &Refused{t.path + ".nodes_treeids", fmt.Sprintf("%d nodes, must be 1 to %d", nodes, ensemble.MaxNodes), "export fewer or smaller trees"}
	}
	if len(t.missing) == 0 {
		t.missing = make([]int64, nodes)
	}
	for _, list := range []struct {
		name     string
		len, all int
	}{
		{"nodes_nodeids", len(t.ids), nodes},
		{"nodes_featureids", len(t.features), nodes},
		{"nodes_modes", len(t.modes), nodes},
		{"nodes_values", len(t.values), nodes},
		{"nodes_truenodeids", len(t.yes), nodes},
		{"nodes_falsenodeids", len(t.no), nodes},
		{"nodes_missing_value_tracks_true", len(t.missing), nodes},
		{"leaves' nodeids", len(t.leafIDs), len(t.leafTrees)},
		{"leaves' ids", len(t.leafTargets), len(t.leafTrees)},
		{"leaves' weights", len(t.weights), len(t.leafTrees)},
	} {
		if list.len != list.all {
			return damaged(t.path+"."+list.name, "%d elements, must be %d", list.len, list.all)
		}
	}
	return nil
}

// classifier says how the sums of a binary classifier make the probability of its bad class, as onnxruntime does.
func (t *treeTable) classifier(bad, label string) (ensemble.Spec, error) {
	spec := ensemble.Spec{Divisor: 1}
	if t.average {
		return spec, &Refused{t.path + ".aggregate_function", "a classifier has none", again}
	}
	if len(t.labels) != 2 {
		return spec, &Refused{t.path + ".classlabels", fmt.Sprintf("%d classes, must be 2", len(t.labels)), "train it on outcomes with two values"}
	}
	named := bad
	if named == "" {
		named = label
	}
	which := slices.Index(t.labels, named)
	if which < 0 || t.labels[0] == t.labels[1] {
		return spec, &Refused{t.path + ".classlabels", fmt.Sprintf("none of the classes %.64q is %q, which means default", t.labels, named), "name the class that does by --bad"}
	}
	ids := map[int64]bool{}
	positive := true
	for i, id := range t.leafTargets {
		ids[id] = true
		positive = positive && t.weights[i] >= 0
	}
	both := ids[0] && ids[1]
	switch {
	case len(ids) == 0 || len(ids) > 2 || len(ids) == 2 && !both || len(ids) == 1 && !ids[0] && !ids[1]:
		return spec, damaged(t.path+".class_ids", "other classes than 0 and 1")
	case t.post == "NONE" && both && len(t.base) == 0:
		t.wanted = func(id int64) bool { return id == int64(which) } // a weight a class: that of the bad one is what counts
		t.column = which
		return spec, nil
	case t.post == "NONE" && both:
		return spec, &Refused{t.path + ".base_values", "base values beside two weights a leaf: runtimes differ about them", "export with another version of the converter"}
	case len(t.base) > 1 || len(t.base) == 1 && ids[1]:
		return spec, &Refused{t.path + ".base_values", "they don't belong to the class that the leaves speak for: runtimes differ about them", "export with another version of the converter"}
	case t.post == "NONE" && positive:
	case t.post == "NONE":
		return spec, &Refused{t.path + ".post_transform", "there is none, and the leaves hold no probabilities", "export a model that gives probabilities"}
	case t.post == "LOGISTIC" && !both && !positive:
		spec.Logistic = true
	case t.post == "LOGISTIC":
		return spec, &Refused{t.path + ".post_transform", "LOGISTIC with two weights a leaf, or without a negative one: runtimes differ about it", "export with another version of the converter"}
	default:
		return spec, &Refused{t.path + ".post_transform", fmt.Sprintf("%.32q is neither NONE nor LOGISTIC", t.post), "export a binary model with its usual objective"}
	}
	t.column = 1
	if len(t.base) == 1 {
		spec.Base = t.base[0]
	}
	if which == 0 { // the sum speaks for the second class
		t.negate = true
		spec.Base = -spec.Base
		if !spec.Logistic {
			spec.Base++
		}
	}
	return spec, nil
}

// regressor says how the sums of a regressor make a probability.
func (t *treeTable) regressor(bad string) (ensemble.Spec, error) {
	spec := ensemble.Spec{Divisor: 1, Logistic: t.post == "LOGISTIC"}
	switch {
	case bad != "":
		return spec, &Refused{"bad", "a regressor has no classes: what it gives is taken for the probability of default", "leave it out"}
	case t.targets != 1:
		return spec, &Refused{t.path + ".n_targets", fmt.Sprintf("%d, must be 1", t.targets), "export a model with one output"}
	case len(t.base) > 1:
		return spec, damaged(t.path+".base_values", "%d of them, must be one at most", len(t.base))
	case t.post != "NONE" && t.post != "LOGISTIC":
		return spec, &Refused{t.path + ".post_transform", fmt.Sprintf("%.32q is neither NONE nor LOGISTIC", t.post), "export a model that gives probabilities"}
	case slices.ContainsFunc(t.leafTargets, func(id int64) bool { return id != 0 }):
		return spec, damaged(t.path+".target_ids", "other targets than 0")
	}
	if len(t.base) == 1 {
		spec.Base = t.base[0]
	}
	if t.average {
		trees := map[int64]bool{}
		for _, id := range t.trees {
			trees[id] = true
		}
		spec.Divisor = float64(len(trees))
	}
	return spec, nil
}

type nodeKey struct{ tree, id int64 }

// build makes the trees over the schema's model inputs; at says which of them each of the file's width inputs is.
func (t *treeTable) build(s *schema.Schema, at []int, width int) ([][]ensemble.Node, error) {
	place := make(map[nodeKey]int, len(t.trees)) // of a node in the file's lists
	var roots []int
	known := map[int64]bool{}
	for i, tree := range t.trees {
		key := nodeKey{tree, t.ids[i]}
		if _, twice := place[key]; twice {
			return nil, damaged(t.field("nodes_nodeids", i), "node %d of tree %d stands twice", key.id, key.tree)
		}
		place[key] = i
		if !known[tree] { // the first node of a tree is its root
			known[tree] = true
			roots = append(roots, i)
		}
	}
	if len(roots) > ensemble.MaxTrees {
		return nil, &Refused{t.path + ".nodes_treeids", fmt.Sprintf("%d trees, at most %d", len(roots), ensemble.MaxTrees), "export fewer trees"}
	}
	values, err := t.leaves(place)
	if err != nil {
		return nil, err
	}
	b := builder{t: t, schema: s, at: at, width: width, place: place, values: values, index: make([]int, len(t.trees))}
	out := make([][]ensemble.Node, 0, len(roots))
	built := 0
	for _, root := range roots {
		nodes, err := b.tree(root)
		if err != nil {
			return nil, err
		}
		built += len(nodes)
		out = append(out, nodes)
	}
	if built != len(t.trees) {
		return nil, damaged(t.path+".nodes_nodeids", "%d nodes that no walk reaches", len(t.trees)-built)
	}
	return out, nil
}

func (t *treeTable) field(list string, i int) string {
	return fmt.Sprintf("%s.%s[%d]", t.path, list, i)
}

// leaves sums the weights of each leaf.
func (t *treeTable) leaves(place map[nodeKey]int) ([]float64, error) {
	values := make([]float64, len(t.trees))
	for k, tree := range t.leafTrees {
		i, ok := place[nodeKey{tree, t.leafIDs[k]}]
		if !ok || t.modes[i] != leafMode {
			return nil, damaged(t.field("leaves", k), "node %d of tree %d is no leaf", t.leafIDs[k], tree)
		}
		switch {
		case !t.wanted(t.leafTargets[k]):
		case t.negate:
			values[i] -= t.weights[k]
		default:
			values[i] += t.weights[k]
		}
	}
	return values, nil
}

// builder turns the lists into trees whose children stand behind their parents.
type builder struct {
	t      *treeTable
	schema *schema.Schema
	at     []int
	width  int
	place  map[nodeKey]int
	values []float64
	index  []int // of a node in its tree, from the end and from 1; 0 = not built, -1 = under way
}

// tree builds the tree whose root stands at i of the lists: depth first, children before parents, then turned round.
func (b *builder) tree(root int) ([]ensemble.Node, error) {
	var done []int
	stack := []int{root}
	for len(stack) > 0 {
		i := stack[len(stack)-1]
		if b.index[i] > 0 { // built since it was put here: two parents share it
			stack = stack[:len(stack)-1]
			continue
		}
		waiting := false
		if b.t.modes[i] != leafMode {
			for _, id := range []int64{b.t.yes[i], b.t.no[i]} {
				child, ok := b.place[nodeKey{b.t.trees[i], id}]
				switch {
				case !ok:
					return nil, damaged(b.t.field("nodes_truenodeids", i), "tree %d has no node %d", b.t.trees[i], id)
				case b.index[child] < 0 || child == i:
					return nil, damaged(b.t.field("nodes_truenodeids", i), "node %d of tree %d comes round to itself", id, b.t.trees[i])
				case b.index[child] == 0:
					stack = append(stack, child)
					waiting = true
				}
			}
		}
		if waiting {
			b.index[i] = -1
			continue
		}
		stack = stack[:len(stack)-1]
		done = append(done, i)
		b.index[i] = len(done)
	}
	nodes := make([]ensemble.Node, len(done))
	for k, i := range done {
		n, err := b.node(i, len(done))
		if err != nil {
			return nil, err
		}
		nodes[len(done)-1-k] = n
	}
	return nodes, nil
}

// node turns one node of the lists into ours: x <= threshold, or equal, with the children swapped where the file's test is the
// opposite one.
func (b *builder) node(i, size int) (ensemble.Node, error) {
	t := b.t
	mode := t.modes[i]
	if mode == leafMode {
		return ensemble.Node{Leaf: true, Value: b.values[i]}, nil
	}
	place := func(id int64) int { return size - b.index[b.place[nodeKey{t.trees[i], id}]] }
	if t.features[i] < 0 || t.features[i] >= int64(b.width) {
		return ensemble.Node{}, &Refused{t.field("nodes_featureids", i), fmt.Sprintf("column %d of %d", t.features[i], b.width), "name the file's inputs in its order by --columns"}
	}
	limit := t.values[i]
	if limit != limit {
		return ensemble.Node{}, damaged(t.field("nodes_values", i), "the threshold is no number")
	}
	n := ensemble.Node{Column: b.at[t.features[i]], True: place(t.yes[i]), False: place(t.no[i]), MissingTrue: t.missing[i] != 0}
	swap := false
	switch mode {
	case "BRANCH_LEQ":
	case "BRANCH_GT":
		swap = true
	case "BRANCH_LT":
		limit = t.before(limit)
	case "BRANCH_GTE":
		limit, swap = t.before(limit), true
	case "BRANCH_EQ":
		n.Equal = true
	case "BRANCH_NEQ":
		n.Equal, swap = true, true
		n.MissingTrue = true // NaN differs from every number
	default:
		return ensemble.Node{}, &Refused{t.field("nodes_modes", i), fmt.Sprintf("%.32q isn't known", mode), "export with target_opset {'': 17, 'ai.onnx.ml': 3}"}
	}
	if swap {
		n.True, n.False, n.MissingTrue = n.False, n.True, !n.MissingTrue
	}
	feature := &b.schema.Features[b.schema.Inputs()[n.Column].Feature]
	switch {
	case !n.Equal:
		n.Threshold = feature.Transform.Apply(t.upTo(limit)) // NaN where nothing on the transformed scale is so low: never holds
	case feature.Transform != schema.None && feature.Transform != "":
		return n, &Refused{t.field("nodes_modes", i), fmt.Sprintf("a test for one value of %s, which the schema transforms by %s", feature.Name, feature.Transform), "set transform: none for it in the schema (trees need none)"}
	case t.wide && feature.Kind != schema.Categorical:
		return n, &Refused{t.field("nodes_modes", i), fmt.Sprintf("a test for one value of %s in double precision", feature.Name), "export with FloatTensorType"}
	default:
		n.Threshold = limit
	}
	return n, nil
}

// before is the greatest number below limit, in the precision of the file; NaN where there is none.
func (t *treeTable) before(limit float64) float64 {
	switch {
	case math.IsInf(limit, -1):
		return math.NaN()
	case t.wide:
		return math.Nextafter(limit, math.Inf(-1))
	}
	return float64(math.Nextafter32(float32(limit), float32(math.Inf(-1))))
}

// upTo is the greatest float64 that the file takes for at most limit: it compares in float32 unless it is wide.
func (t *treeTable) upTo(limit float64) float64 {
	if t.wide || math.IsInf(limit, 1) || limit != limit {
		return limit
	}
	at := float32(limit)
	next := float64(math.Nextafter32(at, float32(math.Inf(1))))
	low := float64(at)
	switch { // numbers from here on round to infinity
	case math.IsInf(next, 1):
		next = 0x1p128
	case math.IsInf(low, -1):
		low = -0x1p128
	}
	middle := low + (next-low)/2
	if float32(middle) > at {
		middle = math.Nextafter(middle, math.Inf(-1))
	}
	return middle
}

package onnx

import (
	"fmt"
	"strconv"

	"aura/mlops/ensemble"
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

package onnx

import (
	"fmt"
	"math"

	"aura/mlops/ensemble"
	"aura/mlops/schema"
)

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

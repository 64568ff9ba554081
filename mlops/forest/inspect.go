package forest

import "slices"

// Node is one node of a tree as an exporter or a drawing needs it. Tree lists them breadth-first: node 0 is the root, children
// follow their parents.
type Node struct {
	Leaf        bool
	Value       uint32 // mean outcome in units of 1/2^17; the vote of a leaf
	Left, Right int    // indices in the same tree; 0 in a leaf
	Column      int    // the input that is tested

	// MissingLeft is where missing values go: NaN and, in a categorical column, whatever training never saw.
	MissingLeft bool
	// OnlyMissing: nothing but missing values goes left (MissingLeft is true), and Threshold and Categories say nothing.
	OnlyMissing bool
	// Threshold of a numeric column: float32(x) <= Threshold goes left.
	Threshold float32
	// Categories of a categorical column that go left, ascending, never nil there; the other known ones go right.
	Categories []int
}

// Tree returns tree t, 0 <= t < Trees(). A model's raw vote is the sum of the leaves' values over all trees, divided by Scale.
func (f *Forest) Tree(t int) []Node {
	packed := f.tree(t)
	nodes := make([]Node, len(packed))
	for i, n := range packed {
		if n.left == 0 {
			nodes[i] = Node{Leaf: true, Value: n.value}
			continue
		}
		nodes[i] = Node{
			Value: n.value, Left: int(n.left), Right: int(n.left) + 1, Column: int(n.column),
			MissingLeft: !n.missingRight, OnlyMissing: n.bin == missing && !n.missingRight,
		}
		if table := f.bins.table[n.column]; table != nil {
			nodes[i].Categories = upTo(table, n.bin)
		} else if n.bin > missing {
			nodes[i].Threshold = f.bins.cuts[n.column][n.bin-1]
		}
	}
	return nodes
}

// KnownCategories returns the categories of column j that training saw, in the order of their bad rates: lowest first, equal
// codes in code order. nil for a numeric column.
func (f *Forest) KnownCategories(j int) []int {
	table := f.bins.table[j]
	if table == nil {
		return nil
	}
	known := upTo(table, 255)
	slices.SortStableFunc(known, func(a, b int) int { return int(table[a]) - int(table[b]) })
	return known
}

// upTo lists the known categories with a code of at most bin.
func upTo(table []uint8, bin uint8) []int {
	left := []int{}
	for c, code := range table {
		if code != missing && code <= bin {
			left = append(left, c)
		}
	}
	return left
}

package forest

// node is a finished node of one tree. left is the index of its left child in its tree, the right one follows; 0 means leaf.
// A row goes left if its code is <= bin; a missing value goes right if missingRight says so, else left.
type node struct {
	column       uint16
	left         uint16
	bin          uint8
	missingRight bool
	value        uint32 // mean outcome in units of 1/unit
}

func compact(grown []treeNode) []node {
	nodes := make([]node, len(grown))
	for i, g := range grown {
		nodes[i] = node{value: g.value}
		if g.leftChild != 0 {
			nodes[i] = node{
				column: uint16(g.column), left: uint16(g.leftChild), bin: g.bin, missingRight: g.missingRight, value: g.value,
			}
		}
	}
	return nodes
}

// addTree packs a tree for the walk. A leaf has delta 0 and bin 255, which no key exceeds: it is its own successor, so a
// walk may take more steps than the path is long.
func (f *Forest) addTree(nodes []node) {
	f.roots = append(f.roots, uint32(len(f.values)))
	for i, n := range nodes {
		delta, slot, bin := uint32(0), uint32(0), uint32(255)
		if n.left != 0 {
			delta, slot, bin = uint32(n.left)-uint32(i), uint32(n.column), uint32(n.bin)
			if n.missingRight {
				slot += uint32(len(f.columns))
			}
		}
		if len(f.columns) <= narrowColumns {
			f.nodes = append(f.nodes, slot<<24|delta<<8|(255-bin))
		} else {
			f.wide = append(f.wide, uint64(delta)<<32|uint64(slot)<<8|uint64(bin))
		}
		f.values = append(f.values, n.value)
	}
}

// packed returns node i of the whole forest as it was packed.
func (f *Forest) packed(i int) (delta, slot uint32, bin uint8) {
	if f.wide != nil {
		n := f.wide[i]
		return uint32(n >> 32), uint32(n>>8) & 0xffff, uint8(n)
	}
	n := f.nodes[i]
	return n >> 8 & 0xffff, n >> 24, 255 - uint8(n)
}

// tree unpacks tree t.
func (f *Forest) tree(t int) []node {
	from, to := int(f.roots[t]), len(f.values)
	if t+1 < len(f.roots) {
		to = int(f.roots[t+1])
	}
	nodes := make([]node, to-from)
	for i := range nodes {
		delta, slot, bin := f.packed(from + i)
		nodes[i].value = f.values[from+i]
		if delta != 0 {
			column := int(slot)
			if column >= len(f.columns) {
				column -= len(f.columns)
				nodes[i].missingRight = true
			}
			nodes[i].column, nodes[i].left, nodes[i].bin = uint16(column), uint16(uint32(i)+delta), bin
		}
	}
	return nodes
}

// finish sets what follows from the trees: the number of steps that ends every walk on a leaf, and the scale.
func (f *Forest) finish() {
	f.depth = 0
	depth := make([]uint8, len(f.values))
	for i := range depth { // parents come before children
		if delta, _, _ := f.packed(i); delta != 0 {
			depth[i+int(delta)], depth[i+int(delta)+1] = depth[i]+1, depth[i]+1
			f.depth = max(f.depth, int(depth[i])+1)
		}
	}
	f.scale = float64(len(f.roots)) * unit
}

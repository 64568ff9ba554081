package forest

import (
	"context"
	"slices"
)

// sample is the training data as all trees see it: one byte a value, column by column.
type sample struct {
	codes [][]uint8 // [column][row]
	bad   []uint8   // 1 for a row that went bad
	upTo  []int     // of weighted rows: the units of all rows up to and with this one; nil where all weigh the same
	p     Params
}

// treeNode is a node while its tree grows. left 0 means leaf: the root is nobody's child.
type treeNode struct {
	split
	leftChild int
	value     uint32
}

// pending is a node whose rows are known and whose split is not: the rows lie in entries[from:to] and, of the rows
// that the tree has not drawn, in unseen[unseenFrom:unseenTo].
type pending struct {
	from, to, unseenFrom, unseenTo int
	total                          cell
	depth                          int
}

// votes are the out-of-bag sums of some trees: integers, so they add up the same in any order.
type votes struct {
	sum   []uint32
	trees []uint16
}

// grower grows trees one after another; one belongs to one goroutine.
type grower struct {
	*sample
	rng     random
	drawn   []uint16
	entries []entry
	spare   []entry
	unseen  []uint32
	spare32 []uint32
	nodes   []treeNode
	queue   []pending
	order   []int
	hist    [2]histogram
	votes   votes
}

func newGrower(s *sample) *grower {
	n := len(s.bad)
	g := &grower{
		sample: s, drawn: make([]uint16, n),
		entries: make([]entry, n+1), spare: make([]entry, n+1), unseen: make([]uint32, n+1), spare32: make([]uint32, n+1),
		order: make([]int, len(s.codes)),
		votes: votes{sum: make([]uint32, n), trees: make([]uint16, n)},
	}
	return g
}

// tree grows tree number t. Nodes come in breadth-first order, children adjacent. The result is valid until the next call.
func (g *grower) tree(ctx context.Context, t int) ([]treeNode, error) {
	g.rng = newRandom(g.p.Seed, t)
	for i := range g.order {
		g.order[i] = i
	}
	root := g.bootstrap()
	g.nodes = append(g.nodes[:0], treeNode{})
	g.queue = append(g.queue[:0], root)
	for i := 0; i < len(g.queue); i++ {
		at := g.queue[i]
		if at.to-at.from > 1<<12 && ctx.Err() != nil { // a small node is done sooner than it pays to ask
			return nil, context.Cause(ctx)
		}
		g.nodes[i].value = mean(at.total)
		if s, ok := g.find(at); ok {
			g.nodes[i].split, g.nodes[i].leftChild = s, len(g.nodes)
			g.divide(at, s)
			continue
		}
		for _, row := range g.unseen[at.unseenFrom:at.unseenTo] {
			g.votes.sum[row] += g.nodes[i].value
			g.votes.trees[row]++
		}
	}
	return g.nodes, nil
}

// mean is the share of bad rows in units of 1/unit, rounded to nearest.
func mean(total cell) uint32 {
	n, bad := uint64(uint32(total)), total>>32
	return uint32((bad*unit*2 + n) / (2 * n))
}

// draws is how many rows a tree sees: as many as there are, or as they weigh together.
func (s *sample) draws() int {
	if s.upTo == nil {
		return len(s.bad)
	}
	return max(1, s.upTo[len(s.upTo)-1]/weightUnit)
}

// pick draws a row.
func (g *grower) pick() int {
	if g.upTo == nil {
		return g.rng.below(len(g.bad))
	}
	u := g.rng.below(g.upTo[len(g.upTo)-1])
	row, _ := slices.BinarySearch(g.upTo, u+1)
	return row
}

// bootstrap draws rows with replacement.
func (g *grower) bootstrap() pending {
	clear(g.drawn)
	for range g.draws() {
		if d := &g.drawn[g.pick()]; *d < 1<<16-1 {
			*d++
		}
	}
	in, out := 0, 0
	var total cell
	for row, times := range g.drawn {
		e := makeEntry(row, times, g.bad[row])
		total += weight(e)
		g.entries[in] = e
		g.unseen[out] = uint32(row)
		seen := 0
		if times > 0 {
			seen = 1
		}
		in += seen
		out += 1 - seen
	}
	return pending{to: in, unseenTo: out, total: total}
}

// find looks for the best split of a node among Mtry columns drawn without replacement; if none of them can split, it
// goes on to the others, as constant columns must not end a branch.
func (g *grower) find(at pending) (split, bool) {
	n, bad := uint32(at.total), uint32(at.total>>32)
	minLeaf := uint32(g.p.MinLeaf)
	if at.depth == g.p.Depth || bad == 0 || bad == n || uint64(n) < 2*uint64(minLeaf) {
		return split{}, false
	}
	parent := float64(bad) * float64(bad) / float64(n)
	none := float64(parent * (1 + 1e-12)) // a split must gain more than rounding can
	best := split{score: none}
	entries := g.entries[at.from:at.to]
	for tried := 0; tried < len(g.order); {
		a := g.draw(tried)
		tried++
		if tried < g.p.Mtry {
			b := g.draw(tried)
			tried++
			count2(entries, g.codes[a], g.codes[b], &g.hist[0], &g.hist[1])
			g.hist[0].best(&best, a, at.total, minLeaf)
			g.hist[1].best(&best, b, at.total, minLeaf)
		} else {
			count1(entries, g.codes[a], &g.hist[0])
			g.hist[0].best(&best, a, at.total, minLeaf)
		}
		if tried >= g.p.Mtry && best.score > none {
			return best, true
		}
	}
	return best, best.score > none
}

// draw is one step of a Fisher-Yates shuffle: the i-th column of this node.
func (g *grower) draw(i int) int {
	j := i + g.rng.below(len(g.order)-i)
	g.order[i], g.order[j] = g.order[j], g.order[i]
	return g.order[i]
}

// divide moves a node's rows to its two children and queues these.
func (g *grower) divide(at pending, s split) {
	codes := g.codes[s.column]
	mid := at.from + part(g.entries[at.from:at.to], g.spare, 32, codes, &s)
	unseenMid := at.unseenFrom + part(g.unseen[at.unseenFrom:at.unseenTo], g.spare32, 0, codes, &s)
	g.nodes = append(g.nodes, treeNode{}, treeNode{})
	g.queue = append(
		g.queue,
		pending{at.from, mid, at.unseenFrom, unseenMid, s.left, at.depth + 1},
		pending{mid, at.to, unseenMid, at.unseenTo, at.total - s.left, at.depth + 1},
	)
}

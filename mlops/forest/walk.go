package forest

import (
	"fmt"
	"math"
)

// keys are a row's codes by key slot. Narrow models index them by a byte, which needs no bounds check.
type (
	narrowKeys [256]uint8
	wideKeys   [2 * MaxColumns]uint8
)

// Score returns the calibrated probability that x goes bad. x holds one value a column, in the order of Columns, NaN for
// missing; another length is a caller's bug and panics. Infinite values are in order. No allocation.
func (f *Forest) Score(x []float64) float64 { return f.calibration.Apply(f.Raw(x)) }

// Raw returns the mean vote of the trees, uncalibrated: an integer sum divided once, the number an ONNX export gives.
func (f *Forest) Raw(x []float64) float64 { return float64(f.sum(x)) / f.scale }

func (f *Forest) sum(x []float64) uint32 {
	f.wants(x)
	if f.wide != nil {
		var keys wideKeys
		f.bins.row(x, keys[:])
		return f.sumWide(&keys)
	}
	var keys narrowKeys
	f.bins.row(x, keys[:])
	return f.sumNarrow(&keys)
}

func (f *Forest) wants(x []float64) {
	if len(x) != len(f.columns) {
		panic(fmt.Sprintf("forest: a row of %d values for a model of %d columns", len(x), len(f.columns)))
	}
}

// sumNarrow adds the leaves that keys reach. A walk waits for memory, not for the processor: several trees at a time, whose
// steps don't depend on each other, take little longer than one.
func (f *Forest) sumNarrow(keys *narrowKeys) uint32 {
	var sum uint32
	roots := f.roots
	for ; len(roots) >= 10; roots = roots[10:] {
		sum += f.sumTen((*[10]uint32)(roots), keys)
	}
	for _, a := range roots {
		for range f.depth {
			n := f.nodes[a]
			a += (n + uint32(keys[n>>24])) >> 8 & 0xffff
		}
		sum += f.values[a]
	}
	return sum
}

// sumTen adds the leaves of so many trees. A step is: load node, load key, add: the low byte of a node holds 255 - bin,
// so a key above bin carries into delta, which lies next to it, and the walk lands on the right child.
func (f *Forest) sumTen(roots *[10]uint32, keys *narrowKeys) uint32 {
	nodes := f.nodes
	i0, i1, i2, i3, i4, i5, i6, i7, i8, i9 := roots[0], roots[1], roots[2], roots[3], roots[4], roots[5], roots[6], roots[7], roots[8], roots[9]
	for steps := f.depth; steps > 0; steps-- {
		n0 := nodes[i0]
		i0 += (n0 + uint32(keys[n0>>24])) >> 8 & 0xffff
		n1 := nodes[i1]
		i1 += (n1 + uint32(keys[n1>>24])) >> 8 & 0xffff
		n2 := nodes[i2]
		i2 += (n2 + uint32(keys[n2>>24])) >> 8 & 0xffff
		n3 := nodes[i3]
		i3 += (n3 + uint32(keys[n3>>24])) >> 8 & 0xffff
		n4 := nodes[i4]
		i4 += (n4 + uint32(keys[n4>>24])) >> 8 & 0xffff
		n5 := nodes[i5]
		i5 += (n5 + uint32(keys[n5>>24])) >> 8 & 0xffff
		n6 := nodes[i6]
		i6 += (n6 + uint32(keys[n6>>24])) >> 8 & 0xffff
		n7 := nodes[i7]
		i7 += (n7 + uint32(keys[n7>>24])) >> 8 & 0xffff
		n8 := nodes[i8]
		i8 += (n8 + uint32(keys[n8>>24])) >> 8 & 0xffff
		n9 := nodes[i9]
		i9 += (n9 + uint32(keys[n9>>24])) >> 8 & 0xffff
	}
	values := f.values
	return values[i0] + values[i1] + values[i2] + values[i3] + values[i4] + values[i5] + values[i6] + values[i7] + values[i8] + values[i9]
}

func (f *Forest) sumWide(keys *wideKeys) uint32 {
	nodes, values := f.wide, f.values[:len(f.wide)]
	var sum uint32
	for _, root := range f.roots {
		a := root
		for range f.depth {
			a = stepWide(nodes[a], a, keys)
		}
		sum += values[a]
	}
	return sum
}

func stepWide(n uint64, at uint32, keys *wideKeys) uint32 {
	return at + uint32(n>>32) + (uint32(n&0xff)-uint32(keys[uint16(n>>8)%(2*MaxColumns)]))>>31
}

// Attribute writes to dst, one number a column, how much each column moved the mean vote on the way from the roots to the
// leaves (Saabas 2014, "Interpreting random forests"), in units of 1/Scale, and returns where the roots start from.
// Exactly: start + sum(dst) = Raw(x) * Scale. dst has the length of x. No allocation.
func (f *Forest) Attribute(x []float64, dst []int32) (start int32) {
	f.wants(x)
	if len(dst) != len(x) {
		panic(fmt.Sprintf("forest: room for %d attributions, want %d", len(dst), len(x)))
	}
	if f.wide != nil {
		return f.attributeWide(x, dst)
	}
	var keys narrowKeys
	f.bins.row(x, keys[:])
	var moved [256]int32 // by key slot: a byte again
	roots := f.roots
	for ; len(roots) >= 4; roots = roots[4:] {
		start += f.moveFour(roots[0], roots[1], roots[2], roots[3], &keys, &moved)
	}
	for _, at := range roots {
		start += f.moveOne(at, &keys, &moved)
	}
	for j := range dst {
		dst[j] = moved[j] + moved[j+len(dst)]
	}
	return start
}

// moveOne walks one tree and books each step's change of the mean on the slot that the node tests.
func (f *Forest) moveOne(at uint32, keys *narrowKeys, moved *[256]int32) (start int32) {
	nodes, values := f.nodes, f.values[:len(f.nodes)]
	v := int32(values[at])
	start = v
	for range f.depth {
		n := nodes[at]
		at += (n + uint32(keys[n>>24])) >> 8 & 0xffff
		w := int32(values[at]) // at a leaf: itself, so nothing moves
		moved[n>>24] += w - v
		v = w
	}
	return start
}

// moveFour is moveOne for four trees at once, as sumNarrow does it.
func (f *Forest) moveFour(a, b, c, d uint32, keys *narrowKeys, moved *[256]int32) (start int32) {
	nodes, values := f.nodes, f.values[:len(f.nodes)]
	va, vb, vc, vd := values[a], values[b], values[c], values[d]
	start = int32(va + vb + vc + vd)
	for range f.depth {
		n := nodes[a]
		a += (n + uint32(keys[n>>24])) >> 8 & 0xffff
		moved[n>>24] += int32(values[a] - va)
		va = values[a]
		n = nodes[b]
		b += (n + uint32(keys[n>>24])) >> 8 & 0xffff
		moved[n>>24] += int32(values[b] - vb)
		vb = values[b]
		n = nodes[c]
		c += (n + uint32(keys[n>>24])) >> 8 & 0xffff
		moved[n>>24] += int32(values[c] - vc)
		vc = values[c]
		n = nodes[d]
		d += (n + uint32(keys[n>>24])) >> 8 & 0xffff
		moved[n>>24] += int32(values[d] - vd)
		vd = values[d]
	}
	return start
}

func (f *Forest) attributeWide(x []float64, dst []int32) (start int32) {
	var keys wideKeys
	f.bins.row(x, keys[:])
	clear(dst)
	for _, at := range f.roots {
		start += int32(f.values[at])
		for range f.depth {
			next := stepWide(f.wide[at], at, &keys)
			column := int(uint16(f.wide[at] >> 8))
			if column >= len(dst) {
				column -= len(dst)
			}
			dst[column] += int32(f.values[next]) - int32(f.values[at])
			at = next
		}
	}
	return start
}

// clipAt keeps log odds finite where all trees agree.
const clipAt = 1e-4

func logit(p float64) float64 {
	p = min(max(p, clipAt), 1-clipAt)
	return math.Log(p / (1 - p))
}

// Apply returns the calibrated probability of a mean vote.
func (c Calibration) Apply(p float64) float64 { return sigmoid(float64(c.A*logit(p)) + c.B) }

func sigmoid(z float64) float64 { return 1 / (1 + math.Exp(-z)) }

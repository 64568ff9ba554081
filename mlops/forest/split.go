package forest

import "math/bits"

// A histogram cell and an entry's weight hold bad rows in the high and all rows in the low 32 bits: one addition counts both.
type cell = uint64

// histogram counts the rows of a node by the code of one column. It is all zero between uses.
type histogram struct {
	cells [256]cell
	used  [4]uint64 // a bit a code: which cells the scan visits; in a small node most of them are empty
}

// An entry is a row of a tree's bootstrap sample: row:32 | times it was drawn and is bad:16 | times drawn:16.
type entry = uint64

func makeEntry(row int, times uint16, bad uint8) entry {
	return uint64(row)<<32 | uint64(times)*uint64(bad)<<16 | uint64(times)
}

func weight(e entry) cell { return e&0xffff | (e&0xffff0000)<<16 }

// split is a candidate: rows with code <= bin go left, missing ones left or right as it says.
type split struct {
	score        float64 // sum over both sides of bad^2/rows: more is purer (Gini)
	column       int
	bin          uint8
	missingRight bool
	left         cell
}

// few is the number of rows below which it pays to note the codes that occur while counting.
const few = 512

// count2 fills the histograms of two columns in one pass over the entries.
func count2(entries []entry, a, b []uint8, ha, hb *histogram) {
	if len(entries) >= few {
		for _, e := range entries {
			i, w := e>>32, weight(e)
			ha.cells[a[i]] += w
			hb.cells[b[i]] += w
		}
		ha.mark()
		hb.mark()
		return
	}
	for _, e := range entries {
		i, w := e>>32, weight(e)
		ca, cb := a[i], b[i]
		ha.cells[ca] += w
		hb.cells[cb] += w
		ha.used[ca>>6] |= 1 << (ca & 63)
		hb.used[cb>>6] |= 1 << (cb & 63)
	}
}

// count1 is count2 for one column.
func count1(entries []entry, a []uint8, ha *histogram) {
	for _, e := range entries {
		ha.cells[a[e>>32]] += weight(e)
	}
	ha.mark()
}

// mark notes the cells that are in use.
func (h *histogram) mark() {
	for w := range h.used {
		var word uint64
		for b := range 64 {
			c := h.cells[w<<6|b]
			word |= (c | -c) >> 63 << b
		}
		h.used[w] = word
	}
}

// best searches the histogram of one column for a split better than have, and clears the histogram.
func (h *histogram) best(have *split, column int, total cell, minLeaf uint32) {
	absent := h.cells[missing]
	h.used[0] &^= 1 // the scan starts with missing values; it doesn't pass them
	h.scan(have, column, total, absent, minLeaf, false)
	if absent != 0 {
		h.scan(have, column, total, 0, minLeaf, true)
	}
	h.cells[missing] = 0
	for w, word := range h.used {
		for ; word != 0; word &= word - 1 {
			h.cells[w<<6|bits.TrailingZeros64(word)] = 0
		}
	}
	h.used = [4]uint64{}
}

// scan walks the boundaries between occupied bins; start is what is on the left before the first bin.
func (h *histogram) scan(have *split, column int, total, start cell, minLeaf uint32, missingRight bool) {
	left, previous := start, 0
	noMissing := h.cells[missing] == 0
	for w, word := range h.used {
		for ; word != 0; word &= word - 1 {
			b := w<<6 | bits.TrailingZeros64(word)
			right := total - left
			nl, nr := uint32(left), uint32(right)
			if nr < minLeaf {
				return
			}
			if nl >= minLeaf {
				if s := purity(left, right); s > have.score {
					side := missingRight
					if noMissing { // nothing learned: missing goes where most rows go
						side = nr > nl
					}
					*have = split{score: s, column: column, bin: boundary(previous, b), missingRight: side, left: left}
				}
			}
			left += h.cells[b]
			previous = b
		}
	}
}

// boundary picks the bin that ends the left side, halfway between two occupied bins; 0 leaves missing values alone.
func boundary(previous, next int) uint8 {
	if previous == missing {
		return missing
	}
	return uint8((previous + next - 1) / 2)
}

// purity is bl^2/nl + br^2/nr over one denominator. The conversions forbid a fused multiply-add, which would make models
// differ between processors.
func purity(left, right cell) float64 {
	nl, nr := float64(uint32(left)), float64(uint32(right))
	bl, br := float64(left>>32), float64(right>>32)
	a, b := float64(bl*bl)*nr, float64(br*br)*nl
	return (float64(a) + float64(b)) / float64(nl*nr)
}

// part orders rows in place so that those with code <= s.bin come first, keeping the order on both sides, and
// returns how many. The row number is rows[i] >> shift. Each element is written to both sides and one cursor moves: no
// branch to mispredict.
func part[T entry | uint32](rows, spare []T, shift uint, codes []uint8, s *split) int {
	spare = spare[:len(rows)]
	// A missing value has code 0 and so is left by nature. Lowered by one, as unsigned, it becomes the highest code.
	limit, lower := int64(s.bin), uint32(0)
	if s.missingRight {
		limit, lower = limit-1, 1
	}
	l, r := 0, 0
	for _, e := range rows {
		code := uint32(codes[e>>shift]) - lower
		goRight := int(uint64(limit-int64(code)) >> 63)
		rows[l] = e
		spare[r] = e
		l += 1 - goRight
		r += goRight
	}
	copy(rows[l:], spare[:r])
	return l
}

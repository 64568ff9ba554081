package forest

import (
	"math"
	"slices"
)

// missing is the code of a missing value; real codes are 1 ... 255.
const missing = 0

// maxCuts leaves 255 codes for real values.
const maxCuts = 254

// categoryPrior is the number of rows of the overall bad rate that is added to each category before categories are
// ordered, so that a category of three rows doesn't come first or last by luck.
const categoryPrior = 10

// binner turns a row into codes. For column j either cuts[j] (numeric, ascending) or table[j] (category -> code) is set.
type binner struct {
	cuts  [][]float32
	table [][]uint8
	keys  [][256]int32 // cuts as sortable integers, padded; empty for categories
}

func newBinner(columns int) binner {
	return binner{cuts: make([][]float32, columns), table: make([][]uint8, columns), keys: make([][256]int32, columns)}
}

// setCuts makes column j numeric.
func (b *binner) setCuts(j int, cuts []float32) {
	b.cuts[j] = cuts
	for i := range b.keys[j] {
		b.keys[j][i] = math.MaxInt32 // above +Inf: never below a value
	}
	for i, c := range cuts {
		b.keys[j][i] = sortable(c)
	}
}

// sortable maps float32 to int32 keeping the order. -0 becomes -1, just below 0: as a value that is harmless, as a cut it must
// not occur. Not for NaN.
func sortable(v float32) int32 {
	i := int32(math.Float32bits(v))
	return i ^ int32(uint32(i>>31)>>1)
}

// code returns the code of value v in column j.
func (b *binner) code(j int, v float64) uint8 {
	if t := b.table[j]; t != nil {
		return categoryCode(t, v)
	}
	return numericCode(&b.keys[j], v)
}

func categoryCode(table []uint8, v float64) uint8 {
	if v >= 0 && v < float64(len(table)) { // false for NaN
		if i := int(v); float64(i) == v {
			return table[i]
		}
	}
	return missing
}

// numericCode counts the cuts below float32(v): a binary search without branches, 8 steps whatever the data.
func numericCode(keys *[256]int32, v float64) uint8 {
	if v != v {
		return missing
	}
	x := int64(sortable(float32(v)))
	var pos uint8
	pos += 128 & uint8((int64(keys[pos+127])-x)>>63)
	pos += 64 & uint8((int64(keys[pos+63])-x)>>63)
	pos += 32 & uint8((int64(keys[pos+31])-x)>>63)
	pos += 16 & uint8((int64(keys[pos+15])-x)>>63)
	pos += 8 & uint8((int64(keys[pos+7])-x)>>63)
	pos += 4 & uint8((int64(keys[pos+3])-x)>>63)
	pos += 2 & uint8((int64(keys[pos+1])-x)>>63)
	pos += 1 & uint8((int64(keys[pos])-x)>>63)
	return pos + 1
}

// row codes x into keys: slot j holds the code with missing lowest (it goes left at any node), slot columns+j the
// same with missing highest (it goes right). So a node chooses the side of missing values by the slot it reads.
func (b *binner) row(x []float64, keys []uint8) {
	low, high := keys[:len(x)], keys[len(x):2*len(x)]
	for j, v := range x {
		c := b.code(j, v)
		low[j] = c
		if c == missing {
			c = 255
		}
		high[j] = c
	}
}

// quantileCuts returns at most limit cut points for a column's values (NaN left out). Few distinct values get a cut between
// each two neighbours; many get cuts at even ranks. A cut is the midpoint floored to float32, so that it parts the
// same float32 numbers as the exact midpoint would.
func quantileCuts(values []float32, limit int) []float32 {
	slices.Sort(values)
	distinct := 0
	for i, v := range values {
		if i == 0 || v != values[i-1] {
			distinct++
		}
	}
	cuts := make([]float32, 0, min(limit, max(distinct-1, 0)))
	even := distinct-1 > limit
	step, next := float64(len(values))/float64(limit+1), 0.0
	next = step
	for i := 1; i < len(values) && len(cuts) < limit; i++ {
		if values[i] == values[i-1] || (even && float64(i) < next) {
			continue
		}
		cuts = append(cuts, midpoint(values[i-1], values[i]))
		for even && next <= float64(i) {
			next += step
		}
	}
	return cuts
}

// midpoint returns the largest float32 not above the middle of a < b, at least a and below b.
func midpoint(a, b float32) float32 {
	mid := (float64(a) + float64(b)) / 2
	c := float32(mid)
	if float64(c) > mid {
		c = math.Nextafter32(c, float32(math.Inf(-1)))
	}
	if !(c >= a && c < b) || math.IsInf(mid, 0) {
		return a
	}
	return c
}

// orderCategories gives each category seen a code by ascending smoothed bad rate; one that no row has stays missing. More
// than limit categories share codes, each code holding about as many rows.
func orderCategories(rows, bad []int, limit int) []uint8 {
	allRows, allBad := 0, 0
	var seen []int
	for c, n := range rows {
		allRows, allBad = allRows+n, allBad+bad[c]
		if n > 0 {
			seen = append(seen, c)
		}
	}
	table := make([]uint8, len(rows))
	if len(seen) == 0 {
		return table
	}
	prior := float64(allBad) / float64(allRows)
	rate := func(c int) float64 {
		return (float64(bad[c]) + float64(categoryPrior*prior)) / float64(rows[c]+categoryPrior)
	}
	slices.SortFunc(seen, func(a, b int) int {
		switch ra, rb := rate(a), rate(b); {
		case ra < rb:
			return -1
		case ra > rb:
			return 1
		}
		return a - b
	})
	before := 0
	for i, c := range seen {
		code := i
		if len(seen) > limit {
			code = before * limit / allRows
		}
		table[c] = uint8(code + 1)
		before += rows[c]
	}
	return table
}

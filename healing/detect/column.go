package detect

import (
	"fmt"
	"math"
	"slices"
)

const (
	// referenceBins is how many quantile bins a numeric column is asked for; ties make them fewer.
	referenceBins = 20
	// searchWidth is the largest number of edges of the binary search; one less than a power of two.
	searchWidth = 31
	// gridSize is how many quantiles of a numeric column are kept for naming data bugs.
	gridSize = 201
	// topValues is how many of the most frequent values are kept, for naming a stuck one.
	topValues = 16
	// maxCodeSpan bounds the table that finds the bin of a category.
	maxCodeSpan = 4096
	// hugest bounds reference values, so that quantiles between infinities are numbers and have a JSON form.
	hugest = 1e300
)

// ValueShare is one value and its share of a column's present values.
type ValueShare struct {
	Value float64 `json:"value"`
	Share float64 `json:"share"`
}

// Column is the reference of one feature or of a score.
//
// A numeric column has bins between its unique type-7 quantiles i/20: right-closed (x <= edge), the outer ones open. A
// categorical one has a bin for each code seen and a last one for unseen codes; Edges then are the codes.
type Column struct {
	Name        string    `json:"name"`
	Categorical bool      `json:"categorical,omitempty"`
	Edges       []float64 `json:"edges"`
	// Counts holds the reference count of each bin, Missing the missing values, which no bin holds.
	Counts  []int64 `json:"counts"`
	Missing int64   `json:"missing,omitempty"`
	Min     float64 `json:"min"`
	Max     float64 `json:"max"`
	// Low and High are the bounds of the schema, nil for none.
	Low  *float64 `json:"low,omitempty"`
	High *float64 `json:"high,omitempty"`
	// Group maps a bin to its bin of the PSI rule: deciles, as everybody computes it; categories as they are.
	Group []int `json:"group"`
	// Grid holds quantiles i/200 of a numeric column; Top its most frequent values.
	Grid []float64    `json:"grid,omitempty"`
	Top  []ValueShare `json:"top,omitempty"`

	padded [searchWidth + 1]float64
	codes  []int32 // bin of code i+first
	first  float64
}

// Bins returns the number of bins for present values.
func (c *Column) Bins() int { return len(c.Counts) }

// Present returns the number of present reference values.
func (c *Column) Present() int64 {
	var n int64
	for _, k := range c.Counts {
		n += k
	}
	return n
}

// Bin returns the bin of x, and Bins() for a missing one (NaN). It doesn't allocate.
func (c *Column) Bin(x float64) int {
	if x != x {
		return len(c.Counts)
	}
	if c.Categorical {
		return c.code(x)
	}
	return search(&c.padded, x)
}

// search returns the number of edges below x. There are no branches that the processor could mispredict: a comparison
// becomes a number, so that searches of several columns overlap.
func search(edges *[searchWidth + 1]float64, x float64) int {
	i := below(edges[15], x) << 4
	i += below(edges[(i+7)&searchWidth], x) << 3
	i += below(edges[(i+3)&searchWidth], x) << 2
	i += below(edges[(i+1)&searchWidth], x) << 1
	return i + below(edges[i&searchWidth], x)
}

func below(edge, x float64) int {
	var n int
	if edge < x {
		n = 1
	}
	return n
}

func (c *Column) code(x float64) int {
	unseen := len(c.Edges)
	if c.codes != nil {
		if d := x - c.first; d >= 0 && d < float64(len(c.codes)) && d == math.Trunc(d) {
			return int(c.codes[int(d)])
		}
		return unseen
	}
	if i, ok := slices.BinarySearch(c.Edges, x); ok {
		return i
	}
	return unseen
}

// outside reports whether a present x lies outside what the reference has seen.
func (c *Column) outside(x float64, bin int) bool {
	if c.Categorical {
		return bin == len(c.Edges)
	}
	return x < c.Min || x > c.Max
}

func buildColumn(f Field, values []float64) Column {
	present := make([]float64, 0, len(values))
	for _, x := range values {
		if !math.IsNaN(x) {
			present = append(present, min(max(x, -hugest), hugest))
		}
	}
	slices.Sort(present)
	c := Column{Name: f.Name, Categorical: f.Categorical, Low: f.Low, High: f.High, Missing: int64(len(values) - len(present)), Edges: []float64{}}
	switch {
	case f.Categorical:
		c.Edges = slices.Compact(slices.Clone(present))
	case len(present) > 0:
		c.Edges = QuantileEdges(present, referenceBins)
		for i := range gridSize {
			c.Grid = append(c.Grid, Quantile(present, float64(i)/(gridSize-1)))
		}
	}
	if len(present) > 0 {
		c.Min, c.Max = present[0], present[len(present)-1]
	}
	c.Counts = make([]int64, len(c.Edges)+1)
	c.Group = groups(c.Edges, present, f.Categorical)
	c.Top = mostFrequent(present)
	if err := c.prepare(); err != nil {
		panic(err) // what was built here is well formed
	}
	for _, x := range present {
		c.Counts[c.Bin(x)]++
	}
	return c
}

// groups joins the bins that lie between the same deciles.
func groups(edges, sorted []float64, categorical bool) []int {
	group := make([]int, len(edges)+1)
	if categorical {
		for i := range group {
			group[i] = i
		}
		return group
	}
	deciles := QuantileEdges(sorted, referenceBins/2)
	for i := 1; i < len(group); i++ {
		group[i] = group[i-1]
		if _, ok := slices.BinarySearch(deciles, edges[i-1]); ok {
			group[i]++
		}
	}
	return group
}

func mostFrequent(sorted []float64) []ValueShare {
	var top []ValueShare
	for i := 0; i < len(sorted); {
		j := i
		for j < len(sorted) && sorted[j] == sorted[i] {
			j++
		}
		top = append(top, ValueShare{sorted[i], float64(j-i) / float64(len(sorted))})
		i = j
	}
	slices.SortStableFunc(top, func(a, b ValueShare) int {
		switch {
		case a.Share > b.Share:
			return -1
		case a.Share < b.Share:
			return 1
		}
		return 0
	})
	return slices.Clone(top[:min(len(top), topValues)])
}

// prepare checks the column and builds what Bin needs.
func (c *Column) prepare() error {
	if len(c.Counts) != len(c.Edges)+1 || len(c.Group) != len(c.Counts) {
		return fmt.Errorf("detect: column %s: %d edges, %d counts, %d groups", c.Name, len(c.Edges), len(c.Counts), len(c.Group))
	}
	for i := range c.Edges {
		if math.IsNaN(c.Edges[i]) || i > 0 && c.Edges[i] <= c.Edges[i-1] {
			return fmt.Errorf("detect: column %s: edges are not ascending", c.Name)
		}
	}
	for i, g := range c.Group {
		if g < 0 || i == 0 && g != 0 || i > 0 && g != c.Group[i-1] && g != c.Group[i-1]+1 {
			return fmt.Errorf("detect: column %s: groups are not ascending", c.Name)
		}
	}
	if c.Categorical {
		c.prepareCodes()
		return nil
	}
	if len(c.Edges) > searchWidth {
		return fmt.Errorf("detect: column %s: %d edges, at most %d", c.Name, len(c.Edges), searchWidth)
	}
	for i := range c.padded {
		c.padded[i] = math.Inf(1)
	}
	copy(c.padded[:], c.Edges)
	return nil
}

// prepareCodes builds a table from code to bin where codes are whole numbers close together, as schemas have them.
func (c *Column) prepareCodes() {
	if len(c.Edges) == 0 {
		return
	}
	c.first = c.Edges[0]
	span := c.Edges[len(c.Edges)-1] - c.first + 1
	if !(span <= maxCodeSpan) {
		return
	}
	codes := make([]int32, int(span))
	for i := range codes {
		codes[i] = int32(len(c.Edges))
	}
	for i, code := range c.Edges {
		d := code - c.first
		if d != math.Trunc(d) {
			return
		}
		codes[int(d)] = int32(i)
	}
	c.codes = codes
}

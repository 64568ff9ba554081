package detect

import (
	"fmt"
	"math"
)

// Histogram compares a column's shares in the bins of the PSI rule: the reference's with those of the window in use. The
// last bin holds missing values where there are any.
type Histogram struct {
	Bins           []string
	Reference, Now []float64
	// N is how many values Now rests on.
	N int64
}

// Histograms returns one for each drift target that has counts, by its name.
func (m *Monitor) Histograms() map[string]Histogram {
	out := map[string]Histogram{}
	for name, d := range m.state.Drift {
		c := m.column(name)
		if c == nil || d == nil {
			continue
		}
		counts := make([]int64, c.Bins()+2)
		for _, b := range d.Blocks {
			if len(b.Counts) != len(counts) {
				continue // of another reference
			}
			for i, n := range b.Counts {
				counts[i] += int64(n)
			}
		}
		out[name] = c.histogram(counts[:c.Bins()], counts[c.Bins()])
	}
	return out
}

func (c *Column) histogram(counts []int64, missing int64) Histogram {
	h := Histogram{Bins: c.binNames()}
	was, now := c.grouped(c.Counts), c.grouped(counts)
	if c.Missing+missing > 0 {
		h.Bins, was, now = append(h.Bins, "missing"), append(was, c.Missing), append(now, missing)
	}
	var n int64
	h.Reference, _ = sharesOf(was)
	h.Now, n = sharesOf(now)
	h.N = n
	return h
}

func sharesOf(counts []int64) (shares []float64, n int64) {
	for _, k := range counts {
		n += k
	}
	shares = make([]float64, len(counts))
	for i, k := range counts {
		if n > 0 {
			shares[i] = float64(k) / float64(n)
		}
	}
	return shares, n
}

// binNames names the groups of bins by their edges; a category by its code.
func (c *Column) binNames() []string {
	names := make([]string, c.Group[len(c.Group)-1]+1)
	low := math.Inf(-1)
	for b, g := range c.Group {
		switch {
		case c.Categorical && b < len(c.Edges):
			names[g] = fmt.Sprintf("%g", c.Edges[b])
			continue
		case c.Categorical:
			names[g] = "never seen"
			continue
		case b < len(c.Edges) && (b+1 == len(c.Group) || c.Group[b+1] != g):
			names[g] = interval(low, c.Edges[b])
			low = c.Edges[b]
		case b == len(c.Group)-1:
			names[g] = interval(low, math.Inf(1))
		}
	}
	return names
}

func interval(low, high float64) string {
	switch {
	case math.IsInf(low, -1) && math.IsInf(high, 1):
		return "all"
	case math.IsInf(low, -1):
		return fmt.Sprintf("up to %.4g", high)
	case math.IsInf(high, 1):
		return fmt.Sprintf("above %.4g", low)
	}
	return fmt.Sprintf("%.4g to %.4g", low, high)
}

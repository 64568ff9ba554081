package detect

import (
	"math"
	"slices"
)

// unitBug finds the factor that best explains the values as a mixture of good ones and multiplied ones, and names it if
// taking it out brings PSI under 0.1 and no smooth change of scale or place explains them better.
func unitBug(c *Column, sorted []float64, raw float64) *Bug {
	if raw < bugCleared || len(c.Grid) != gridSize || c.Max == c.Min {
		return nil
	}
	var best *Bug
	for _, factor := range unitFactors {
		share, cleared := c.unmix(sorted, mapping{scale: factor})
		if share >= bugShare && cleared < bugCleared && (best == nil || cleared < best.Cleared) {
			best = &Bug{Kind: BugUnit, Feature: c.Name, Share: share, Factor: factor, PSI: raw, Cleared: cleared, N: len(sorted)}
		}
	}
	if best != nil && c.smooth(sorted) <= best.Cleared+0.02 {
		return nil
	}
	return best
}

// mapping is x -> scale x + shift, what may have happened to a value.
type mapping struct{ scale, shift float64 }

func (m mapping) undo(x float64) float64 { return (x - m.shift) / m.scale }

// unmix fits the share of values that were mapped (expectation maximisation over the two densities) and returns it with
// the PSI of the values after each was put back by its probability of having been mapped. A value at a bound of the schema
// stands for all that were held there: it has a mass instead of a density, and is put back where those come from.
func (c *Column) unmix(sorted []float64, m mapping) (share, cleared float64) {
	good, bad := make([]float64, len(sorted)), make([]float64, len(sorted))
	for i, x := range sorted {
		if held := c.heldAt(x); held != 0 {
			good[i], bad[i] = c.beyond(x, held), c.beyond(m.undo(x), held)
			continue
		}
		good[i], bad[i] = c.density(x), c.density(m.undo(x))/m.scale
	}
	share = 0.5
	for range 40 {
		sum := 0.0
		for i := range sorted {
			sum += posterior(share, good[i], bad[i])
		}
		share = min(max(sum/float64(len(sorted)), 1e-6), 1-1e-6)
	}
	shares := make([]float64, c.Bins())
	for i, x := range sorted {
		r := posterior(share, good[i], bad[i])
		shares[c.Bin(x)] += 1 - r
		c.putBack(shares, m.undo(x), c.heldAt(x), r)
	}
	counts := make([]int64, len(shares))
	for b := range shares {
		counts[b] = int64(math.Round(shares[b]))
	}
	return share, max(EstimatePSI(c.grouped(c.Counts), c.grouped(counts), 0).Corrected, 0)
}

// heldAt is +1 for a value at the upper bound of the schema, -1 at the lower one, else 0.
func (c *Column) heldAt(x float64) int {
	switch {
	case c.High != nil && x >= *c.High:
		return 1
	case c.Low != nil && x <= *c.Low:
		return -1
	}
	return 0
}

// tail returns the quantiles of the reference that lie at x or beyond it, up (+1) or down (-1).
func (c *Column) tail(x float64, direction int) []float64 {
	if direction > 0 {
		from, _ := slices.BinarySearch(c.Grid, x)
		return c.Grid[from:]
	}
	to, _ := slices.BinarySearch(c.Grid, math.Nextafter(x, math.Inf(1)))
	return c.Grid[:to]
}

// beyond is the reference's mass in a tail, never 0.
func (c *Column) beyond(x float64, direction int) float64 {
	return max(float64(len(c.tail(x, direction)))/gridSize, 1e-6)
}

// putBack adds a weight to the bin of x, or, for a value that was held at a bound, to the bins of the tail from x on.
func (c *Column) putBack(shares []float64, x float64, held int, weight float64) {
	tail := c.tail(x, held)
	if held == 0 || len(tail) == 0 {
		shares[c.Bin(x)] += weight
		return
	}
	for _, q := range tail {
		shares[c.Bin(q)] += weight / float64(len(tail))
	}
}

func posterior(share, good, bad float64) float64 {
	return share * bad / (share*bad + (1-share)*good)
}

// density is the reference's density at x, from its quantile grid; far outside it is tiny but positive.
func (c *Column) density(x float64) float64 {
	const outside = 1e-9
	span := c.Max - c.Min
	if x < c.Min || x > c.Max {
		return outside / span
	}
	i, _ := slices.BinarySearch(c.Grid, x)
	// Four cells each way: smooth enough for a sample, and ties have a width.
	low, high := max(i-4, 0), min(i+4, gridSize-1)
	width := max(c.Grid[high]-c.Grid[low], span*1e-4)
	return float64(high-low) / (gridSize - 1) / width
}

// smooth returns the least PSI that a change of a population leaves once it is taken out: some or all values moved, or
// stretched about zero or about the median, by less than a mistake of unit would.
func (c *Column) smooth(sorted []float64) float64 {
	median, spread := c.Grid[gridSize/2], (c.Grid[168]-c.Grid[32])/2
	least := math.Inf(1)
	try := func(m mapping) {
		if m.scale > 0 {
			_, cleared := c.unmix(sorted, m)
			least = min(least, cleared)
		}
	}
	for step := -12; step <= 12; step++ {
		scale := math.Exp2(float64(step) / 9)
		try(mapping{scale: scale})
		try(mapping{scale: scale, shift: median * (1 - scale)})
		try(mapping{scale: 1, shift: float64(step) / 4 * spread})
	}
	return least
}

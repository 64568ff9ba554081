package detect

import (
	"fmt"
	"math"
	"slices"
)

// BugKind names a kind of data bug.
type BugKind string

// The data bugs that are told from drift of a population.
const (
	BugStuck   BugKind = "STUCK_VALUE"
	BugMissing BugKind = "MISSING_VALUES"
	BugUnit    BugKind = "UNIT_ERROR"
)

// Bug says that a broken feed, not another population, explains a change. It ends with a person, never with a new
// reference.
type Bug struct {
	Kind    BugKind `json:"kind"`
	Feature string  `json:"feature"`
	// Share is the share of values concerned. Value is the stuck value, Factor what values seem multiplied by.
	Share  float64 `json:"share"`
	Value  float64 `json:"value,omitempty"`
	Factor float64 `json:"factor,omitempty"`
	// PSI is of the values as they came, Cleared of the values with the bug taken out; N is the sample.
	PSI     float64 `json:"psi"`
	Cleared float64 `json:"psi_cleared"`
	N       int     `json:"n"`
}

// String names the bug for a person.
func (b Bug) String() string {
	switch b.Kind {
	case BugStuck:
		return fmt.Sprintf("%s: %.0f %% of values are stuck at %g", b.Feature, 100*b.Share, b.Value)
	case BugMissing:
		return fmt.Sprintf("%s: %.0f %% of values are missing", b.Feature, 100*b.Share)
	}
	return fmt.Sprintf("%s: %.0f %% of values look multiplied by %g", b.Feature, 100*b.Share, b.Factor)
}

const (
	bugSample   = 100 // values needed to name a bug
	bugShare    = 0.1 // least excess share of a stuck value, of missing values or of values in another unit
	bugCleared  = 0.1 // PSI under which the rest is as the reference
	commonValue = 0.05
	allButAll   = 0.95 // a common value, or a category, is stuck only if hardly anything else comes
)

// unitFactors are the mistakes of unit that happen: powers of ten, months for years and back.
var unitFactors = []float64{0.001, 0.01, 0.1, 10, 100, 1000, 12, 1.0 / 12}

// NameBug tests whether a data bug explains how values (NaN for missing) differ from the reference, and names it; nil
// if none does or the sample is too small. It tests missing values first, then one stuck value, then a factor.
func NameBug(c *Column, values []float64) *Bug {
	if len(values) < bugSample {
		return nil
	}
	if b := missingBug(c, values); b != nil {
		return b
	}
	present := presentSorted(values)
	if len(present) < bugSample || c.Present() == 0 {
		return nil
	}
	raw := c.psi(present)
	if b := stuckBug(c, present, raw); b != nil {
		return b
	}
	if c.Categorical {
		return nil
	}
	return unitBug(c, present, raw)
}

// psi is the PSI rule's value of present values, corrected for the sizes.
func (c *Column) psi(present []float64) float64 {
	counts := make([]int64, c.Bins())
	for _, x := range present {
		counts[c.Bin(x)]++
	}
	return max(EstimatePSI(c.grouped(c.Counts), c.grouped(counts), 0).Corrected, 0)
}

// grouped joins bin counts into the bins of the PSI rule.
func (c *Column) grouped(counts []int64) []int64 {
	joined := make([]int64, c.Group[len(c.Group)-1]+1)
	for b, g := range c.Group {
		joined[g] += counts[b]
	}
	return joined
}

func missingBug(c *Column, values []float64) *Bug {
	missing := 0
	for _, x := range values {
		if math.IsNaN(x) {
			missing++
		}
	}
	n := float64(len(values))
	share := float64(missing) / n
	before := (float64(c.Missing) + 0.5) / float64(c.Missing+c.Present()+1)
	deviation := math.Sqrt(before * (1 - before) / n)
	if share-before < bugShare || share-before < 4*deviation {
		return nil
	}
	present := presentSorted(values)
	cleared := 0.0
	if len(present) >= bugSample {
		cleared = c.psi(present)
	}
	was := []int64{c.Present(), c.Missing}
	is := []int64{int64(len(present)), int64(missing)}
	return &Bug{Kind: BugMissing, Feature: c.Name, Share: share, PSI: PSI(was, is), Cleared: cleared, N: len(values)}
}

// stuckBug finds the value whose share grew most. With it reduced to its old share the rest must be as the reference:
// a shift that piles up at a bound is no stuck value.
func stuckBug(c *Column, sorted []float64, raw float64) *Bug {
	value, count, excess := 0.0, 0, 0.0
	for i := 0; i < len(sorted); {
		j := i
		for j < len(sorted) && sorted[j] == sorted[i] {
			j++
		}
		if e := float64(j-i)/float64(len(sorted)) - c.share(sorted[i]); e > excess {
			value, count, excess = sorted[i], j-i, e
		}
		i = j
	}
	if excess < bugShare {
		return nil
	}
	share := float64(count) / float64(len(sorted))
	if (c.Categorical || c.share(value) >= commonValue) && share < allButAll {
		return nil
	}
	keep := int(math.Round(c.share(value) / (1 - c.share(value)) * float64(len(sorted)-count)))
	rest := make([]float64, 0, len(sorted))
	for _, x := range sorted {
		if x == value {
			if keep <= 0 {
				continue
			}
			keep--
		}
		rest = append(rest, x)
	}
	cleared := 0.0
	if share < allButAll {
		if len(rest) < bugSample/4 {
			return nil
		}
		if cleared = c.psi(rest); cleared >= bugCleared {
			return nil
		}
	}
	return &Bug{Kind: BugStuck, Feature: c.Name, Share: share, Value: value, PSI: raw, Cleared: cleared, N: len(sorted)}
}

// share is the reference share of a value, as far as it is among the most frequent ones.
func (c *Column) share(x float64) float64 {
	for _, t := range c.Top {
		if t.Value == x {
			return t.Share
		}
	}
	return 0
}

// unitBug finds the factor that best explains the values as a mixture of good ones and multiplied ones, and names it if
// taking it out brings PSI under 0.1 and no smooth change of scale or place explains them better.
func unitBug(c *Column, sorted []float64, raw float64) *Bug {
	if raw < bugCleared || len(c.Grid) != gridSize || c.Max == c.Min {
		return nil
	}
	var best *Bug
	for _, factor := range unitFactors {
		share, cleared := c.unmix(sorted, factor)
		if share >= bugShare && cleared < bugCleared && (best == nil || cleared < best.Cleared) {
			best = &Bug{Kind: BugUnit, Feature: c.Name, Share: share, Factor: factor, PSI: raw, Cleared: cleared, N: len(sorted)}
		}
	}
	if best != nil && c.smooth(sorted) <= best.Cleared+0.02 {
		return nil
	}
	return best
}

// unmix fits the share of values that were multiplied by factor (expectation maximisation over the two densities) and
// returns it with the PSI of the values after each was put back by its probability of being multiplied.
func (c *Column) unmix(sorted []float64, factor float64) (share, cleared float64) {
	good, bad := make([]float64, len(sorted)), make([]float64, len(sorted))
	for i, x := range sorted {
		good[i], bad[i] = c.density(x), c.density(x/factor)/factor
	}
	share = 0.5
	for range 60 {
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
		shares[c.Bin(x/factor)] += r
	}
	counts := make([]int64, len(shares))
	for b := range shares {
		counts[b] = int64(math.Round(shares[b]))
	}
	return share, max(EstimatePSI(c.grouped(c.Counts), c.grouped(counts), 0).Corrected, 0)
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

// smooth returns the least PSI that one change of place or of scale, about the median, leaves.
func (c *Column) smooth(sorted []float64) float64 {
	median, was := Quantile(sorted, 0.5), c.Grid[gridSize/2]
	moved := make([]float64, len(sorted))
	for i, x := range sorted {
		moved[i] = x - median + was
	}
	least := c.psi(moved)
	for step := -20; step <= 20; step++ {
		scale := math.Exp2(float64(step) / 10)
		for i, x := range sorted {
			moved[i] = x * scale
		}
		least = min(least, c.psi(moved))
	}
	return least
}

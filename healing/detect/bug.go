package detect

import (
	"fmt"
	"math"
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
	return fmt.Sprintf("%s: %.0f %% of values look %s", b.Feature, 100*b.Share, FactorText(b.Factor))
}

// FactorText is a mistake of unit in words: 1/12 is divided by 12.
func FactorText(factor float64) string {
	if factor > 0 && factor < 1 {
		return fmt.Sprintf("divided by %.4g", 1/factor)
	}
	return fmt.Sprintf("multiplied by %.4g", factor)
}

const (
	bugSample   = 100 // values needed to name a bug
	bugShare    = 0.1 // least excess share of a stuck value, of missing values or of values in another unit
	bugCleared  = 0.1 // PSI under which the rest is as the reference
	commonValue = 0.05
	allButAll   = 0.95 // a common value, or a category, is stuck only if hardly anything else comes
	pileUp      = 0.9  // more at an end than a population that moved there would have
	hardlyRest  = 0.8  // of a value: what else there is may be too little to be looked at
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
	if (c.Categorical || c.share(value) >= commonValue) && share < allButAll || c.nearBound(value) && share < pileUp {
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
	if share < hardlyRest {
		if len(rest) < bugSample/4 {
			return nil
		}
		if cleared = c.psi(rest); cleared >= bugCleared {
			return nil
		}
	}
	return &Bug{Kind: BugStuck, Feature: c.Name, Share: share, Value: value, PSI: raw, Cleared: cleared, N: len(sorted)}
}

// nearBound reports whether a value lies near an end of the reference: a population that shifts piles up there.
func (c *Column) nearBound(x float64) bool {
	if c.Low != nil && x <= *c.Low || c.High != nil && x >= *c.High {
		return true
	}
	slack := 0.05 * (c.Max - c.Min)
	return math.Abs(x-c.Min) <= slack && c.densityAtEnd(c.Min) || math.Abs(x-c.Max) <= slack && c.densityAtEnd(c.Max)
}

// densityAtEnd reports whether an end of the reference is a bound and no thin tail.
func (c *Column) densityAtEnd(end float64) bool {
	if len(c.Grid) != gridSize {
		return true
	}
	slack := 0.05 * (c.Max - c.Min)
	if end == c.Min {
		return c.Grid[2] <= c.Min+slack
	}
	return c.Grid[gridSize-3] >= c.Max-slack
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

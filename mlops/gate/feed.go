package gate

import (
	"fmt"
	"math"
	"slices"

	"aura/mlops/dataset"
	"aura/mlops/schema"
)

const (
	feedRows = 100 // present values needed to look at a feature
	// stuckShare of values that are one value, which was rarer than stuckBefore, is no population.
	stuckShare, stuckBefore = 0.5, 0.1
	// unitSlack is how far, in natural logarithms, quantiles may lie from those of the old rows times a factor.
	unitSlack = 0.12
)

// unitFactors are the mistakes of unit that happen. A factor of 10 of a whole population is one of them; 2 is none.
var unitFactors = []float64{0.001, 0.01, 0.1, 1.0 / 12, 12, 10, 100, 1000}

// soundFeed is the second look at the feed. Monitoring names broken feeds, also ones that are broken in part (Options.Bugs);
// what is broken as a whole is seen here again, because a model that has learned it makes it last. It compares with the
// champion's training sample; without one nothing is seen.
func (c *contest) soundFeed(rows []LabelledRow, old []dataset.Row) bool {
	broken := ""
	for f := range c.schema.Features {
		column := &c.schema.Features[f]
		if column.Kind != schema.Numeric {
			continue
		}
		is := present(len(rows), func(i int) float64 { return rows[i].Values[f] })
		was := present(len(old), func(i int) float64 { return old[i].Values[f] })
		if len(is) < feedRows || len(was) < feedRows {
			continue
		}
		if factor, ok := unitOf(was, is, column); ok {
			text := fmt.Sprintf("multiplied by %.4g", factor)
			if factor < 1 {
				text = fmt.Sprintf("divided by %.4g", 1/factor)
			}
			broken = column.Name + ": values look " + text
		} else if value, ok := stuckAt(was, is, column); ok {
			broken = fmt.Sprintf("%s: more than %.0f %% of values are %g", column.Name, 100*stuckShare, value)
		}
		if broken != "" {
			break
		}
	}
	if !c.check("features that look broken as a whole", boolean(broken != ""), 0, broken == "") {
		c.end(BrokenFeed, "the feed is broken (%s): a model trained on it would learn the defect; a person must mend the feed", broken)
		return false
	}
	return true
}

// present returns the values that are there, sorted.
func present(n int, value func(int) float64) []float64 {
	out := make([]float64, 0, n)
	for i := range n {
		if v := value(i); !math.IsNaN(v) {
			out = append(out, v)
		}
	}
	slices.Sort(out)
	return out
}

// unitOf finds the factor by which all quantiles differ, but for those that were held at a bound of the schema; of them most
// must not have been.
func unitOf(was, is []float64, column *schema.Feature) (float64, bool) {
	for _, factor := range unitFactors {
		fits, free := true, 0
		for _, q := range []float64{0.1, 0.25, 0.5, 0.75, 0.9} {
			a, b := factor*was[int(q*float64(len(was)))], is[int(q*float64(len(is)))]
			held := hold(a, column)
			if held == a {
				free++
			}
			if !(held > 0 && b > 0 && math.Abs(math.Log(b/held)) <= unitSlack) {
				fits = false
				break
			}
		}
		if fits && free >= 3 {
			return factor, true
		}
	}
	return 0, false
}

// hold keeps a value inside the schema's bounds.
func hold(x float64, column *schema.Feature) float64 {
	if column.Min != nil {
		x = max(x, *column.Min)
	}
	if column.Max != nil {
		x = min(x, *column.Max)
	}
	return x
}

// stuckAt finds a value that most values are now and hardly any was. A bound of the schema is none: a population that has
// moved past it piles up there.
func stuckAt(was, is []float64, column *schema.Feature) (float64, bool) {
	value := is[len(is)/2] // what is more than half of them is the median too
	if column.Min != nil && value == *column.Min || column.Max != nil && value == *column.Max {
		return 0, false
	}
	return value, shareOf(is, value) > stuckShare && shareOf(was, value) < stuckBefore
}

func shareOf(sorted []float64, value float64) float64 {
	from, _ := slices.BinarySearch(sorted, value)
	to, _ := slices.BinarySearch(sorted, math.Nextafter(value, math.Inf(1)))
	return float64(to-from) / float64(len(sorted))
}

func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

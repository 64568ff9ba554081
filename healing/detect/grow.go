package detect

import (
	"maps"
	"math"
	"slices"
	"time"
)

// Grow returns r with further rows of the same population counted, and of version their scores: more certain shares of the
// same bins under the same ID, so that counts against r and detectors on them go on. until is when the newest of the rows
// was accepted. What names data bugs (quantiles, frequent values) stays as r was built. r is not changed.
func (r *Reference) Grow(rows [][]float64, version int, scores []float64, until time.Time) *Reference {
	grown := &Reference{ID: r.ID, Rows: r.Rows + len(rows), Until: until, Features: slices.Clone(r.Features), Scores: maps.Clone(r.Scores)}
	for i := range grown.Features {
		c := &grown.Features[i]
		c.Counts = slices.Clone(c.Counts)
		for _, row := range rows {
			if i < len(row) {
				c.count(row[i])
			}
		}
	}
	if c := r.Scores[version]; c != nil {
		own := *c
		own.Counts = slices.Clone(c.Counts)
		for _, x := range scores {
			own.count(x)
		}
		grown.Scores[version] = &own
	}
	return grown
}

// count adds one value to the column.
func (c *Column) count(x float64) {
	if math.IsNaN(x) {
		c.Missing++
		return
	}
	x = min(max(x, -hugest), hugest)
	c.Counts[c.Bin(x)]++
	c.Min, c.Max = min(c.Min, x), max(c.Max, x)
}

// Fits reports whether rows may join r: PSI of every feature below limit, corrected for the sizes.
func (r *Reference) Fits(rows [][]float64, limit float64) (bool, TargetPSI) {
	return r.Matches(rows, 1, limit)
}

// Package explain says which inputs of one application pushed a model's trees toward default.
//
// It owns the choice of the strongest contributions; the forest owns the walk that yields them. A contribution is a path
// attribution (Saabas 2014): on the way from a root to a leaf each step moves the node's mean outcome, and the move belongs
// to the column that the node tests. Moves are integers, so the sum is exact: the trees' mean at the root plus all
// contributions is the uncalibrated vote, to the last bit, and the order of trees plays no part.
//
// Of an imported ensemble the moves are those of real numbers, rounded to 2^-24 (see ensemble.Attribute).
//
// It imports forest and ensemble. An Explainer is immutable and may be used from any number of goroutines; Top neither blocks nor
// allocates (given room in dst) for up to 256 columns. Texts and reason codes are the schema's business. Test it with a small trained forest.
package explain

import (
	"aura/mlops/ensemble"
	"aura/mlops/forest"
)

// Contribution is what one column added to the probability of default before calibration: in (0, 1] from Top.
type Contribution struct {
	Feature int     // index of the column in the model's inputs
	Value   float64 // difference of the mean vote
}

// Explainer explains the scores of one model.
type Explainer struct {
	forest   *forest.Forest     // or
	ensemble *ensemble.Ensemble // one of them is nil
	scale    float64
}

// New returns an explainer of f.
func New(f *forest.Forest) *Explainer {
	return &Explainer{forest: f, scale: f.Scale()}
}

// NewImported returns an explainer of e.
func NewImported(e *ensemble.Ensemble) *Explainer {
	return &Explainer{ensemble: e, scale: e.Scale()}
}

// attribute isn't a method of an interface: through one, moved would be allocated for each call.
func (e *Explainer) attribute(x []float64, moved []int32) (start int32) {
	if e.forest == nil {
		return e.ensemble.Attribute(x, moved)
	}
	return e.forest.Attribute(x, moved)
}

// stackColumns is the widest model explained without allocation.
const stackColumns = 256

// Top appends to dst the at most k columns that pushed x most toward default, the strongest first; those that pushed the
// other way or not at all never appear, and equal ones stand in column order. x is as for forest.Score: another length panics.
func (e *Explainer) Top(x []float64, k int, dst []Contribution) []Contribution {
	var room [stackColumns]int32
	moved := room[:]
	if len(x) <= stackColumns {
		moved = moved[:len(x)]
	} else {
		moved = make([]int32, len(x))
	}
	e.attribute(x, moved)
	for range k {
		best, value := -1, int32(0)
		for j, v := range moved {
			if v > value { // strictly: the first of equals wins
				best, value = j, v
			}
		}
		if best < 0 {
			break
		}
		dst = append(dst, Contribution{Feature: best, Value: float64(value) / e.scale})
		moved[best] = 0
	}
	return dst
}

// All writes every column's contribution to dst, which has the length of x, and returns the mean vote at the roots:
// start + sum(dst) is the uncalibrated score up to the rounding of these additions.
func (e *Explainer) All(x []float64, dst []float64) (start float64) {
	moved := make([]int32, len(x))
	start = float64(e.attribute(x, moved)) / e.scale
	for j, v := range moved {
		dst[j] = float64(v) / e.scale
	}
	return start
}

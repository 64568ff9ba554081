package registry

import (
	"math"
	"math/rand/v2"

	"aura/mlops/schema"
)

// The probe is a few made-up vectors with the votes they got when the model was made. It is kept in the model file and
// scored before the model may take charge. Votes are exact (sums in a fixed order), so they must be equal to the bit on any machine.
const (
	probeSection = "probe"
	probeRows    = 32
)

type probeRow struct {
	X   schema.Vector `json:"x"`
	Raw float64       `json:"raw"`
}

// newProbe draws vectors over the schema's bounds, some with missing inputs, and has them scored.
func newProbe(s *schema.Schema, raw func([]float64) float64) []probeRow {
	rng := rand.New(rand.NewPCG(1, uint64(len(s.Features))))
	rows := make([]probeRow, probeRows)
	for i := range rows {
		values := make(schema.Vector, len(s.Features))
		for j := range s.Features {
			values[j] = probeValue(&s.Features[j], rng)
		}
		x := s.Vector(values)
		rows[i] = probeRow{X: x, Raw: raw(x)}
	}
	return rows
}

func probeValue(f *schema.Feature, rng *rand.Rand) float64 {
	if rng.IntN(16) == 0 {
		return math.NaN()
	}
	if f.Kind == schema.Categorical {
		return float64(rng.IntN(len(f.Categories)))
	}
	low, high := -1e6, 1e6
	switch {
	case f.Min != nil && f.Max != nil:
		low, high = *f.Min, *f.Max
	case f.Min != nil:
		low, high = *f.Min, *f.Min+1e6
	case f.Max != nil:
		low, high = *f.Max-1e6, *f.Max
	}
	// A cube puts most of a wide range's draws near its lower end, where real values lie.
	u := rng.Float64()
	return low + (high-low)*u*u*u
}

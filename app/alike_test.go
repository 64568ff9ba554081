package app

import (
	"testing"

	"aura/mlops/dataset"
	"aura/mlops/gate"
	"aura/mlops/schema"
)

// TestAlike: rows of one population go back to the first; a step is found to within a block, wherever it lies.
func TestAlike(t *testing.T) {
	s := schema.Builtin()
	at := s.Index("income")
	rows := func(seed uint64, n int, factor float64) (out []gate.LabelledRow) {
		for _, r := range dataset.Synthetic(n, seed) {
			r.Values[at] *= factor
			out = append(out, gate.LabelledRow{Values: r.Values, Bad: r.Bad})
		}
		return out
	}
	for _, c := range []struct {
		latest, older int
		factor        float64
		least, most   int
	}{
		{latest: 400, older: 0, factor: 1, least: 400, most: 400},
		{latest: 1200, older: 3000, factor: 1, least: 4200, most: 4200},
		{latest: 500, older: 3000, factor: 2, least: 500, most: 500},
		{latest: 1700, older: 3000, factor: 2, least: 1500, most: 2000},
		{latest: 250, older: 3000, factor: 2, least: 500, most: 500}, // both at once: nothing before it is like it
	} {
		n, err := alike(s, append(rows(1, c.latest, c.factor), rows(2, c.older, 1)...))
		if err != nil || n < c.least || n > c.most {
			t.Errorf("%+v: %d are alike, %v", c, n, err)
		}
	}
	whole := 0
	const times = 40
	for seed := range uint64(times) {
		if n, err := alike(s, rows(10+seed, 3000, 1)); err == nil && n == 3000 {
			whole++
		}
	}
	if whole < times-1 {
		t.Errorf("of one population in %d samples of %d only", whole, times)
	}
}

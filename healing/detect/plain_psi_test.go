package detect

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestComparisonIsThePlainPSI: what monitoring computes from counts of fine bins is what everybody computes by hand, from the
// values themselves in deciles of the reference: for shifts in either half, and in the spread.
func TestComparisonIsThePlainPSI(t *testing.T) {
	random := rand.New(rand.NewPCG(31, 1))
	sample := func(n int, draw func() float64) [][]float64 {
		rows := make([][]float64, n)
		for i := range rows {
			rows[i] = []float64{draw()}
		}
		return rows
	}
	rows := sample(12_000, random.NormFloat64)
	r, err := BuildReference("r", []Field{{Name: "x"}}, rows)
	if err != nil {
		t.Fatal(err)
	}
	sorted := column(rows)
	slices.Sort(sorted)
	deciles := QuantileEdges(sorted, 10)
	for name, draw := range map[string]func() float64{
		"shifted":          func() float64 { return random.NormFloat64() + 0.7 },
		"only the larger":  func() float64 { x := random.NormFloat64(); return x + max(x, 0) },
		"only the smaller": func() float64 { x := random.NormFloat64(); return x + min(x, 0) },
		"narrower":         func() float64 { return random.NormFloat64() / 2 },
	} {
		drawn := sample(3000, draw)
		s := NewSketch(r)
		for _, row := range drawn {
			s.Add(row)
		}
		want := PSI(BinCounts(column(rows), deciles), BinCounts(column(drawn), deciles))
		if got := r.Compare(s, 0, 1)[0]; got.N != 3000 || math.Abs(got.Value-want) > 1e-9 {
			t.Errorf("%s: PSI %.9f of %d rows, want %.9f of 3000", name, got.Value, got.N, want)
		}
	}
}

func column(rows [][]float64) []float64 {
	out := make([]float64, len(rows))
	for i, row := range rows {
		out[i] = row[0]
	}
	return out
}

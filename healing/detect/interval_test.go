package detect

import (
	"math"
	"testing"
)

// TestBetaQuantileInverts: over small and large counts and both tails, and in few steps of what it inverts.
func TestBetaQuantileInverts(t *testing.T) {
	for _, n := range []int64{1, 2, 7, 30, 500, 20_000, 3_000_000} {
		for _, yes := range []int64{0, 1, n / 7, n / 2, n - 1} {
			if yes < 0 || yes >= n {
				continue
			}
			a, b := float64(yes)+1, float64(n-yes)
			for _, p := range []float64{1e-9, 0.025, 0.05, 0.5, 0.95, 0.975, 1 - 1e-9} {
				x := betaQuantile(p, a, b)
				low, high := x*(1-1e-9), x*(1+1e-9)
				if !(betaCDF(low, a, b) <= p && betaCDF(math.Min(high, 1), a, b) >= p) {
					t.Errorf("the quantile of %g for %g, %g is given as %g, where it is %g", p, a, b, x, betaCDF(x, a, b))
				}
			}
		}
	}
}

func BenchmarkUpperBound(b *testing.B) {
	for b.Loop() {
		UpperBound(437, 500, 0.025)
	}
}

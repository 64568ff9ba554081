package detect

import (
	"math"
	"testing"
)

// TestShownPSIIsMeasured: what people are shown is the PSI of the window, never what is left of a correction: that of
// missing values is the same for each feature that misses none.
func TestShownPSIIsMeasured(t *testing.T) {
	s := newService(t, 9, 12_000)
	for range 600 {
		s.run(step)
	}
	seen := map[float64]string{}
	for _, g := range s.m.Signals(s.now) {
		if g.Kind != DataDrift {
			continue
		}
		want := s.m.state.Drift[g.Target].PSI
		if g.Value != want.Value || g.Evidence["psi"] != want.Value || g.N != want.N {
			t.Errorf("%s: %g on %d rows, measured %g on %d", g.Target, g.Value, g.N, want.Value, want.N)
		}
		if other, twice := seen[g.Value]; twice {
			t.Errorf("%s and %s both have %v", g.Target, other, g.Value)
		}
		seen[g.Value] = g.Target
		if corrected, ok := g.Evidence["psi_corrected"].(float64); !ok || math.IsNaN(corrected) {
			t.Errorf("%s: no corrected PSI in %v", g.Target, g.Evidence)
		}
	}
}

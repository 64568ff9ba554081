package detect

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// TestADataBugThatIsOverIsOver: however far a broken feed drove the detectors, in whatever rare bin, some 1000 rows from after
// its mending end the alarm, and it doesn't come back.
func TestADataBugThatIsOverIsOver(t *testing.T) {
	bugs := map[string]func(x float64) float64{
		"stuck":   func(float64) float64 { return 701 },
		"missing": func(float64) float64 { return math.NaN() },
		"x 10":    func(x float64) float64 { return x * 10 },
		"/ 12":    func(x float64) float64 { return x / 12 },
	}
	for index, feature := range map[int]string{0: "credit_score", 1: "debt_ratio", 2: "income"} {
		for _, name := range sortedKeys(bugs) {
			for seed := range uint64(3) {
				s := newService(t, 800+seed, 12_000)
				s.perSlot = 50
				s.run(2 * time.Second)
				s.row = func(r *rand.Rand) []float64 {
					v := normalRow(r)
					v[index] = bugs[name](v[index])
					return v
				}
				s.until(DataDrift, feature, Confirmed, 20*time.Second)
				s.run(5 * time.Second)
				s.want(DataDrift, feature, Confirmed)
				s.row = normalRow
				took := s.until(DataDrift, feature, Healthy, time.Minute)
				if rows := int(took/step) * s.perSlot; rows > 1500 {
					t.Errorf("%s %s, seed %d: over only after %d rows", feature, name, seed, rows)
				}
				for range 4 {
					s.run(time.Second)
					s.want(DataDrift, feature, Healthy)
				}
			}
		}
	}
}

// TestASmallDriftStaysSuspect: the smallest shift that is bet on stays in sight while it goes on, and is over after it.
func TestASmallDriftStaysSuspect(t *testing.T) {
	for seed := range uint64(4) {
		s := newService(t, 900+seed, 12_000)
		s.perSlot = 50
		s.run(2 * time.Second)
		s.row = func(r *rand.Rand) []float64 { v := normalRow(r); v[2] += 5000; return v } // a quarter of its deviation
		s.until(DataDrift, "income", Suspect, 10*time.Second)
		for range 800 {
			s.run(step)
			s.want(DataDrift, "income", Suspect)
		}
		s.row = normalRow
		took := s.until(DataDrift, "income", Healthy, 20*time.Second)
		if rows := int(took/step) * s.perSlot; rows > 1500 {
			t.Errorf("seed %d: over only after %d rows", seed, rows)
		}
	}
}

// TestASmallReferenceJudgesByTheRule: its detectors are WARMING; whether PSI is under its limit is said all the same.
func TestASmallReferenceJudgesByTheRule(t *testing.T) {
	s := newService(t, 950, 2000)
	says := func(n time.Duration, want State, clear bool) {
		t.Helper()
		s.run(n)
		g := s.signal(DataDrift, "income")
		if g.State != want || g.Evidence["clear"] != clear {
			t.Errorf("%s, clear %v, want %s, %v: %+v", g.State, g.Evidence["clear"], want, clear, g)
		}
	}
	s.perSlot = 20
	says(time.Second, Unknown, false)
	says(5*time.Second, Warming, true)
	s.row = func(r *rand.Rand) []float64 { v := normalRow(r); v[2] += 8000; return v } // a PSI between the two limits
	says(5*time.Second, Warming, false)
	s.row = func(r *rand.Rand) []float64 { v := normalRow(r); v[2] += 20_000; return v }
	says(5*time.Second, Confirmed, false)
	s.row = normalRow
	says(5*time.Second, Warming, true)
}

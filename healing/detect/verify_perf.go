package detect

import "fmt"

// Sample is what was seen of something: N samples, Bad of them bad.
type Sample struct {
	N   int64 `json:"n,omitempty"`
	Bad int64 `json:"bad,omitempty"`
}

const (
	// sureOfBad is the error of the bound on how bad the incident was.
	sureOfBad = 0.05
	// stillBelow is the probability of lying below the floor above which no champion counts as healthy.
	stillBelow = 0.2
	// surelyAbove is the probability of lying below the floor at which a champion is healthy whatever it was validated at.
	surelyAbove = 1e-3
	// surelyBelow is the one from which no champion is.
	surelyBelow = 0.95
)

// perfRates returns the rates of wrong scores that a verification of PERF_DROP tells apart. Healthy is the validated one.
// Broken is the incident's own, where was tells it: its lower bound, so that chance in a short incident doesn't make "as
// bad as before" worse than it was; never better than the floor. A drop of 25 points is so told from health in some
// hundred outcomes; to tell the floor itself from health, 5 points apart, takes above six hundred.
//
// What is proven (Wald 1945): a champion as bad as in the incident is called healthy with probability Alpha at most. One
// between that and the floor is held back by floorHolds, and if it passes, by the detector, which begins with a head start
// when the champion changes. Simulated in TestVerifyPerf.
func perfRates(c PerfConfig, d Desired, was Sample) (healthy, broken float64) {
	healthy, floor := 1-d.Validated, min(c.Floor, d.Validated-c.Margin)
	if d.Validated <= 0 {
		healthy, floor = 1-c.Floor-c.Margin, c.Floor
	}
	broken = 1 - floor
	if was.N > 0 {
		broken = max(broken, min(LowerBound(was.Bad, was.N, sureOfBad), 0.99))
	}
	return max(healthy, 0.005), broken
}

// floorHolds reports whether outcomes show the champion above its floor, by the rule that opens the incident read the
// other way: enough of them, and accuracy more likely above than below.
func (v *Verification) floorHolds() bool {
	t := v.Test
	return t.N >= v.Options.MinSamples && PosteriorBelow(v.Options.Floor, t.N-t.Bad, t.N) <= stillBelow
}

// perfHealthy: the champion is told from one as bad as in the incident, and its floor holds. What it was validated at may
// rest on few rows, and flatter it: then it may lie between the two rates, and is healthy if it is surely above its floor.
func (v *Verification) perfHealthy() bool {
	t := v.Test
	return t.Accepts(v.Options.Alpha) && v.floorHolds() ||
		t.N >= 2*v.Options.MinSamples && PosteriorBelow(v.Options.Floor, t.N-t.Bad, t.N) <= surelyAbove
}

// perfBroken: it is told from a healthy one, and surely below its floor.
func (v *Verification) perfBroken() bool {
	t := v.Test
	return t.Rejects(v.Options.Beta) && PosteriorBelow(v.Options.Floor, t.N-t.Bad, t.N) >= surelyBelow
}

// why says for a person what a verification of PERF_DROP tells apart.
func (v *Verification) why() string {
	if v.Kind != PerfDrop {
		return ""
	}
	return fmt.Sprintf("; told apart: accuracy %.3f (the incident's) and %.3f (validated); floor %.3f", 1-v.Options.Broken, 1-v.Options.Healthy, v.Options.Floor)
}

package gate

import (
	"math"
	"math/rand/v2"
	"testing"

	"aura/mlops/forest"
)

// drawn are two correlated scores for outcomes drawn from p.
func drawn(n int, seed uint64) (p, other []float64, bad []bool) {
	r := rand.New(rand.NewPCG(seed, 4))
	for range n {
		x := r.NormFloat64()
		v := 1 / (1 + math.Exp(-2*x))
		p, other, bad = append(p, v), append(other, 1/(1+math.Exp(-2*x-1.5*r.NormFloat64()))), append(bad, r.Float64() < v)
	}
	return p, other, bad
}

// The closed form must agree with the AUC's own difference, and its error with what repeated samples show.
func TestAUCDifference(t *testing.T) {
	const samples = 300
	var values []float64
	se := 0.0
	for i := range samples {
		p, other, bad := drawn(200, uint64(i))
		d := aucDifference(p, other, bad)
		if want := forest.AUC(p, bad) - forest.AUC(other, bad); math.Abs(d.value-want) > 1e-12 {
			t.Fatalf("difference %v, want %v", d.value, want)
		}
		values, se = append(values, d.value), se+d.se/samples
	}
	_, variance := moments(values)
	if true := math.Sqrt(variance); se < 0.85*true || se > 1.15*true {
		t.Errorf("standard error %.4f, samples scatter by %.4f", se, true)
	}
	if d := aucDifference([]float64{1, 2, 3}, []float64{1, 2, 3}, []bool{true, false, false}); !math.IsInf(d.se, 1) {
		t.Errorf("one bad row: %+v", d)
	}
	p, _, bad := drawn(200, 1)
	rounded := make([]float64, len(p))
	for i := range p {
		rounded[i] = math.Round(p[i]*5) / 5 // ties
	}
	if d := aucDifference(rounded, make([]float64, len(p)), bad); math.Abs(d.value+0.5-forest.AUC(rounded, bad)) > 1e-12 {
		t.Errorf("with ties %v, want %v", d.value+0.5, forest.AUC(rounded, bad))
	}
}

// What probabilities promise must come true where outcomes are drawn from them.
func TestPromises(t *testing.T) {
	p, _, bad := drawn(50_000, 1)
	f := figures(p, bad)
	if e := expectedAccuracy(p); math.Abs(e.value-f.Accuracy) > 4*e.se || e.se > 0.003 {
		t.Errorf("accuracy %.4f, promised %+v", f.Accuracy, e)
	}
	if e := expectedAUC(p); math.Abs(e-f.AUC) > 0.006 {
		t.Errorf("AUC %.4f, promised %.4f", f.AUC, e)
	}
	if math.Abs(f.Slope-1) > 0.05 || f.ECE > 0.01 {
		t.Errorf("slope %.3f, calibration error %.4f of true probabilities", f.Slope, f.ECE)
	}
	sure := make([]float64, len(p))
	for i, v := range p {
		z := math.Log(v / (1 - v))
		sure[i] = 1 / (1 + math.Exp(-2*z))
	}
	if slope, se := calibrationSlope(sure, bad); math.Abs(slope-0.5) > 5*se || se > 0.02 {
		t.Errorf("slope %.3f +- %.3f of log odds that are twice too large", slope, se)
	}
	if d := brierGain(p, sure, bad); d.low(5) < 0 || math.Abs(d.value-(forest.Brier(sure, bad)-forest.Brier(p, bad))) > 1e-12 {
		t.Errorf("true probabilities gain %+v over ones too sure", d)
	}
	if psi := scorePSI(p[:10_000], p[10_000:]); psi > 0.01 {
		t.Errorf("PSI %.4f of a sample against itself", psi)
	}
	if psi := scorePSI(p, sure); psi < 0.2 {
		t.Errorf("PSI %.4f of scores that are pushed apart", psi)
	}
}

func TestBound(t *testing.T) {
	for k, want := range map[int]float64{1: 1.6449, 3: 2.1280, 25: 2.8782} {
		if got := bound(k); math.Abs(got-want) > 1e-4 {
			t.Errorf("bound of %d comparisons: %.4f, want %.4f", k, got, want)
		}
	}
}

// The bound must hold for the chance itself, be of use, and say nothing where nothing is rare.
func TestRarerThan(t *testing.T) {
	for _, c := range []struct{ k, mean, want float64 }{
		{0, 180, -180}, {900, 180, 0}, {180, 180, 0}, {90, 180, -90 + 90*math.Ln2}, {0, 0, 0},
	} {
		if got := rarerThan(c.k, c.mean); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("at most %v where %v are expected: %v, want %v", c.k, c.mean, got, c.want)
		}
	}
	poisson, term := 0.0, math.Exp(-20)
	for k := range 20 {
		if poisson += term; math.Log(poisson) > rarerThan(float64(k), 20) || rarerThan(float64(k), 20)-math.Log(poisson) > 4 {
			t.Errorf("at most %d where 20 are expected: chance %v, bound %v", k, poisson, math.Exp(rarerThan(float64(k), 20)))
		}
		term *= 20 / float64(k+1)
	}
}

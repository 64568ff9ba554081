package detect

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"
)

func TestThresholdsFollowFromTheBudget(t *testing.T) {
	b := Budget{FalseAlarms: 0.01, Events: 500 * 30 * 24 * 3600, Least: 0.5}
	a, err := b.Threshold(20)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "500 events a second, 20 streams, 0.01 a month", a/2.592e12, 1) // reference §B4: 2.6e12
	b.Phi = 0.2
	near(t, "phi .2", must(t, b, 20), math.Exp(math.Log(a)*1.2/0.8))
	b.Phi, b.Benign = 0, 0.1
	near(t, "benign .1 of .5", math.Log(must(t, b, 20)), math.Log(a)/0.6)
	for _, bad := range []Budget{
		{},
		{FalseAlarms: 1},
		{FalseAlarms: -1, Events: 1},
		{FalseAlarms: 1, Events: 1, Phi: 0.51},
		{FalseAlarms: 1, Events: 1, Phi: -0.1},
		{FalseAlarms: 1, Events: 1, Benign: 0.3, Least: 0.5},
		{FalseAlarms: math.NaN(), Events: 1},
		{FalseAlarms: 1, Events: 1e300, Phi: 0.5},
	} {
		if _, err := bad.Threshold(1); !errors.Is(err, ErrConfig) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if _, err := b.Threshold(0); err == nil {
		t.Error("no streams")
	}
}

func must(t *testing.T, b Budget, streams int) float64 {
	t.Helper()
	a, err := b.Threshold(streams)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestConfigIsChecked(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(c *Config){
		"slo": func(c *Config) { c.Latency.SLO = 0 }, "clear": func(c *Config) { c.Drift.Clear = 0.2 }, "floor": func(c *Config) { c.Perf.Floor = 1.5 },
		"samples": func(c *Config) { c.Drift.MinSamples = 0 }, "suspect": func(c *Config) { c.Agent.Suspect = c.Agent.Missing + 1 },
		"dwell": func(c *Config) { c.Latency.Dwell = -1 }, "budget": func(c *Config) { c.Budget.FalseAlarms = 0 }, "window": func(c *Config) { c.Perf.Window = 1 },
		"nan": func(c *Config) { c.Perf.Posterior = math.NaN() }, "clear nan": func(c *Config) { c.Drift.Clear = math.NaN() },
	} {
		c := DefaultConfig()
		change(&c)
		if _, err := NewMonitor(c); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAutocorrelation(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 19))
	x := make([]float64, 20_000)
	for i := 1; i < len(x); i++ {
		x[i] = 0.4*x[i-1] + r.NormFloat64()
	}
	if phi := Autocorrelation(x); math.Abs(phi-0.4) > 0.03 {
		t.Errorf("phi %g", phi)
	}
	if Autocorrelation([]float64{1, 1, 1}) != 0 || Autocorrelation(nil) != 0 {
		t.Error("constant data")
	}
}

// TestIntervals checks the beta function on values that are known in closed form.
func TestIntervals(t *testing.T) {
	near(t, "I_.3(1,1)", betaCDF(0.3, 1, 1), 0.3)
	near(t, "I_.3(1,5)", betaCDF(0.3, 1, 5), 1-math.Pow(0.7, 5))
	near(t, "I_.9(4,1)", betaCDF(0.9, 4, 1), math.Pow(0.9, 4))
	near(t, "I_.5(7,7)", betaCDF(0.5, 7, 7), 0.5)
	near(t, "upper of 0 in 299", UpperBound(0, 299, 0.05), 1-math.Pow(0.05, 1.0/299))
	near(t, "lower of all of 10", LowerBound(10, 10, 0.05), math.Pow(0.05, 0.1))
	if UpperBound(0, 299, 0.05) > 0.01 {
		t.Error("0 of 299 doesn't show less than 1 %")
	}
	if UpperBound(5, 5, 0.05) != 1 || LowerBound(0, 5, 0.05) != 0 {
		t.Error("ends")
	}
	// Binomial tail: P(X <= 3 | n = 10, p) = 1 - I_p(4, 7).
	var sum float64
	for k, choose := range []float64{1, 10, 45, 120} {
		sum += choose * math.Pow(0.4, float64(k)) * math.Pow(0.6, float64(10-k))
	}
	near(t, "binomial tail", 1-betaCDF(0.4, 4, 7), sum)
}

package detect

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// columns are kinds of data that bugs and drifts are told apart on.
var columns = map[string]func(r *rand.Rand) float64{
	"credit_score": func(r *rand.Rand) float64 { return min(max(math.Round(r.NormFloat64()*80+700), 300), 850) },
	"debt_ratio":   func(r *rand.Rand) float64 { return min(max(r.NormFloat64()*20+30, 0), 100) },
	"income":       func(r *rand.Rand) float64 { return max(r.NormFloat64()*20_000+55_000, 10_000) },
	"loan_amount":  func(r *rand.Rand) float64 { return math.Round(r.Float64()*79_000 + 1_000) },
	"years":        func(r *rand.Rand) float64 { return min(r.ExpFloat64()*7, 40) },
	"lognormal":    func(r *rand.Rand) float64 { return math.Exp(r.NormFloat64()*0.6 + 10) },
}

func columnOf(name string, seed uint64) *Column {
	r := rand.New(rand.NewPCG(seed, 5))
	values := make([]float64, 12_000)
	for i := range values {
		values[i] = columns[name](r)
	}
	c := buildColumn(Field{Name: name}, values)
	return &c
}

// broken draws n values of which a share is changed.
func broken(name string, seed uint64, n int, share float64, f func(r *rand.Rand, x float64) float64) []float64 {
	r := rand.New(rand.NewPCG(seed, 6))
	values := make([]float64, n)
	for i := range values {
		values[i] = columns[name](r)
		if r.Float64() < share {
			values[i] = f(r, values[i])
		}
	}
	return values
}

func TestUnitErrorsAreNamed(t *testing.T) {
	for _, name := range sortedKeys(columns) {
		c := columnOf(name, 1)
		for _, factor := range unitFactors {
			for _, share := range []float64{0.3, 0.6, 1} {
				named := 0
				for seed := range uint64(5) {
					b := NameBug(c, broken(name, 100+seed, 300, share, func(_ *rand.Rand, x float64) float64 { return x * factor }))
					if b != nil && b.Kind == BugUnit && math.Abs(b.Factor/factor-1) < 0.25 && math.Abs(b.Share-share) < 0.15 {
						named++
					}
				}
				if named < 4 {
					t.Errorf("%s x %.3g in %g of the values: named %d of 5", name, factor, share, named)
				}
			}
		}
	}
}

func TestStuckAndMissingAreNamed(t *testing.T) {
	for _, name := range sortedKeys(columns) {
		c := columnOf(name, 2)
		for _, share := range []float64{0.3, 0.6, 1} {
			for _, q := range []float64{0.5, 0.9} {
				at := Quantile(presentSorted(c.Grid), q)
				b := NameBug(c, broken(name, 200, 300, share, func(*rand.Rand, float64) float64 { return at }))
				if b == nil || b.Kind != BugStuck || b.Value != at || math.Abs(b.Share-share) > 0.12 {
					t.Errorf("%s stuck at %g in %g of the values: %+v", name, at, share, b)
				}
			}
			b := NameBug(c, broken(name, 201, 300, share, func(*rand.Rand, float64) float64 { return math.NaN() }))
			if b == nil || b.Kind != BugMissing || math.Abs(b.Share-share) > 0.1 {
				t.Errorf("%s missing in %g of the values: %+v", name, share, b)
			}
		}
	}
}

// TestUnitErrorsHeldAtBoundsAreNamed: a schema holds values inside its bounds, or refuses what lies beyond, and a mistake of
// unit runs into them. The sample begins with rows from before it.
func TestUnitErrorsHeldAtBoundsAreNamed(t *testing.T) {
	low, high := 1000.0, 500_000.0
	draw := func(r *rand.Rand) float64 { return math.Round(220*math.Exp(.7*r.NormFloat64())) * 100 }
	hold := func(x float64) float64 { return min(max(math.Round(x), low), high) }
	r := rand.New(rand.NewPCG(8, 8))
	rows := make([][]float64, 10_000)
	for i := range rows {
		rows[i] = []float64{hold(draw(r))}
	}
	ref, err := BuildReference("r", []Field{{Name: "loan", Low: &low, High: &high}}, rows)
	if err != nil {
		t.Fatal(err)
	}
	sample := func(before int, factor float64) (values []float64) {
		for range before {
			values = append(values, hold(draw(r)))
		}
		for range 200 {
			values = append(values, hold(draw(r)*factor))
		}
		return values
	}
	for _, factor := range []float64{0.001, 0.1, 1. / 12, 10, 12, 100, 1000} {
		for _, before := range []int{0, 15} {
			if b := NameBug(&ref.Features[0], sample(before, factor)); b == nil {
				t.Errorf("x %g, %d rows from before: not named", factor, before)
			}
		}
	}
	for _, factor := range []float64{0.3, 0.5, 0.7, 1, 1.5, 2, 3} {
		if b := NameBug(&ref.Features[0], sample(0, factor)); b != nil {
			t.Errorf("a population x %g is called %v", factor, b)
		}
	}
}

// TestPopulationsAreNoBugs: what retraining is for must not end with a person.
func TestPopulationsAreNoBugs(t *testing.T) {
	for _, name := range sortedKeys(columns) {
		c := columnOf(name, 3)
		sd := (c.Grid[168] - c.Grid[32]) / 2
		drifts := map[string]func(r *rand.Rand, x float64) float64{
			"none":   func(_ *rand.Rand, x float64) float64 { return x },
			"-1.9sd": func(_ *rand.Rand, x float64) float64 { return x - 1.9*sd },
			"+1sd":   func(_ *rand.Rand, x float64) float64 { return x + sd },
			"+2sd":   func(_ *rand.Rand, x float64) float64 { return x + 2*sd },
			"x0.5":   func(_ *rand.Rand, x float64) float64 { return x * 0.5 },
			"x1.5":   func(_ *rand.Rand, x float64) float64 { return x * 1.5 },
			"x2":     func(_ *rand.Rand, x float64) float64 { return x * 2 },
			"wider":  func(_ *rand.Rand, x float64) float64 { return c.Grid[100] + 1.6*(x-c.Grid[100]) },
			"clipped": func(_ *rand.Rand, x float64) float64 {
				return min(max(x-1.9*sd, c.Min), c.Max)
			},
		}
		for _, kind := range sortedKeys(drifts) {
			for _, share := range []float64{0.3, 0.6, 1} {
				for seed := range uint64(5) {
					if b := NameBug(c, broken(name, 300+seed, 300, share, drifts[kind])); b != nil {
						t.Errorf("%s, drift %s of %g: called %v", name, kind, share, b)
					}
				}
			}
		}
	}
}

func TestNamingNeedsASample(t *testing.T) {
	c := columnOf("income", 4)
	for _, values := range [][]float64{nil, {1}, make([]float64, bugSample-1)} {
		if b := NameBug(c, values); b != nil {
			t.Errorf("%d values are called %v", len(values), b)
		}
	}
	empty := buildColumn(Field{Name: "empty"}, []float64{math.NaN(), math.NaN()})
	NameBug(&empty, make([]float64, 500))
	constant := buildColumn(Field{Name: "constant"}, make([]float64, 500))
	NameBug(&constant, make([]float64, 500))
}

// TestBugIsNamedBeforeDriftIsConfirmed: nobody may start training before the feed was looked at.
func TestBugIsNamedBeforeDriftIsConfirmed(t *testing.T) {
	for _, share := range []float64{0.3, 1} {
		s := newService(t, 30, 12_000)
		s.run(20 * time.Second)
		s.row = func(r *rand.Rand) []float64 {
			v := normalRow(r)
			if r.Float64() < share {
				v[2] /= 12
			}
			return v
		}
		s.until(DataDrift, "income", Confirmed, 30*time.Second)
		g := s.signal(DataDrift, "income")
		if g.Bug == nil || g.Bug.Kind != BugUnit || math.Abs(g.Bug.Factor*12-1) > 1e-9 {
			t.Errorf("share %g: confirmed as %+v", share, g.Bug)
		}
		causes := Rank(s.m.Signals(s.now), Scene{Now: s.now, Mode: "MODEL", Path: DefaultPath})
		if causes[0].Signal.Target != "income" || causes[0].Of != "" {
			t.Errorf("first cause: %+v", causes[0])
		}
	}
}

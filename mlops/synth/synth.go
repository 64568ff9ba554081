// Package synth makes synthetic credit applications for the built-in schema, with the outcome each would have.
//
// It owns the population (distributions below), the risk formula and the frozen threshold of its label. It imports
// mlops/schema. A Generator is one seeded stream: the same seed gives the same rows; it is not safe for concurrent use,
// never blocks, and each row takes the same number of random draws, so shifting one feature leaves the others as they were.
//
// The formula (reference, "Data used everywhere"), cs = credit_score, dr = debt_ratio in percent, emp = employment_years:
//
//	risk = .40*(850-cs)/550 + .30*dr/100 + .20*min(loan/income, 3)/3 + .10*(1-min(emp, 40)/40) + N(0, 0.05)
//	defaulted = risk > Threshold
//
// Threshold is the 60th percentile of the unshifted population, frozen: were it computed anew on a drifted sample, "bad"
// would silently mean something else.
package synth

import (
	"fmt"
	"math"
	"math/rand/v2"

	"aura/mlops/schema"
)

// Version names the population, the formula and the threshold; it changes when any of them does.
const Version = "1"

const (
	// Threshold of risk above which an application defaults. 40 % of the unshifted population lie above it.
	Threshold = 0.365
	// Noise is the standard deviation of what no feature tells. At 0.05 the best possible AUC is 0.933.
	Noise = 0.05
)

// The columns of the built-in schema.
const (
	creditScore = iota
	debtRatio
	income
	loanAmount
	employmentYears
	columns
)

var names = [columns]string{"credit_score", "debt_ratio", "income", "loan_amount", "employment_years"}

// grain is the step to which a feature's values are rounded, as people and bureaus state them.
var grain = [columns]float64{1, 0.01, 100, 100, 0.1}

// Shift moves a feature of all later rows: x becomes x*Scale + Add, then is held inside the schema's bounds. The zero
// Scale means 1.
type Shift struct {
	Scale float64
	Add   float64
}

// Generator is a seeded stream of applications.
type Generator struct {
	rng    *rand.Rand
	schema *schema.Schema
	shift  [columns]Shift
}

// New returns the stream of a seed over the built-in schema.
func New(seed uint64) *Generator {
	return &Generator{rng: rand.New(rand.NewPCG(seed, 0x61757261)), schema: schema.Builtin()}
}

// Shift sets the shift of a feature for the rows to come; the zero Shift takes it back. Labels follow the same formula and
// threshold. An unknown feature or a number that isn't finite is an error.
func (g *Generator) Shift(feature string, s Shift) error {
	for i, name := range names {
		if name == feature {
			if finite := s.Scale - s.Scale + s.Add - s.Add; finite != 0 {
				return fmt.Errorf("synth: shift of %s by %v and %v is not finite", feature, s.Scale, s.Add)
			}
			g.shift[i] = s
			return nil
		}
	}
	return fmt.Errorf("synth: no feature %q; there are %v", feature, names)
}

// Next returns the next application and whether it will default.
func (g *Generator) Next() (schema.Record, bool) {
	values, defaulted := g.Values(make(schema.Vector, 0, columns))
	r, err := g.schema.Record(values)
	if err != nil {
		panic("synth: " + err.Error()) // the built-in schema has exactly these columns: a test holds them together
	}
	return r, defaulted
}

// Values is Next as values in the built-in schema's order, appended to dst.
func (g *Generator) Values(dst schema.Vector) (values schema.Vector, defaulted bool) {
	x := [columns]float64{
		creditScore:     g.truncatedNormal(724, 106, 300, 850),
		debtRatio:       g.truncatedNormal(36.5, 20, 0, 100),
		income:          48_000 * math.Exp(0.45*g.rng.NormFloat64()),
		loanAmount:      22_000 * math.Exp(0.70*g.rng.NormFloat64()),
		employmentYears: g.truncatedNormal(6, 8, 0, 40),
	}
	for i := range x {
		x[i] = g.settle(i, x[i])
	}
	noise := Noise * g.rng.NormFloat64()
	return append(dst, x[:]...), Risk(x[:])+noise > Threshold
}

// Risk is the formula without noise, for values in the built-in schema's order.
func Risk(values schema.Vector) float64 {
	return 0.40*(850-values[creditScore])/550 +
		0.30*values[debtRatio]/100 +
		0.20*min(values[loanAmount]/values[income], 3)/3 +
		0.10*(1-min(values[employmentYears], 40)/40)
}

// Probability is the true chance of default of an application: Phi((risk - Threshold) / Noise). No model can do better.
func Probability(values schema.Vector) float64 {
	return 0.5 * math.Erfc((Threshold-Risk(values))/(Noise*math.Sqrt2))
}

// settle shifts, rounds and holds a value inside the schema's bounds.
func (g *Generator) settle(i int, x float64) float64 {
	if s := g.shift[i]; s != (Shift{}) {
		if s.Scale == 0 {
			s.Scale = 1
		}
		x = x*s.Scale + s.Add
	}
	// Dividing by a whole number gives the shortest decimal; multiplying by 0.01 would not.
	if step := grain[i]; step < 1 {
		x = math.Round(x/step) / math.Round(1/step)
	} else {
		x = math.Round(x/step) * step
	}
	f := &g.schema.Features[i]
	return min(max(x, *f.Min), *f.Max)
}

// truncatedNormal draws from N(mean, sd) given that it lies in low..high, by the inverse of its distribution: one uniform
// draw, no mass piled up at the bounds.
func (g *Generator) truncatedNormal(mean, sd, low, high float64) float64 {
	from, to := phi((low-mean)/sd), phi((high-mean)/sd)
	u := from + g.rng.Float64()*(to-from)
	return min(max(mean+sd*math.Sqrt2*math.Erfinv(2*u-1), low), high)
}

func phi(z float64) float64 { return 0.5 * math.Erfc(-z/math.Sqrt2) }

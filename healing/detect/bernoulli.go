package detect

import (
	"fmt"
	"math"
)

// NewBernoulli returns the alternatives of a stream of yes (bin 1) and no (bin 0) whose rate of yes is at most p0
// without a change: rates above it, equally weighted. Use p0 = an upper bound of the reference rate.
func NewBernoulli(p0 float64, rates []float64) *Alternatives {
	a := &Alternatives{}
	for _, p := range rates {
		ratio := []float64{(1 - p) / (1 - p0), p / p0}
		a.Names = append(a.Names, fmt.Sprintf("rate %.3g", p))
		a.Weights = append(a.Weights, 1/float64(len(rates)))
		a.Ratio = append(a.Ratio, ratio)
		log := []float64{math.Log(ratio[0]), math.Log(ratio[1])}
		a.Log, a.Null = append(a.Log, log), append(a.Null, (1-p0)*log[0]+p0*log[1])
	}
	return a
}

// RatesAbove returns seven alternatives to p0: the odds ratios that {.11 .14 .18 .25 .35 .5 .7} have to .08.
func RatesAbove(p0 float64) []float64 {
	odds := p0 / (1 - p0)
	base := 0.08 / 0.92
	rates := make([]float64, 0, 7)
	for _, p := range []float64{.11, .14, .18, .25, .35, .5, .7} {
		o := odds * (p / (1 - p)) / base
		rates = append(rates, o/(1+o))
	}
	return rates
}

// UpperRate is a one-sided 95 % upper bound (Clopper-Pearson) of a rate of which yes of n were seen, never below
// floor: a detector needs a rate to multiply.
func UpperRate(yes, n int64, floor float64) float64 {
	if n <= 0 {
		return floor
	}
	return max(UpperBound(yes, n, 0.05), floor)
}

package detect

import (
	"fmt"
	"math"
)

// Alternatives are what a binned detector bets on: likelihood ratios of ways in which a distribution changes, with
// weights that sum to 1. Spec and weights: detection reference §K.3.
type Alternatives struct {
	Names   []string
	Weights []float64
	// Ratio[j][b] is the likelihood ratio of bin b under alternative j, Log its logarithm.
	Ratio, Log [][]float64
	// Null[j] is the mean of an event's Log[j] without a change, which is negative.
	Null []float64
}

// Shares returns p0[b] = (count[b] + 1/2) / (m + nb/2), the reference shares of §K.2.
func (c *Column) Shares() []float64 { return jeffreys(c.Counts) }

// NewAlternatives returns the 12 location and scale, 6 shape, nb spike and 6 truncation alternatives to the shares
// (44 for 20 bins).
func NewAlternatives(shares []float64) *Alternatives {
	b := bets{p0: shares, edge: make([]float64, len(shares)+1), z: make([]float64, len(shares)+1)}
	for k, p := range shares {
		b.edge[k+1] = b.edge[k] + p
		b.z[k+1] = math.Sqrt2 * math.Erfinv(2*b.edge[k+1]-1)
	}
	b.z[0], b.z[len(shares)] = -40, 40
	b.locationAndScale()
	b.shapes()
	b.spikes()
	b.truncations()
	return &b.Alternatives
}

type bets struct {
	Alternatives
	p0, edge, z []float64
}

func normal(z float64) float64 { return 0.5 * math.Erfc(-z/math.Sqrt2) }

// add clips, normalises and mixes f with the reference, so that no ratio is 0.
func (b *bets) add(name string, weight float64, f func(k int) float64) {
	q := make([]float64, len(b.p0))
	sum := 0.0
	for k := range q {
		q[k] = max(f(k), 0)
		sum += q[k]
	}
	ratio, log, null := make([]float64, len(q)), make([]float64, len(q)), 0.0
	for k := range q {
		ratio[k] = (0.98*q[k]/sum + 0.02*b.p0[k]) / b.p0[k]
		log[k] = math.Log(ratio[k])
		null += b.p0[k] * log[k]
	}
	b.Names = append(b.Names, name)
	b.Weights = append(b.Weights, weight)
	b.Ratio, b.Log, b.Null = append(b.Ratio, ratio), append(b.Log, log), append(b.Null, null)
}

func (b *bets) locationAndScale() {
	for _, size := range []float64{0.25, 0.5, 1, 2} {
		for _, s := range []float64{size, -size} {
			b.add(fmt.Sprintf("location %+g", s), 0.6/12, func(k int) float64 {
				return normal(b.z[k+1]-s) - normal(b.z[k]-s)
			})
		}
	}
	for _, c := range []float64{0.5, 0.71, 1.41, 2} {
		b.add(fmt.Sprintf("scale %g", c), 0.6/12, func(k int) float64 {
			return normal(b.z[k+1]/c) - normal(b.z[k]/c)
		})
	}
}

func (b *bets) shapes() {
	legendre := []func(t float64) float64{
		func(t float64) float64 { return (3*t*t - 1) / 2 },
		func(t float64) float64 { return (5*t*t*t - 3*t) / 2 },
		func(t float64) float64 { return (35*t*t*t*t - 30*t*t + 3) / 8 },
	}
	for degree, poly := range legendre {
		for _, sign := range []float64{1, -1} {
			b.add(fmt.Sprintf("shape %+d", int(sign)*(degree+2)), 0.2/6, func(k int) float64 {
				return b.p0[k] * max(1+sign*0.8*poly(b.edge[k]+b.edge[k+1]-1), 0.05)
			})
		}
	}
}

func (b *bets) spikes() {
	for at := range b.p0 {
		b.add(fmt.Sprintf("spike %d", at), 0.1/float64(len(b.p0)), func(k int) float64 {
			if k == at {
				return 3 * b.p0[k]
			}
			return b.p0[k]
		})
	}
}

func (b *bets) truncations() {
	for _, c := range []float64{0.1, 0.25, 0.5} {
		b.add(fmt.Sprintf("top %g removed", c), 0.1/6, func(k int) float64 {
			return min(b.edge[k+1], 1-c) - min(b.edge[k], 1-c)
		})
		b.add(fmt.Sprintf("bottom %g removed", c), 0.1/6, func(k int) float64 {
			return max(b.edge[k+1], c) - max(b.edge[k], c)
		})
	}
}

package detect

import (
	"math"
	"slices"
)

// psiFloor is the least share of a bin in PSI.
const psiFloor = 1e-4

// Quantile returns the type-7 quantile (linear interpolation) of ascending values.
func Quantile(sorted []float64, p float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	h := float64(len(sorted)-1) * p
	i := min(max(int(math.Floor(h)), 0), len(sorted)-1)
	if i == len(sorted)-1 {
		return sorted[i]
	}
	low, high := sorted[i], sorted[i+1]
	// The nearer end is the base, as numpy does it, so that edges agree to the last bit.
	t := h - float64(i)
	if t >= 0.5 {
		return high - (high-low)*(1-t)
	}
	return low + (high-low)*t
}

// QuantileEdges returns the unique type-7 quantiles i/bins, i = 1..bins-1, of ascending values: the interior edges of
// right-closed bins with open ends.
func QuantileEdges(sorted []float64, bins int) []float64 {
	edges := make([]float64, 0, bins-1)
	for i := 1; i < bins && len(sorted) > 0; i++ {
		edges = append(edges, Quantile(sorted, float64(i)/float64(bins)))
	}
	return slices.Compact(edges)
}

// BinCounts counts values (NaN excluded) in right-closed bins between edges.
func BinCounts(values, edges []float64) []int64 {
	counts := make([]int64, len(edges)+1)
	for _, x := range values {
		if !math.IsNaN(x) {
			i, _ := slices.BinarySearch(edges, x)
			counts[i]++
		}
	}
	return counts
}

func total(counts []int64) float64 {
	var n int64
	for _, c := range counts {
		n += c
	}
	return float64(n)
}

// PSI is the population stability index of two lists of bin counts, sum (q-p) ln(q/p), each share at least 1e-4. 0
// where either has no data. Formula and zero rule: detection reference §A.
func PSI(reference, current []int64) float64 {
	m, n := total(reference), total(current)
	if m == 0 || n == 0 {
		return 0
	}
	var sum float64
	for b := range reference {
		p, q := max(float64(reference[b])/m, psiFloor), max(float64(current[b])/n, psiFloor)
		sum += (q - p) * math.Log(q/p)
	}
	return sum
}

// jeffreys returns shares with half a count added to each bin.
func jeffreys(counts []int64) []float64 {
	n, half := total(counts), 0.5*float64(len(counts))
	shares := make([]float64, len(counts))
	for b, c := range counts {
		shares[b] = (float64(c) + 0.5) / (n + half)
	}
	return shares
}

// PSIJeffreys is PSI with shares (c + 1/2) / (n + B/2), which needs no floor.
func PSIJeffreys(reference, current []int64) float64 {
	p, q := jeffreys(reference), jeffreys(current)
	var sum float64
	for b := range p {
		sum += (q[b] - p[b]) * math.Log(q[b]/p[b])
	}
	return sum
}

// PSIEstimate is PSI corrected for the sizes of both samples.
type PSIEstimate struct {
	// Value is the PSI people know (floored), Corrected the Jeffreys one less its expectation without drift, Lower a
	// lower confidence bound of the population's PSI.
	Value, Corrected, Lower float64
	N                       int64
}

// EstimatePSI corrects PSI for bias, (B-1)(1/n + 1/m), and returns a one-sided lower bound z standard deviations below
// (delta method on both samples, and the deviation sqrt(2(B-1))(1/n+1/m) that remains without drift).
func EstimatePSI(reference, current []int64, z float64) PSIEstimate {
	m, n := total(reference), total(current)
	e := PSIEstimate{N: int64(n)}
	if m == 0 || n == 0 {
		return e
	}
	inverse := 1/n + 1/m
	dof := float64(len(reference) - 1)
	e.Value = PSI(reference, current)
	e.Corrected = PSIJeffreys(reference, current) - dof*inverse
	p, q := jeffreys(reference), jeffreys(current)
	variance := influence(q, p)/n + influence(p, q)/m + 2*dof*inverse*inverse
	e.Lower = e.Corrected - z*math.Sqrt(variance)
	return e
}

// influence is the variance of one observation's influence on PSI through the shares q.
func influence(q, p []float64) float64 {
	var mean, square float64
	for b := range q {
		g := math.Log(q[b]/p[b]) + 1 - p[b]/q[b]
		mean += q[b] * g
		square += q[b] * g * g
	}
	return max(square-mean*mean, 0)
}

// JS is the Jensen-Shannon distance: the root of the divergence to base 2 of the raw shares; 0..1.
func JS(reference, current []int64) float64 {
	m, n := total(reference), total(current)
	if m == 0 || n == 0 {
		return 0
	}
	var sum float64
	for b := range reference {
		p, q := float64(reference[b])/m, float64(current[b])/n
		mid := (p + q) / 2
		if p > 0 {
			sum += p * math.Log2(p/mid) / 2
		}
		if q > 0 {
			sum += q * math.Log2(q/mid) / 2
		}
	}
	return math.Sqrt(max(sum, 0))
}

// KS is the two-sample Kolmogorov-Smirnov statistic of values (NaN excluded), and the sizes used.
func KS(reference, current []float64) (d float64, m, n int) {
	a, b := presentSorted(reference), presentSorted(current)
	m, n = len(a), len(b)
	if m == 0 || n == 0 {
		return 0, m, n
	}
	for i, j := 0, 0; i < m && j < n; {
		x := min(a[i], b[j])
		for i < m && a[i] == x {
			i++
		}
		for j < n && b[j] == x {
			j++
		}
		d = max(d, math.Abs(float64(i)/float64(m)-float64(j)/float64(n)))
	}
	return d, m, n
}

// KSP is the asymptotic (Kolmogorov) probability of a statistic of at least d: 2 sum (-1)^(k-1) exp(-2 k^2 l^2),
// l = sqrt(nm/(n+m)) d.
func KSP(d float64, m, n int) float64 {
	l := math.Sqrt(float64(n)*float64(m)/float64(n+m)) * d
	if l < 0.2 { // the series converges slowly and is 1 to 12 digits
		return 1
	}
	var sum float64
	for k := 1; k <= 200; k++ {
		term := math.Exp(-2 * float64(k*k) * l * l)
		if k%2 == 0 {
			term = -term
		}
		sum += term
		if math.Abs(term) < 1e-18*math.Abs(sum) {
			break
		}
	}
	return min(max(2*sum, 0), 1)
}

func presentSorted(values []float64) []float64 {
	s := make([]float64, 0, len(values))
	for _, x := range values {
		if !math.IsNaN(x) {
			s = append(s, x)
		}
	}
	slices.Sort(s)
	return s
}

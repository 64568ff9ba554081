package gate

import (
	"cmp"
	"math"
	"slices"

	"aura/mlops/forest"
)

// z95 and z99 are points of the normal distribution.
const (
	z95 = 1.6448536269514722
	z99 = 2.3263478740408408
)

// bound returns the one-sided normal quantile at 95 %, shared by k comparisons (Bonferroni).
func bound(k int) float64 {
	if k <= 1 {
		return z95
	}
	return math.Sqrt2 * math.Erfinv(2*(1-0.05/float64(k))-1)
}

// difference is an estimate with its standard error.
type difference struct{ value, se float64 }

func (d difference) low(z float64) float64  { return d.value - z*d.se }
func (d difference) high(z float64) float64 { return d.value + z*d.se }

// aucDifference is AUC(a) - AUC(b) on the same rows with its standard error by DeLong, DeLong and Clarke-Pearson (1988),
// in the O(n log n) form of Sun and Xu (2014). Zero value and infinite error where one outcome has fewer than 2 rows.
func aucDifference(a, b []float64, bad []bool) difference {
	pa, na := placements(a, bad)
	pb, nb := placements(b, bad)
	if len(pa) < 2 || len(na) < 2 {
		return difference{0, math.Inf(1)}
	}
	for i := range pa {
		pa[i] -= pb[i]
	}
	for i := range na {
		na[i] -= nb[i]
	}
	mean, varBad := moments(pa)
	_, varGood := moments(na)
	return difference{mean, math.Sqrt(varBad/float64(len(pa)) + varGood/float64(len(na)))}
}

// placements returns, for each bad row, the share of good rows that it scores above (ties half), and for each good row
// the share of bad rows that score above it. The mean of either is the AUC.
func placements(p []float64, bad []bool) (ofBad, ofGood []float64) {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Or(cmp.Compare(p[i], p[j]), cmp.Compare(i, j)) })
	bads := 0
	for _, y := range bad {
		if y {
			bads++
		}
	}
	goods := len(bad) - bads
	at := make([]float64, len(p))
	var goodBelow, badBelow float64
	for i := 0; i < len(order); {
		j, badHere := i, 0.0
		for ; j < len(order) && p[order[j]] == p[order[i]]; j++ {
			if bad[order[j]] {
				badHere++
			}
		}
		goodHere := float64(j-i) - badHere
		for _, row := range order[i:j] {
			if bad[row] {
				at[row] = (goodBelow + goodHere/2) / float64(goods)
			} else {
				at[row] = 1 - (badBelow+badHere/2)/float64(bads)
			}
		}
		goodBelow, badBelow = goodBelow+goodHere, badBelow+badHere
		i = j
	}
	for row, v := range at { // in the order of rows: two models' placements are paired
		if bad[row] {
			ofBad = append(ofBad, v)
		} else {
			ofGood = append(ofGood, v)
		}
	}
	return ofBad, ofGood
}

func moments(x []float64) (mean, variance float64) {
	for _, v := range x {
		mean += v / float64(len(x))
	}
	for _, v := range x {
		variance += (v - mean) * (v - mean) / float64(len(x)-1)
	}
	return mean, variance
}

// expectedAccuracy is the accuracy that probabilities p promise: the mean of max(p, 1-p), with the standard error that
// outcomes drawn from p would have.
func expectedAccuracy(p []float64) difference {
	var sum, variance float64
	for _, v := range p {
		sum += max(v, 1-v)
		variance += v * (1 - v)
	}
	n := float64(len(p))
	return difference{sum / n, math.Sqrt(variance) / n}
}

// expectedAUC is the AUC that probabilities p promise: the chance that, of two rows whose outcomes are drawn from p, the
// defaulted one has the higher p. It is the AUC with each row bad by p and good by 1-p.
func expectedAUC(p []float64) float64 {
	sorted := slices.Sorted(slices.Values(p))
	var bads, goods, won, below float64
	for i := 0; i < len(sorted); {
		j := i
		var badHere, goodHere float64
		for ; j < len(sorted) && sorted[j] == sorted[i]; j++ {
			badHere, goodHere = badHere+sorted[j], goodHere+1-sorted[j]
		}
		won += badHere * (below + goodHere/2)
		below += goodHere
		bads, goods = bads+badHere, goods+goodHere
		i = j
	}
	if bads == 0 || goods == 0 {
		return 1
	}
	return won / (bads * goods)
}

// brierGain is Brier(b) - Brier(a) on the same rows, positive where a is nearer to the outcomes.
func brierGain(a, b []float64, bad []bool) difference {
	gains := make([]float64, len(a))
	for i := range a {
		y := 0.0
		if bad[i] {
			y = 1
		}
		gains[i] = (b[i]-y)*(b[i]-y) - (a[i]-y)*(a[i]-y)
	}
	mean, variance := moments(gains)
	return difference{mean, math.Sqrt(variance / float64(len(gains)))}
}

// accuracyGain is accuracy(a) - accuracy(b) on the same rows, with its standard error.
func accuracyGain(a, b []float64, bad []bool) difference {
	gains := make([]float64, len(a))
	for i := range a {
		gains[i] = boolean((a[i] >= 0.5) == bad[i]) - boolean((b[i] >= 0.5) == bad[i])
	}
	mean, variance := moments(gains)
	return difference{mean, math.Sqrt(variance / float64(len(gains)))}
}

// accuracy is the share of rows on whose side of 0.5 the probability lies; bad means p >= 0.5.
func accuracy(p []float64, bad []bool) float64 {
	right := 0
	for i, v := range p {
		if (v >= 0.5) == bad[i] {
			right++
		}
	}
	return float64(right) / float64(len(p))
}

// figures measures probabilities against outcomes of both kinds.
func figures(p []float64, bad []bool) Figures {
	slope, _ := calibrationSlope(p, bad)
	f := Figures{Rows: len(p), AUC: forest.AUC(p, bad), Brier: forest.Brier(p, bad), Accuracy: accuracy(p, bad), Slope: slope, ECE: calibrationError(p, bad)}
	if len(p) == 0 || math.IsNaN(f.AUC) {
		return Figures{}
	}
	return f
}

// calibrationSlope fits outcome = 1/(1+exp(-(a + b*logit(p)))) by Newton's method and returns b (Cox 1958) with its
// standard error; 0 and infinity where it can't be fitted.
func calibrationSlope(p []float64, bad []bool) (slope, se float64) {
	a, b := 0.0, 1.0
	for range 50 {
		var ga, gb, haa, hab, hbb float64
		for i, v := range p {
			v = min(max(v, 1e-6), 1-1e-6)
			x := math.Log(v / (1 - v))
			q := 1 / (1 + math.Exp(-(a + b*x)))
			d, w := q, q*(1-q)
			if bad[i] {
				d--
			}
			ga, gb = ga+d, gb+d*x
			haa, hab, hbb = haa+w, hab+w*x, hbb+w*x*x
		}
		det := haa*hbb - hab*hab
		if !(det > 1e-12) {
			return 0, math.Inf(1)
		}
		da, db := (hbb*ga-hab*gb)/det, (haa*gb-hab*ga)/det
		da, db = min(max(da, -2), 2), min(max(db, -2), 2)
		a, b, se = a-da, b-db, math.Sqrt(haa/det)
		if math.Abs(da) < 1e-9 && math.Abs(db) < 1e-9 {
			return b, se
		}
	}
	return 0, math.Inf(1)
}

const calibrationBins = 10

// calibrationError is the mean difference of probability and share of bad rows over bins of equal size.
func calibrationError(p []float64, bad []bool) float64 {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Or(cmp.Compare(p[i], p[j]), cmp.Compare(i, j)) })
	total := 0.0
	for b := range calibrationBins {
		sum := 0.0
		for _, row := range order[b*len(p)/calibrationBins : (b+1)*len(p)/calibrationBins] {
			sum += p[row]
			if bad[row] {
				sum--
			}
		}
		total += math.Abs(sum)
	}
	return total / float64(max(len(p), 1))
}

// scorePSI is the population stability index of scores against reference ones, over the deciles of the reference; half a
// row is added to each bin, so that an empty one doesn't make it infinite.
func scorePSI(reference, scores []float64) float64 {
	sorted := slices.Sorted(slices.Values(reference))
	const bins = 10
	var cuts []float64
	for b := 1; b < bins; b++ {
		if c := sorted[b*len(sorted)/bins]; len(cuts) == 0 || c > cuts[len(cuts)-1] {
			cuts = append(cuts, c)
		}
	}
	count := func(x []float64) []float64 {
		n := make([]float64, len(cuts)+1)
		for _, v := range x {
			at, _ := slices.BinarySearch(cuts, v)
			n[at]++
		}
		for b := range n {
			n[b] = (n[b] + 0.5) / (float64(len(x)) + 0.5*float64(len(n)))
		}
		return n
	}
	was, is, psi := count(reference), count(scores), 0.0
	for b := range was {
		psi += (is[b] - was[b]) * math.Log(is[b]/was[b])
	}
	return psi
}

package forest

import (
	"cmp"
	"math"
	"slices"
)

// AUC is the area under the ROC curve of scores p for outcomes bad: the chance that a bad row scores above a good one, ties
// counting half (Mann-Whitney). NaN when one outcome is absent. p and bad have equal length.
func AUC(p []float64, bad []bool) float64 {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(p[a], p[b]) })
	var ranks float64 // twice the rank sum of bad rows: whole numbers
	positive := 0
	for i := 0; i < len(order); {
		j, badHere := i, 0
		for ; j < len(order) && p[order[j]] == p[order[i]] || j == i; j++ {
			if bad[order[j]] {
				badHere++
			}
		}
		ranks += float64(badHere) * float64(i+1+j)
		positive += badHere
		i = j
	}
	negative := len(p) - positive
	if positive == 0 || negative == 0 {
		return math.NaN()
	}
	u := ranks/2 - float64(positive)*(float64(positive)+1)/2
	return u / (float64(positive) * float64(negative))
}

// Brier is the mean squared difference of probability and outcome; 0 is perfect. NaN without rows.
func Brier(p []float64, bad []bool) float64 {
	sum := 0.0
	for i, v := range p {
		d := v
		if bad[i] {
			d = v - 1
		}
		sum += float64(d * d)
	}
	return sum / float64(len(p))
}

// Accuracy is the share of rows on whose side of threshold the score lies: bad means p > threshold. NaN without rows.
func Accuracy(p []float64, bad []bool, threshold float64) float64 {
	right := 0
	for i, v := range p {
		if (v > threshold) == bad[i] {
			right++
		}
	}
	return float64(right) / float64(len(p))
}

// LogLoss is the mean negative log likelihood in nats, probabilities clipped to [1e-15, 1-1e-15]. NaN without rows.
func LogLoss(p []float64, bad []bool) float64 {
	sum := 0.0
	for i, v := range p {
		v = min(max(v, 1e-15), 1-1e-15)
		if !bad[i] {
			v = 1 - v
		}
		sum -= math.Log(v)
	}
	return sum / float64(len(p))
}

package forest

import "math"

// calibrate fits Platt's sigmoid on the log odds of the out-of-bag votes and measures them: all rows alike, whatever their
// weights. It returns each row's calibrated vote, NaN for one without votes.
func calibrate(v votes, d Data) (Calibration, Training, []float64) {
	t := Training{Rows: len(d.Y)}
	unseen := make([]float64, len(d.Y))
	var odds, weights, scores []float64
	var outcome []bool
	for i, y := range d.Y {
		if y {
			t.Bad++
		}
		unseen[i] = math.NaN()
		if v.trees[i] > 0 {
			p := float64(v.sum[i]) / (float64(v.trees[i]) * unit)
			unseen[i] = p
			scores = append(scores, p)
			odds = append(odds, logit(p))
			weights = append(weights, float64(d.units(i))/weightUnit)
			outcome = append(outcome, y)
		}
	}
	c := platt(odds, weights, outcome)
	if auc := AUC(scores, outcome); auc == auc {
		t.OutOfBagAUC = auc
	}
	for i, p := range scores {
		scores[i] = c.Apply(p)
	}
	for i, p := range unseen {
		unseen[i] = c.Apply(p) // NaN stays NaN
	}
	if brier := Brier(scores, outcome); brier == brier {
		t.OutOfBagBrier = brier
	}
	return c, t, unseen
}

// platt fits 1/(1+exp(-(a*z+b))) by Newton's method on the likelihood with Platt's smoothed targets (Platt 1999; Lin, Lin
// and Weng 2007). A fit that would turn the ranking round, as on pure noise, is refused: then the votes stand as they are.
func platt(z, weights []float64, bad []bool) Calibration {
	none := Calibration{A: 1}
	var positive, negative float64
	for i, y := range bad {
		if y {
			positive += weights[i]
		} else {
			negative += weights[i]
		}
	}
	high := (positive + 1) / (positive + 2)
	low := 1 / (negative + 2)
	a, b := 1.0, 0.0
	loss := plattLoss(z, weights, bad, high, low, a, b)
	for range 50 {
		var ga, gb, haa, hab, hbb float64
		for i, x := range z {
			target := low
			if bad[i] {
				target = high
			}
			p := sigmoid(float64(a*x) + b)
			d, w := float64(weights[i]*(p-target)), float64(weights[i]*float64(p*(1-p)))
			ga, gb = ga+float64(d*x), gb+d
			haa, hab, hbb = haa+float64(float64(w*x)*x), hab+float64(w*x), hbb+w
		}
		haa, hbb = haa+1e-9, hbb+1e-9
		det := float64(haa*hbb) - float64(hab*hab)
		da, db := (float64(hbb*ga)-float64(hab*gb))/det, (float64(haa*gb)-float64(hab*ga))/det
		step := 1.0
		for ; step > 1e-6; step /= 2 {
			if l := plattLoss(z, weights, bad, high, low, a-float64(step*da), b-float64(step*db)); l < loss {
				loss = l
				break
			}
		}
		if step <= 1e-6 {
			break
		}
		a, b = a-float64(step*da), b-float64(step*db)
		if math.Abs(step*da) < 1e-10 && math.Abs(step*db) < 1e-10 {
			break
		}
	}
	if !(Calibration{A: a, B: b}).Valid() {
		return none
	}
	return Calibration{A: a, B: b}
}

func plattLoss(z, weights []float64, bad []bool, high, low, a, b float64) float64 {
	loss := 0.0
	for i, x := range z {
		target := low
		if bad[i] {
			target = high
		}
		s := float64(a*x) + b
		// weight * (log(1+exp(s)) - target*s), kept finite for large |s|
		loss += float64(weights[i] * (max(s, 0) + math.Log1p(math.Exp(-math.Abs(s))) - float64(target*s)))
	}
	return loss
}

// Valid is what a calibration must satisfy, fitted or read: finite, and it keeps the order of scores.
func (c Calibration) Valid() bool {
	return c.A > 1e-6 && c.A < 1e6 && math.Abs(c.B) < 1e6
}

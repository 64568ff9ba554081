package detect

import "math"

// betaCDF is the regularised incomplete beta function I_x(a, b), by its continued fraction (Lentz), to about 1e-14.
func betaCDF(x, a, b float64) float64 {
	switch {
	case x <= 0:
		return 0
	case x >= 1:
		return 1
	}
	la, _ := math.Lgamma(a)
	lb, _ := math.Lgamma(b)
	lab, _ := math.Lgamma(a + b)
	front := math.Exp(lab - la - lb + a*math.Log(x) + b*math.Log1p(-x))
	if x < (a+1)/(a+b+2) {
		return front * betaFraction(x, a, b) / a
	}
	return 1 - front*betaFraction(1-x, b, a)/b
}

func betaFraction(x, a, b float64) float64 {
	const tiny = 1e-300
	guard := func(v float64) float64 {
		if math.Abs(v) < tiny {
			return tiny
		}
		return v
	}
	c, d := 1.0, 1/guard(1-(a+b)*x/(a+1))
	h := d
	for m := 1.0; m <= 500; m++ {
		even := m * (b - m) * x / ((a + 2*m - 1) * (a + 2*m))
		d, c = 1/guard(1+even*d), guard(1+even/c)
		h *= d * c
		odd := -(a + m) * (a + b + m) * x / ((a + 2*m) * (a + 2*m + 1))
		d, c = 1/guard(1+odd*d), guard(1+odd/c)
		h *= d * c
		if math.Abs(d*c-1) < 1e-15 {
			break
		}
	}
	return h
}

// betaQuantile inverts betaCDF by Newton's steps, and by bisection where one leaves what is known to hold the quantile.
func betaQuantile(p, a, b float64) float64 {
	la, _ := math.Lgamma(a)
	lb, _ := math.Lgamma(b)
	lab, _ := math.Lgamma(a + b)
	low, high, x := 0.0, 1.0, a/(a+b)
	for range 100 {
		over := betaCDF(x, a, b) - p
		if over < 0 {
			low = x
		} else {
			high = x
		}
		density := math.Exp(lab - la - lb + (a-1)*math.Log(x) + (b-1)*math.Log1p(-x))
		next := x - over/density
		if !(next > low && next < high) {
			next = (low + high) / 2
		}
		if math.Abs(next-x) <= 1e-14*x {
			return next
		}
		x = next
	}
	return x
}

// UpperBound is the exact (Clopper-Pearson) one-sided upper bound, at confidence 1-alpha, of a rate with yes of n.
func UpperBound(yes, n int64, alpha float64) float64 {
	if yes >= n {
		return 1
	}
	return betaQuantile(1-alpha, float64(yes)+1, float64(n-yes))
}

// LowerBound is the exact one-sided lower bound.
func LowerBound(yes, n int64, alpha float64) float64 { return 1 - UpperBound(n-yes, n, alpha) }

// PosteriorBelow is the probability that a rate is below limit, after yes of n and a uniform prior.
func PosteriorBelow(limit float64, yes, n int64) float64 {
	return betaCDF(limit, float64(yes)+1, float64(n-yes)+1)
}

package detect

import (
	"math"
	"time"
)

// ESR is the state of a mixture of Shiryaev-Roberts e-detectors over the bins of Alternatives, "sequential PSI" when
// those are §K's. The mean number of events to a false alarm at threshold A is at least A, given the reference: R minus
// the events seen is a martingale without change, whatever the slots. Its JSON form is its whole state.
type ESR struct {
	R []float64 `json:"r"`
	// Events counts the events seen since the last restart.
	Events int64 `json:"events"`
	// W[j] is the largest log likelihood ratio of alternative j over all times of a change (a CUSUM, at most ln Cap), and
	// Low[j] when (Unix microseconds) it was last 0: most likely the change that j sees began after it.
	W   []float64 `json:"w"`
	Low []int64   `json:"low"`
	// Cap bounds each R, so that it comes down again after a long change; a cap only lowers R, so the bound holds.
	Cap float64 `json:"cap"`
}

// NewESR returns a detector of k alternatives with each R at most limit.
func NewESR(k int, limit float64) *ESR {
	return &ESR{R: make([]float64, k), W: make([]float64, k), Low: make([]int64, k), Cap: limit}
}

// Restart begins anew with R = head: 0, or A/100 after a verified healing, which finds a failed one sooner at the
// price of one false alarm in 100 (fast initial response, §G).
func (d *ESR) Restart(head float64, now time.Time) {
	d.Events = 0
	for j := range d.R {
		d.R[j], d.W[j], d.Low[j] = head, 0, now.UnixMicro()
	}
}

// Step takes one slot of counts (a count a bin): R[j] = (R[j] + n) * prod L[j][b]^c[b]. Products are sums of logarithms,
// so no slot overflows. A slot without events changes nothing.
func (d *ESR) Step(a *Alternatives, counts []uint32, now time.Time) {
	var n uint64
	var seen []int
	var buffer [64]int
	seen = buffer[:0]
	for b, c := range counts {
		if c != 0 {
			n += uint64(c)
			seen = append(seen, b)
		}
	}
	if n == 0 {
		return
	}
	d.Events += int64(n)
	limit := math.Log(d.Cap)
	for j := range d.R {
		sum, log := 0.0, a.Log[j]
		for _, b := range seen {
			sum += float64(counts[b]) * log[b]
		}
		if n == 1 {
			d.R[j] = min((d.R[j]+1)*a.Ratio[j][seen[0]], d.Cap)
		} else {
			d.R[j] = min((d.R[j]+float64(n))*likelihood(sum), d.Cap) // what overflows is capped
		}
		d.W[j] = min(max(d.W[j]+sum, 0), limit)
		if d.W[j] == 0 || d.Low[j] == 0 {
			d.Low[j] = now.UnixMicro()
		}
	}
}

// likelihood is exp, but nothing where it could not be seen beside the next slot's events: most alternatives at a high
// rate, whose exponentials would be most of the cost.
func likelihood(log float64) float64 {
	if log < -100 {
		return 0
	}
	return math.Exp(log)
}

// Statistic is sum w[j] R[j]; an alarm when it reaches the threshold.
func (d *ESR) Statistic(a *Alternatives) float64 {
	var sum float64
	for j, r := range d.R {
		sum += a.Weights[j] * r
	}
	return sum
}

// Best names the alternative that explains best what came since its change began, and estimates when that was.
func (d *ESR) Best(a *Alternatives) (name string, onset time.Time) {
	best := 0
	for j := range d.W {
		if d.W[j] > d.W[best] {
			best = j
		}
	}
	if len(d.W) == 0 {
		return "", time.Time{}
	}
	return a.Names[best], time.UnixMicro(d.Low[best]).UTC()
}

// Refuted reports whether counts of n events speak against every alternative whose R is at least held: under it they are
// less likely than without a change by half of what is to be expected without one, or more.
func (d *ESR) Refuted(a *Alternatives, counts []uint32, held float64) bool {
	n := float64(sumCounts(counts))
	for j, r := range d.R {
		if r < held {
			continue
		}
		sum := 0.0
		for b, c := range counts {
			sum += float64(c) * a.Log[j][b]
		}
		if sum > n*a.Null[j]/2 {
			return false
		}
	}
	return true
}

// fits reports whether a restored state is one of a detector of a.
func (d *ESR) fits(a *Alternatives) bool {
	k := len(a.Ratio)
	return d != nil && len(d.R) == k && len(d.W) == k && len(d.Low) == k && d.Cap > 0
}

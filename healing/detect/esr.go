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
	// Low[j] is when (Unix microseconds) R[j] was last as small as without a change: what alternative j sees began later.
	Low []int64 `json:"low"`
	// Cap bounds each R, so that it comes down again after a long change; a cap only lowers R, so the bound holds.
	Cap float64 `json:"cap"`
}

// NewESR returns a detector of k alternatives with each R at most limit.
func NewESR(k int, limit float64) *ESR {
	return &ESR{R: make([]float64, k), Low: make([]int64, k), Cap: limit}
}

// Restart begins anew with R = head: 0, or A/100 after a verified healing, which finds a failed one sooner at the
// price of one false alarm in 100 (fast initial response, §G).
func (d *ESR) Restart(head float64, now time.Time) {
	d.Events = 0
	for j := range d.R {
		d.R[j], d.Low[j] = head, now.UnixMicro()
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
	if n == 1 {
		for j := range d.R {
			d.set(j, (d.R[j]+1)*a.Ratio[j][seen[0]], 1, now)
		}
		return
	}
	limit := math.Log(d.Cap)
	for j := range d.R {
		sum, log := math.Log(d.R[j]+float64(n)), a.Log[j]
		for _, b := range seen {
			sum += float64(counts[b]) * log[b]
		}
		d.set(j, math.Exp(min(sum, limit)), float64(n), now)
	}
}

func (d *ESR) set(j int, r, n float64, now time.Time) {
	d.R[j] = min(r, d.Cap)
	if d.R[j] <= n || d.Low[j] == 0 {
		d.Low[j] = now.UnixMicro()
	}
}

// Statistic is sum w[j] R[j]; an alarm when it reaches the threshold.
func (d *ESR) Statistic(a *Alternatives) float64 {
	var sum float64
	for j, r := range d.R {
		sum += a.Weights[j] * r
	}
	return sum
}

// Best names the alternative that has gathered most, and estimates when the change it sees began.
func (d *ESR) Best(a *Alternatives) (name string, onset time.Time) {
	best := 0
	for j := range d.R {
		if a.Weights[j]*d.R[j] > a.Weights[best]*d.R[best] {
			best = j
		}
	}
	if len(d.R) == 0 {
		return "", time.Time{}
	}
	return a.Names[best], time.UnixMicro(d.Low[best]).UTC()
}

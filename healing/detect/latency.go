package detect

import (
	"math"
	"time"
)

// The histogram is log-linear around the SLO, with bounds at SLO * 2^k * (1 + j/4): the SLO itself is one of them, so
// "slower than the SLO" is exact. A quantile is off by at most 1/4 of its value.
const (
	latencyLow     = -13 // octaves below the SLO: 300 ms / 8192 = 37 us
	latencyHigh    = 8   // octaves above: 77 s
	latencySub     = 4
	latencyBuckets = (latencyHigh-latencyLow)*latencySub + 2
)

// Latency is a histogram of latencies relative to an SLO; bucket 0 is below, the last above the range.
type Latency struct {
	SLO     time.Duration `json:"slo_ns,omitempty"`
	Buckets []uint32      `json:"buckets,omitempty"`
}

// IsZero reports whether nothing was counted.
func (l Latency) IsZero() bool { return l.Buckets == nil }

// Add counts one latency.
func (l *Latency) Add(latency, slo time.Duration) {
	if l.Buckets == nil {
		l.SLO, l.Buckets = slo, make([]uint32, latencyBuckets)
	}
	l.Buckets[latencyBucket(latency, slo)]++
}

// latencyBucket returns the bucket of a latency; buckets are right-closed: one nanosecond above the SLO is slow.
func latencyBucket(latency, slo time.Duration) int {
	if latency <= 1 || slo <= 0 {
		return 0
	}
	fraction, exponent := math.Frexp(float64(latency-1) / float64(slo))
	octave := exponent - 1 - latencyLow
	if octave < 0 {
		return 0
	}
	if exponent-1 >= latencyHigh {
		return latencyBuckets - 1
	}
	return 1 + octave*latencySub + int((fraction*2-1)*latencySub)
}

// Merge adds o's counts. Of two different SLOs the first stays: buckets are relative, so such a sum has no meaning
// beyond the change of a setting, which lasts a slot.
func (l *Latency) Merge(o Latency) {
	if o.Buckets == nil {
		return
	}
	if l.Buckets == nil {
		l.SLO, l.Buckets = o.SLO, make([]uint32, latencyBuckets)
	}
	for i, n := range o.Buckets {
		if i < len(l.Buckets) {
			l.Buckets[i] += n
		}
	}
}

// Count returns how many latencies were counted.
func (l Latency) Count() int64 {
	var n int64
	for _, c := range l.Buckets {
		n += int64(c)
	}
	return n
}

// Quantile returns the upper bound of the bucket that holds the q-quantile; 0 without data.
func (l Latency) Quantile(q float64) time.Duration { return l.quantile(q, 0) }

// quantile counts extra values just above the SLO: applications in flight, of whose latency nothing else is known yet. What
// it returns is at least that bad.
func (l Latency) quantile(q float64, extra int64) time.Duration {
	n := l.Count() + extra
	if n == 0 || l.Buckets == nil {
		return 0
	}
	rank := max(int64(math.Ceil(q*float64(n))), 1)
	late := latencyBucket(l.SLO+1, l.SLO)
	for i, c := range l.Buckets {
		if i == late {
			rank -= extra
		}
		if rank -= int64(c); rank <= 0 {
			return bucketBound(i, l.SLO)
		}
	}
	return bucketBound(latencyBuckets-1, l.SLO)
}

// bucketBound is the upper bound of a bucket (of the open last one, its lower bound).
func bucketBound(i int, slo time.Duration) time.Duration {
	i = min(i, latencyBuckets-2)
	octave, sub := i/latencySub, i%latencySub
	return time.Duration(math.Ldexp(1+float64(sub)/latencySub, octave+latencyLow) * float64(slo))
}

package app

import (
	"math"
	"sync"
	"time"
)

// latencies is a histogram of the last few seconds' decision latencies, for the page.
type latencies struct {
	mu    sync.Mutex
	slots [latencySlots]latencySlot
}

const (
	latencySlots  = 5 // one a second
	perOctave     = 8 // buckets a factor of two: 9 % wide
	latencyFloor  = 10 * time.Microsecond
	latencyOctave = 24 // 10 us to 168 s
)

type latencySlot struct {
	second int64
	counts [perOctave * latencyOctave]uint32
}

func (l *latencies) observe(now time.Time, d time.Duration) {
	b := 0
	if d > latencyFloor {
		b = min(int(perOctave*math.Log2(float64(d)/float64(latencyFloor))), perOctave*latencyOctave-1)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &l.slots[now.Unix()%latencySlots]
	if s.second != now.Unix() {
		*s = latencySlot{second: now.Unix()}
	}
	s.counts[b]++
}

// quantiles returns the upper edges of the buckets that hold the quantiles; ok is false where nothing was observed.
func (l *latencies) quantiles(now time.Time, qs ...float64) (out []time.Duration, ok bool) {
	var sum [perOctave * latencyOctave]uint64
	var n uint64
	l.mu.Lock()
	for i := range l.slots {
		if now.Unix()-l.slots[i].second >= latencySlots {
			continue
		}
		for b, c := range l.slots[i].counts {
			sum[b] += uint64(c)
			n += uint64(c)
		}
	}
	l.mu.Unlock()
	if n == 0 {
		return nil, false
	}
	for _, q := range qs {
		rank, seen, b := uint64(math.Ceil(q*float64(n))), uint64(0), 0
		for b < len(sum)-1 && seen+sum[b] < rank {
			seen += sum[b]
			b++
		}
		out = append(out, time.Duration(float64(latencyFloor)*math.Exp2(float64(b+1)/perOctave)))
	}
	return out, true
}

package agents

import (
	"math/bits"
	"sync"
	"time"
)

const (
	// buckets of handling times: index i counts [2^i, 2^(i+1)) microseconds, the first one also what is shorter, the
	// last one also what is longer.
	buckets = 32
	// window is what rates and percentiles are taken over.
	window = 5 * time.Second
)

// tally is what a loop counts between two flushes.
type tally struct {
	handled, failed, refused int64
	times                    [buckets]int64
	used                     int // highest bucket in use, plus one
}

// add counts one handling time, in nanoseconds.
func (t *tally) add(ns int64) {
	i := min(max(bits.Len64(uint64(max(ns, 0)/1000))-1, 0), buckets-1)
	t.times[i]++
	t.used = max(t.used, i+1)
}

// plus adds o to t.
func (t *tally) plus(o *tally) {
	t.handled += o.handled
	t.failed += o.failed
	t.refused += o.refused
	for i, n := range o.times[:o.used] {
		t.times[i] += n
	}
	t.used = max(t.used, o.used)
}

// stats holds an agent's counts: the slot that is being filled, those of the last seconds, and the sums.
type stats struct {
	mu    sync.Mutex
	slot  tally
	total tally
	ring  []tally // closed slots, the oldest at next once it is full
	next  int
	full  bool
	slotD time.Duration
}

func (s *stats) init(slot time.Duration) {
	s.slotD = slot
	s.ring = make([]tally, max(1, int(window/slot)))
}

// merge adds a loop's tally and empties it.
func (s *stats) merge(t *tally) {
	s.mu.Lock()
	s.slot.plus(t)
	s.mu.Unlock()
	*t = tally{}
}

// late adds to the sums only: what an ended life did says nothing about the slot.
func (s *stats) late(t *tally) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total.plus(t)
}

// turn closes the slot and returns it, with the number of events handled so far.
func (s *stats) turn() (slot tally) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slot = s.slot
	s.slot = tally{}
	s.total.plus(&slot)
	s.ring[s.next] = slot
	s.next = (s.next + 1) % len(s.ring)
	s.full = s.full || s.next == 0
	return slot
}

// read returns the sums, events a second and percentiles over the window.
func (s *stats) read() (total tally, rate float64, p50, p99 time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	total = s.total
	total.plus(&s.slot)
	var w tally
	n := s.next
	if s.full {
		n = len(s.ring)
	}
	for i := range s.ring[:n] {
		w.plus(&s.ring[i])
	}
	if n > 0 {
		rate = float64(w.handled) / (time.Duration(n) * s.slotD).Seconds()
	}
	return total, rate, w.quantile(0.5), w.quantile(0.99)
}

// quantile interpolates within the bucket that holds the q-th handling time.
func (t *tally) quantile(q float64) time.Duration {
	var n int64
	for _, c := range t.times[:t.used] {
		n += c
	}
	if n == 0 {
		return 0
	}
	rank := q * float64(n)
	for i, c := range t.times[:t.used] {
		if float64(c) >= rank && c > 0 {
			low := float64(int64(1) << i)
			if i == 0 {
				low = 0
			}
			high := float64(int64(2) << i)
			return time.Duration((low + (high-low)*rank/float64(c)) * float64(time.Microsecond))
		}
		rank -= float64(c)
	}
	return time.Duration(int64(2)<<t.used) * time.Microsecond
}

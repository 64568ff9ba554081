package agents

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"aura/agents/bus"
)

// The rule of D1 against a model that keeps the whole history: the first failure counts, each further one only if the
// agent finished something since the last failure; three that count end it; tries are never closer than the rule says.
func TestStrikeRule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &strike{message: &bus.Message{ID: "m"}}
		now, finished := time.Unix(0, 0), int64(0)
		var counted int
		var since bool
		for i := range rapid.IntRange(1, 40).Draw(t, "failures") {
			if n := rapid.Int64Range(0, 2).Draw(t, "finished"); n > 0 {
				finished += n
				since = true
			}
			if i == 0 || since {
				counted++
			}
			since = false
			s.fail(errors.New("x"), finished, now)
			if s.out() != (counted >= maxStrikes) {
				t.Fatalf("after %d failures that count: out is %v", counted, s.out())
			}
			if s.out() {
				if s.due.After(now) {
					t.Fatal("what is given up must not wait")
				}
				return
			}
			if d := s.due.Sub(now); d < asideDelay || d > maxAsideDelay {
				t.Fatalf("try %d comes after %s", i, d)
			}
			now = s.due
		}
	})
}

func TestBackoffGrowsToItsLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 200).Draw(t, "n")
		d := backoff(n, restartBase, restartLimit)
		if d < restartBase || d > restartLimit || n > 0 && d < backoff(n-1, restartBase, restartLimit) {
			t.Fatalf("backoff(%d) = %s", n, d)
		}
	})
}

// A quantile lies in the bucket of the exact one, whatever the times are.
func TestQuantileWithinItsBucket(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		us := rapid.SliceOfN(rapid.Int64Range(1, 1<<24), 1, 200).Draw(t, "us")
		var all tally
		for _, u := range us {
			var one tally
			one.add(u * 1000)
			all.plus(&one)
		}
		for _, q := range []float64{0.5, 0.99, 1} {
			exact := exactQuantile(us, q)
			got := all.quantile(q).Microseconds()
			if got < floorPow2(exact) || got > 2*floorPow2(exact) {
				t.Fatalf("q%v is %d us, exactly %d", q, got, exact)
			}
		}
	})
}

func exactQuantile(us []int64, q float64) int64 {
	for _, v := range us {
		var below, upTo int
		for _, w := range us {
			if w < v {
				below++
			}
			if w <= v {
				upTo++
			}
		}
		if rank := q * float64(len(us)); float64(below) < rank && rank <= float64(upTo) {
			return v
		}
	}
	panic("no quantile")
}

func floorPow2(v int64) int64 {
	p := int64(1)
	for 2*p <= v {
		p *= 2
	}
	return p
}

// The watchdog cancels only the call it looked at, whatever happens in between.
func TestWatchStateMachine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const deadline, grace = 100, 50
		var w watch
		w.renew(t.Context())
		now, entered, cancelledAt := int64(1), int64(0), int64(0)
		inCall := false
		t.Repeat(map[string]func(*rapid.T){
			"time": func(t *rapid.T) { now += rapid.Int64Range(1, 120).Draw(t, "passes") },
			"enter": func(t *rapid.T) {
				if inCall {
					t.Skip()
				}
				if w.enter(now).Err() != nil {
					t.Fatal("a call begins with an ended context")
				}
				inCall, entered, cancelledAt = true, now, 0
			},
			"leave": func(t *rapid.T) {
				if !inCall {
					t.Skip()
				}
				if inTime := w.leave(); inTime != (cancelledAt == 0) {
					t.Fatalf("in time: %v, cancelled at %d", inTime, cancelledAt)
				} else if !inTime {
					w.renew(t.Context())
				}
				inCall = false
			},
			"check": func(t *rapid.T) {
				hung := w.check(now, deadline, grace) != 0
				if want := inCall && cancelledAt != 0 && now-cancelledAt > grace; hung != want {
					t.Fatalf("hung: %v, want %v", hung, want)
				}
				if inCall && cancelledAt == 0 && now-entered > deadline {
					cancelledAt = now
				}
				if ended := w.cell.Load().ctx.Err() != nil; ended != (inCall && cancelledAt != 0) {
					t.Fatalf("context ended: %v", ended)
				}
			},
		})
	})
}

package ingestion

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"aura/agents/event"
)

func raw(id string) *event.RawEvent {
	return &event.RawEvent{Subject: event.Subject{ID: id, ApplicationID: id, AcceptedAt: time.Unix(1000, 0)}}
}

func decided(id string) *event.Decision {
	return &event.Decision{Subject: event.Subject{ID: id, ApplicationID: id}}
}

// TestWindowIsBoundedWhateverHappens drives a window at random beside a plain model of it: it never holds more than its
// size, gives every place back, and tells each waiter exactly once.
func TestWindowIsBoundedWhateverHappens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 20).Draw(t, "size")
		w := NewWindow(size)
		reserved, in := 0, map[string]bool{}
		waiting := map[string][]<-chan *event.Decision{}
		t.Repeat(map[string]func(*rapid.T){
			"reserve": func(t *rapid.T) {
				n := rapid.IntRange(1, 5).Draw(t, "n")
				fits := reserved+len(in)+n <= size
				if err := w.TryReserve(n); (err == nil) != fits || !fits && !errors.Is(err, ErrFull) {
					t.Fatalf("TryReserve(%d) with %d+%d of %d: %v", n, reserved, len(in), size, err)
				}
				if fits {
					reserved += n
				}
			},
			"release": func(t *rapid.T) {
				if reserved == 0 {
					t.Skip("nothing is reserved")
				}
				w.Release(1)
				reserved--
			},
			"track": func(t *rapid.T) {
				if reserved == 0 {
					t.Skip("nothing is reserved")
				}
				id := fmt.Sprint(rapid.IntRange(0, 9).Draw(t, "id"))
				adopted, c := w.track(raw(id), "", time.Time{}, time.Second, true)
				if adopted == in[id] {
					t.Fatalf("track(%s) adopted %t, it was there: %t", id, adopted, in[id])
				}
				reserved--
				in[id] = true
				waiting[id] = append(waiting[id], c)
			},
			"decide": func(t *rapid.T) {
				id := fmt.Sprint(rapid.IntRange(0, 9).Draw(t, "id"))
				w.Decided(decided(id))
				for _, c := range waiting[id] {
					select {
					case d := <-c:
						if d.ID != id {
							t.Fatalf("who waits for %s was told %s", id, d.ID)
						}
					default:
						if c != nil {
							t.Fatalf("who waits for %s was not told", id)
						}
					}
				}
				delete(in, id)
				delete(waiting, id)
			},
			"": func(t *rapid.T) {
				if got := w.Undecided(); got != len(in) {
					t.Fatalf("%d undecided, want %d", got, len(in))
				}
				if got := w.Pending(); got != reserved+len(in) {
					t.Fatalf("%d pending, want %d and %d", got, reserved, len(in))
				}
			},
		})
	})
}

func TestWindowCountsALateOneOnce(t *testing.T) {
	w := NewWindow(10)
	_ = w.TryReserve(1)
	w.track(raw("a"), "", time.Time{}, time.Second, false)
	late := time.Unix(1001, 0)
	if n, fresh := w.overdue(late); n != 1 || len(fresh) != 1 {
		t.Errorf("first look: %d late, %d of them new; want 1 and 1", n, len(fresh))
	}
	if n, fresh := w.overdue(late); n != 1 || len(fresh) != 0 {
		t.Errorf("second look: %d late, %d of them new; want 1 and 0", n, len(fresh))
	}
}

func TestWindowKnowsWhoIsLate(t *testing.T) {
	w := NewWindow(10)
	_ = w.TryReserve(2)
	w.track(raw("a"), "", time.Time{}, time.Second, false)
	w.track(raw("b"), "", time.Time{}, time.Second, false)
	accepted := raw("a").AcceptedAt
	for _, c := range []struct {
		what   string
		before time.Time
		act    func()
		n      int64
	}{
		{"in time", accepted, func() {}, 0},
		{"late", accepted.Add(1), func() {}, 2},
		{"one is written and not heard of", accepted.Add(1), func() { w.Counted("a") }, 1},
		{"and heard of", accepted.Add(1), func() { w.Decided(decided("a")) }, 1},
		{"one that was never here", accepted.Add(1), func() { w.Counted("c") }, 1},
		{"none is left", accepted.Add(1), func() { w.Decided(decided("b")) }, 0},
	} {
		c.act()
		if n, oldest := w.Late(c.before); n != c.n || oldest.Equal(accepted) != (n > 0) {
			t.Errorf("%s: %d since %s", c.what, n, oldest)
		}
	}
}

func TestWindowBoundsWhoWaits(t *testing.T) {
	w := NewWindow(maxWaiters + 10)
	for i := range maxWaiters + 1 {
		_ = w.TryReserve(1)
		if _, c := w.track(raw("a"), "", time.Time{}, time.Second, true); (c != nil) != (i < maxWaiters) {
			t.Fatalf("waiter %d: channel %t", i, c != nil)
		}
	}
	if w.Undecided() != 1 {
		t.Errorf("%d undecided, want 1", w.Undecided())
	}
}

func TestDelayDoublesUpToItsLimitAndAnOutageResetsIt(t *testing.T) {
	w := NewWindow(1)
	_ = w.TryReserve(1)
	w.track(raw("a"), "", time.Time{}, 5*time.Second, false)
	w.published("a")
	now := time.Unix(2000, 0)
	for _, want := range []time.Duration{10, 20, 40, 60, 60} {
		w.postpone(now, true, time.Minute, "a")
		if got := w.entries["a"].sweepAt.Sub(now); got != want*time.Second {
			t.Errorf("looked at again after %s, want %ds", got, want)
		}
	}
	w.postpone(now, false, time.Minute, "a")
	if got := w.entries["a"].delay; got != time.Minute {
		t.Errorf("a held one doubled its delay to %s", got)
	}
	w.reset(now, 5*time.Second)
	if got := w.entries["a"].sweepAt.Sub(now); got != 5*time.Second {
		t.Errorf("after the outage looked at again after %s, want 5s", got)
	}
}

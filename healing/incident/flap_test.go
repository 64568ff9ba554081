package incident

import (
	"fmt"
	"testing"
	"time"
)

// flapping runs a latency fault in the model agent that is on and off for so long, and well for good after until; the
// alerts are truthful and half a second late. It returns the world and when the model was back.
func flapping(t *testing.T, on, off, until time.Duration) (*world, time.Duration) {
	w := newWorld(func(format string, args ...any) { t.Helper(); t.Fatalf(format, args...) })
	ladder := []Rung{{Action: EnableSafeMode, Verification: "signal", Dwell: time.Second}}
	broken := func(at time.Duration) bool { return at < until && at >= 0 && at%(on+off) < on }
	var back time.Duration
	w.open(LatencySLOBreach, Confirmed, ladder, Settings{})
	w.light = true
	w.deliver()
	for at := time.Duration(0); at < until+30*time.Minute; at += 500 * time.Millisecond {
		w.now = t0.Add(at)
		ill := broken(at) || broken(at-500*time.Millisecond)
		state := map[bool]SignalState{true: Confirmed, false: Healthy}
		modelDecides := !w.in.Degraded || w.in.is(Restore, Verifying)
		w.sig(state[ill && modelDecides])
		if !modelDecides {
			w.step(Event{Type: EvShadow, Shadow: &Shadow{State: state[ill], N: 3, ObservedAt: w.now}})
		}
		if a := w.in.current(); a != nil && w.in.State == Verifying && w.now.After(a.ExecutedAt) {
			w.step(Event{Type: EvVerdict, ActionID: a.ID, Verdict: &Verdict{State: state[ill && modelDecides], N: 9, From: a.ExecutedAt, ObservedAt: w.now}})
		}
		w.deliver()
		if w.in.State == Resolved {
			if back == 0 {
				back = at
			}
		} else {
			back = 0
		}
		if w.in.State == Resolved && at > until {
			break
		}
	}
	return w, back
}

func (in *Incident) is(p Purpose, s State) bool {
	a := in.current()
	return in.State == s && a != nil && a.Purpose == p
}

func TestAFaultThatGoesOnAndOff(t *testing.T) {
	for _, period := range []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 8 * time.Second, 10 * time.Second, 15 * time.Second, 20 * time.Second, 30 * time.Second} {
		t.Run(fmt.Sprint(period), func(t *testing.T) {
			w, back := flapping(t, period, period, 3*time.Minute)
			during := 0
			for _, at := range w.in.ModeChanges {
				if at.Sub(t0) <= 3*time.Minute {
					during++
				}
			}
			if during > 3 || during != len(w.in.ModeChanges) && len(w.in.ModeChanges) > 5 {
				t.Errorf("%d changes of mode in three minutes, %d in all", during, len(w.in.ModeChanges))
			}
			if w.in.State != Resolved || w.in.Degraded {
				t.Errorf("afterwards it is %s, degraded %v", w.in.State, w.in.Degraded)
			}
			if period == 5*time.Second && (during != 1 || back-3*time.Minute > 15*time.Second) {
				t.Errorf("%d changes; the model is back %v after the end", during, back-3*time.Minute)
			}
			if during == 3 && w.in.Trips == 0 {
				t.Error("three changes and no breaker")
			}
			if w.in.Trips > 0 && w.notified == 0 {
				t.Error("the breaker tripped and nobody was called")
			}
			t.Logf("%d changes in 3 min, %d in all, %d calls, the model is back %v after the end", during, len(w.in.ModeChanges), w.notified, back-3*time.Minute)
		})
	}
}

func TestTheModelIsBackSoonAfterTheEnd(t *testing.T) {
	for _, length := range []time.Duration{3 * time.Second, 10 * time.Second, 47 * time.Second, 5 * time.Minute} {
		w, back := flapping(t, length, 0, length)
		if len(w.in.ModeChanges) != 2 || back-length > 15*time.Second || back < length {
			t.Errorf("a fault of %v: %d changes, back after %v", length, len(w.in.ModeChanges), back-length)
		}
	}
}

package healing

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"aura/healing/incident"
	"aura/store"
)

// TestAFaultThatGoesOnAndOff for three minutes, with everything real but the service: at most three changes of mode, then
// the breaker and a person; after its end the model is back for good.
func TestAFaultThatGoesOnAndOff(t *testing.T) {
	for _, period := range []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second} {
		t.Run(fmt.Sprint(period), func(t *testing.T) {
			if testing.Short() && period > 5*time.Second {
				t.Skip("one period will do")
			}
			run(t, func(w *world) {
				w.begin()
				w.pass(3 * time.Second)
				for range int(3 * time.Minute / (2 * period)) {
					w.breakModel(true)
					w.pass(period)
					w.breakModel(false)
					w.pass(period)
				}
				during := w.modeChanges()
				in, _ := w.incident()
				called := len(w.calls)
				if during > 3 || during == 0 {
					t.Errorf("%d changes of mode in three minutes", during)
				}
				if during == 3 && (called == 0 || in.Trips == 0 && in.Escalation == "") {
					t.Errorf("three changes, and nobody was called: %s", in.State)
				}
				ended := time.Now()
				in = w.until(incident.Resolved, 30*time.Minute)
				if period == 5*time.Second && time.Since(ended) > 15*time.Second {
					t.Errorf("the model was back %v after the end", time.Since(ended))
				}
				if w.mode() != store.ModeModel || in.Degraded {
					t.Errorf("mode %s, degraded %v", w.mode(), in.Degraded)
				}
				t.Logf("%d changes in 3 min, %d calls, the model back %v after the end", during, called, time.Since(ended))
			})
		})
	}
}

// TestTwentyEqualFaults: late in an agent that safe mode doesn't go round, so that the first rung never holds. Fresh, the
// order is the configured one; later incidents begin with the rung that worked, say why, and take less than 0.7 of the
// time.
func TestTwentyEqualFaults(t *testing.T) {
	run(t, func(w *world) {
		w.mends = true
		w.begin()
		var took []time.Duration
		var firsts []string
		why := ""
		for n := range 20 {
			w.pass(3 * time.Second)
			w.mu.Lock()
			w.hard, w.since = true, time.Now().UTC()
			w.mu.Unlock()
			in := w.newest(n, incident.Resolved, 2*time.Minute)
			took, firsts = append(took, in.ResolvedAt.Sub(in.DetectedAt)), append(firsts, in.Ladder[0].Action)
			if n == 0 && in.OrderReason != "the configured order: no outcome speaks clearly against it" {
				t.Errorf("with fresh data the order is %q", in.OrderReason)
			}
			why = in.OrderReason
			time.Sleep(11 * time.Minute) // past the window of a relapse
		}
		if firsts[0] != incident.EnableSafeMode || firsts[19] != incident.RestartAgent {
			t.Errorf("they began with %v", firsts)
		}
		if slices.Contains(firsts[10:], incident.EnableSafeMode) {
			t.Errorf("of the second ten one began with the rung that doesn't hold: %v", firsts)
		}
		a, b := median(took[:10]), median(took[10:])
		if b >= a*7/10 {
			t.Errorf("median %v, then %v", a, b)
		}
		t.Logf("median of the first ten %v, of the second %v; %s", a, b, why)
	})
}

func median(d []time.Duration) time.Duration {
	d = slices.Clone(d)
	slices.SortFunc(d, cmp.Compare)
	return (d[len(d)/2-1] + d[len(d)/2]) / 2
}

// newest lets time pass until the incident that follows n others is in a state.
func (w *world) newest(n int, want incident.State, limit time.Duration) (in incident.Incident) {
	w.t.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end); {
		w.pass(250 * time.Millisecond)
		rows, err := w.store.Incidents(w.t.Context(), store.IncidentFilter{}, "", 50)
		if err != nil {
			w.t.Fatal(err)
		}
		if len(rows) != n+1 {
			continue
		}
		in = incident.Incident{}
		if err := json.Unmarshal(rows[0].Document, &in); err != nil {
			w.t.Fatal(err)
		}
		if in.State == want {
			return in
		}
	}
	w.t.Fatalf("incident %d was never %s but %s: %s", n+1, want, in.State, in.Reason)
	return in
}

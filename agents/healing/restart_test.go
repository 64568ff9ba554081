package healing

import (
	"strings"
	"testing"
	"time"

	"aura/healing/incident"
	"aura/healing/policy"
	"aura/store"
)

// What a process that starts again does with an incident that the old one left between approval and execution: the
// preconditions are tested anew, on fresh data.

// approvedAndKilled leaves an incident whose action is approved and was never handed to the executor.
func approvedAndKilled(w *world) {
	w.t.Helper()
	w.govern = func(*world, store.PolicyRequest) {} // it takes its time
	w.begin()
	w.breakModel(true)
	w.until(incident.Proposed, 10*time.Second)
	w.end()
	w.govern = nil
	w.decide()
}

// TestAfterARestartUnknownWaits: without data nothing is executed, however long; with data it goes on.
func TestAfterARestartUnknownWaits(t *testing.T) {
	run(t, func(w *world) {
		approvedAndKilled(w)
		w.silent = true
		w.begin()
		w.pass(30 * time.Second) // shorter than the approval lasts
		w.untouched()
		w.silent = false
		in := w.until(incident.Degraded, 20*time.Second)
		if in.Actions[0].Asks != 1 || w.modeChanges() != 1 {
			t.Errorf("asked %d times, %d changes", in.Actions[0].Asks, w.modeChanges())
		}
	})
}

// TestAfterARestartHealthyCancels: a fault that died with the process needs no action, whatever was approved.
func TestAfterARestartHealthyCancels(t *testing.T) {
	run(t, func(w *world) {
		approvedAndKilled(w)
		w.breakModel(false)
		w.begin()
		in := w.until(incident.Cancelled, 20*time.Second)
		w.untouched()
		if in.Actions[0].Result != incident.Withdrawn || !in.SelfRecovered {
			t.Errorf("%s, by itself %v", in.Actions[0].Result, in.SelfRecovered)
		}
	})
}

// TestAfterARestartAnExpiredApprovalIsAskedAgain: the old yes is too old; a new one is asked for, and used once.
func TestAfterARestartAnExpiredApprovalIsAskedAgain(t *testing.T) {
	run(t, func(w *world) {
		approvedAndKilled(w)
		time.Sleep(2 * time.Minute) // the approval lasts one
		w.begin()
		in := w.until(incident.Degraded, 20*time.Second)
		if in.Actions[0].Asks != 2 || in.Actions[0].RequestID == "" || w.modeChanges() != 1 {
			t.Errorf("asked %d times, %d changes", in.Actions[0].Asks, w.modeChanges())
		}
		w.audited()
	})
}

// TestAPassedOverRungWasNeverAllowed: what was never asked for doesn't wait for anybody's leave.
func TestAPassedOverRungWasNeverAllowed(t *testing.T) {
	run(t, func(w *world) {
		w.begin()
		w.breakModel(true)
		w.until(incident.Degraded, 20*time.Second)
		w.mu.Lock()
		w.hard = true // bad in safe mode too: a relapse, and safe mode stands already
		w.mu.Unlock()
		w.until(incident.Escalated, 2*time.Minute)
		rows, err := w.store.Actions(w.t.Context(), store.ActionFilter{}, "", 20)
		if err != nil {
			t.Fatal(err)
		}
		passed := 0
		for _, r := range rows {
			if r.AGLDecision == policy.Pending {
				t.Errorf("%s %s %s is PENDING", r.ID, r.Type, r.Result)
			}
			if r.Type == incident.EnableSafeMode && r.Result == string(incident.Refused) {
				passed++
				if r.AGLDecision != "" || r.Asked() || !strings.Contains(string(r.Document), "safe mode stands already") {
					t.Errorf("%s: %q, asked %v", r.ID, r.AGLDecision, r.Asked())
				}
			}
		}
		if passed == 0 {
			t.Error("no rung was passed over")
		}
	})
}

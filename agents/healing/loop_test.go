package healing

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"aura/healing/detect"
	"aura/healing/incident"
	"aura/healing/policy"
	"aura/store"
)

// TestMain puts the stores where no disk syncs, if the system has such a place: fake time stands still meanwhile, and what
// outlives a power cut is the store's own matter.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("/dev/shm", "aura-")
	if err != nil {
		goleak.VerifyTestMain(m)
		return
	}
	_ = os.Setenv("TMPDIR", dir)
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

func (w *world) audited() {
	w.t.Helper()
	r, err := w.store.VerifyAudit(w.t.Context())
	if err != nil || r.Broken != 0 || r.Records == 0 {
		w.t.Errorf("the audit doesn't verify: %+v, %v", r, err)
	}
}

// TestTheLoop: late model -> safe mode, verified -> model well again -> safe mode left, verified -> remembered.
func TestTheLoop(t *testing.T) {
	run(t, func(w *world) {
		w.begin()
		w.pass(3 * time.Second)
		w.breakModel(true)
		in := w.until(incident.Degraded, 20*time.Second)
		if w.mode() != store.ModeSafe || in.Status != incident.StatusResolved || !in.Degraded || in.ResolvedAt.IsZero() {
			t.Errorf("mode %s, %s, degraded %v", w.mode(), in.Status, in.Degraded)
		}
		w.pass(20 * time.Second)
		if in, _ := w.incident(); in.State != incident.Degraded || w.mode() != store.ModeSafe {
			t.Errorf("left safe mode while the model is ill: %s", in.State)
		}
		w.breakModel(false)
		in = w.until(incident.Resolved, 20*time.Second)
		if w.mode() != store.ModeModel || in.Degraded || in.RestoredAt.IsZero() || w.modeChanges() != 2 {
			t.Errorf("mode %s, degraded %v, restored %v, %d changes", w.mode(), in.Degraded, in.RestoredAt, w.modeChanges())
		}
		memories, err := w.store.Memories(w.t.Context(), incident.LatencySLOBreach, 10)
		if err != nil || len(memories) != 2 || !memories[0].Healed || !memories[1].Healed {
			t.Errorf("memories %+v, %v", memories, err)
		}
		actions, err := w.store.Actions(w.t.Context(), store.ActionFilter{}, "", 10)
		if err != nil || len(actions) != 2 || actions[1].AGLDecision != store.AGLApproved || actions[1].Result != "VERIFIED" || actions[1].ExecutedAt.IsZero() {
			t.Errorf("actions %+v, %v", actions, err)
		}
		var asked []string
		for _, r := range w.asked {
			var p policy.Proposal
			if err := json.Unmarshal(r.Action, &p); err != nil {
				t.Errorf("%s is announced as %s: %v", r.RequestID, r.Action, err)
			}
			asked = append(asked, p.Action.Type)
		}
		if want := []string{incident.EnableSafeMode, incident.DisableSafeMode}; !slices.Equal(slices.Compact(asked), want) {
			t.Errorf("announced requests for %v, want %v", asked, want)
		}
		w.audited()
	})
}

// noop records that it did something, and does nothing.
type noop struct{ *world }

func (n noop) SetMode(ctx context.Context, p store.ActionProof, _ store.Mode, _ string) (store.Effect, error) {
	return n.store.RecordAction(ctx, p, json.RawMessage(`{}`))
}

// TestANoOpHealsNothing: an action replaced by one that only says so is undone, the ladder climbed, a person called.
func TestANoOpHealsNothing(t *testing.T) {
	run(t, func(w *world) {
		w.targets.Modes = noop{w}
		w.begin()
		w.breakModel(true)
		in := w.until(incident.Escalated, time.Minute)
		if !in.ResolvedAt.IsZero() || in.Escalation != incident.EscLadderEnd || len(w.calls) != 1 {
			t.Errorf("resolved %v, %s, %d calls", in.ResolvedAt, in.Escalation, len(w.calls))
		}
		if in.Actions[0].Result != incident.Undone || in.Actions[1].Result != incident.NotHeld {
			t.Errorf("%s, %s", in.Actions[0].Result, in.Actions[1].Result)
		}
	})
}

// TestSafeModeThatDoesNotHelpIsLeft: the fault is not the model's.
func TestSafeModeThatDoesNotHelpIsLeft(t *testing.T) {
	run(t, func(w *world) {
		w.begin()
		w.hard = true
		in := w.until(incident.Escalated, time.Minute)
		if w.mode() != store.ModeModel || in.Degraded || w.modeChanges() != 2 {
			t.Errorf("mode %s, degraded %v, %d changes", w.mode(), in.Degraded, w.modeChanges())
		}
	})
}

// TestSilenceIsNoSuccess: traffic stops after the action.
func TestSilenceIsNoSuccess(t *testing.T) {
	run(t, func(w *world) {
		w.begin()
		w.breakModel(true)
		w.until(incident.Verifying, 10*time.Second)
		w.mu.Lock()
		w.silent = true
		w.mu.Unlock()
		w.pass(3 * time.Minute)
		if in, _ := w.incident(); !in.ResolvedAt.IsZero() {
			t.Errorf("%s without any data", in.State)
		}
	})
}

// TestOnlyASignedDecisionExecutes: whatever stands in the rows, nothing else changes the system.
func TestOnlyASignedDecisionExecutes(t *testing.T) {
	_, stranger, _ := ed25519.GenerateKey(nil)
	other := policy.Action{Type: incident.EnableSafeMode, Params: map[string]string{"x": "y"}}.Digest()
	for name, forge := range map[string]func(w *world, r store.PolicyRequest) []byte{
		"no envelope": func(*world, store.PolicyRequest) []byte { return nil },
		"no JSON":     func(*world, store.PolicyRequest) []byte { return []byte("yes") },
		"another key": func(w *world, r store.PolicyRequest) []byte {
			own := w.key
			defer func() { w.key = own }()
			w.key = stranger
			return w.envelope(r, nil)
		},
		"another action": func(w *world, r store.PolicyRequest) []byte {
			return w.envelope(r, func(e *policy.Envelope) { e.ActionID += "0" })
		},
		"another digest": func(w *world, r store.PolicyRequest) []byte {
			return w.envelope(r, func(e *policy.Envelope) { e.Digest = other })
		},
		"another incident": func(w *world, r store.PolicyRequest) []byte {
			return w.envelope(r, func(e *policy.Envelope) { e.IncidentID = "x" })
		},
		"another purpose": func(w *world, r store.PolicyRequest) []byte {
			return w.envelope(r, func(e *policy.Envelope) { e.Purpose = policy.Undo })
		},
		"another audience": func(w *world, r store.PolicyRequest) []byte {
			return w.envelope(r, func(e *policy.Envelope) { e.Audience = "x" })
		},
		"from the future": func(w *world, r store.PolicyRequest) []byte {
			return w.envelope(r, func(e *policy.Envelope) { e.Issued += 60e6; e.Expires += 60e6 })
		},
		"expired": func(w *world, r store.PolicyRequest) []byte {
			return w.envelope(r, func(e *policy.Envelope) { e.Issued -= 120e6; e.Expires -= 120e6 })
		},
		"altered": func(w *world, r store.PolicyRequest) []byte {
			raw := w.envelope(r, nil)
			raw[len(raw)/2] ^= 1
			return raw
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(w *world) {
				w.govern = func(w *world, r store.PolicyRequest) { w.approve(r, forge(w, r)) }
				w.begin()
				w.breakModel(true)
				w.pass(30 * time.Second)
				in, ok := w.incident()
				if !ok || len(in.Actions) == 0 {
					t.Fatal("nothing was even proposed")
				}
				w.untouched()
				for _, a := range in.Actions {
					if !a.ExecutedAt.IsZero() {
						t.Errorf("%s is said to have taken effect", a.ID)
					}
				}
			})
		})
	}
}

// untouched: no action took effect.
func (w *world) untouched() {
	w.t.Helper()
	if w.mode() != store.ModeModel || w.modeChanges() != 0 {
		w.t.Errorf("mode %s, %d changes", w.mode(), w.modeChanges())
	}
	n, err := w.store.CountActions(w.t.Context(), store.ActionFilter{ExecutedSince: time.Unix(1, 0)})
	if err != nil || n != 0 {
		w.t.Errorf("%d actions executed, %v", n, err)
	}
}

// TestAReplayedDecisionExecutesNothing: the nonce of the first action can't serve the second.
func TestAReplayedDecisionExecutesNothing(t *testing.T) {
	run(t, func(w *world) {
		nonce := ""
		w.govern = func(w *world, r store.PolicyRequest) {
			w.approve(r, w.envelope(r, func(e *policy.Envelope) {
				if nonce == "" {
					nonce = e.Nonce
				}
				e.Nonce = nonce
			}))
		}
		w.begin()
		w.breakModel(true)
		w.until(incident.Degraded, 20*time.Second)
		w.breakModel(false)
		w.pass(30 * time.Second)
		if w.mode() != store.ModeSafe || w.modeChanges() != 1 {
			t.Errorf("mode %s, %d changes", w.mode(), w.modeChanges())
		}
	})
}

// TestARowEditedToApprovedExecutesNothing: statuses are for readers, envelopes for the executor.
func TestARowEditedToApprovedExecutesNothing(t *testing.T) {
	run(t, func(w *world) {
		w.govern = func(w *world, r store.PolicyRequest) {
			w.edit("UPDATE policy_requests SET status = 'APPROVED'", "UPDATE healing_actions SET agl_decision = 'APPROVED'")
		}
		w.begin()
		w.breakModel(true)
		w.pass(time.Minute)
		w.untouched()
		if in, _ := w.incident(); in.Escalation != incident.EscNoDecision {
			t.Errorf("%s %s", in.State, in.Escalation)
		}
	})
}

// TestADenialLeavesTheSystemUntouched and says so.
func TestADenialLeavesTheSystemUntouched(t *testing.T) {
	run(t, func(w *world) {
		w.govern = func(w *world, r store.PolicyRequest) {
			_, err := w.store.DecideRequest(w.t.Context(), store.PolicyDecision{RequestID: r.ID, Verdict: store.AGLDenied, Rule: "no", Reason: "because", By: "governance", DecidedAt: time.Now().UTC()})
			if err != nil {
				w.t.Fatal(err)
			}
		}
		w.begin()
		w.breakModel(true)
		in := w.until(incident.Escalated, 30*time.Second)
		w.untouched()
		for _, a := range in.Actions {
			if a.Result != incident.Denied || a.AGL != incident.AGLDenied {
				t.Errorf("%s: %s, %s", a.ID, a.Result, a.AGL)
			}
		}
	})
}

// TestPause: the kill switch stops forward actions within a second, and resume lets them go on.
func TestPause(t *testing.T) {
	run(t, func(w *world) {
		w.begin()
		w.pass(time.Second)
		w.set(policy.SettingPaused, "true")
		w.pass(time.Second)
		w.breakModel(true)
		w.pass(20 * time.Second)
		w.untouched()
		if in, _ := w.incident(); in.Waits() != "healing is paused" { // as it is stored, for who asks
			w.t.Errorf("%s waits for %q", in.State, in.Waits())
		}
		w.set(policy.SettingPaused, "false")
		w.until(incident.Degraded, 10*time.Second)
	})
}

func (w *world) set(setting, value string) {
	w.t.Helper()
	_, err := w.store.Set(w.t.Context(), store.Change{Setting: setting, Value: value, By: "ann", Reason: "test", Person: true})
	if err != nil {
		w.t.Fatal(err)
	}
}

// TestAPersonTakesOver: who sets the mode by hand ends the incident that has changed it, also across a restart.
func TestAPersonTakesOver(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprint("restart ", restart), func(t *testing.T) {
			run(t, func(w *world) {
				w.begin()
				w.breakModel(true)
				w.until(incident.Degraded, 20*time.Second)
				if restart {
					w.end()
				}
				if _, err := w.store.SetMode(w.t.Context(), store.ModeSafe, "ann", "I look at it"); err != nil {
					t.Fatal(err)
				}
				if restart {
					w.begin()
				}
				w.until(incident.Superseded, 5*time.Second)
				w.breakModel(false)
				w.pass(30 * time.Second)
				if w.mode() != store.ModeSafe {
					t.Error("a person's hold was undone")
				}
			})
		})
	}
}

// edit changes rows behind the store's back.
func (w *world) edit(statements ...string) {
	w.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(w.dir, "aura.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		w.t.Fatal(err)
	}
	defer db.Close()
	for _, s := range statements {
		if _, err := db.ExecContext(w.t.Context(), s); err != nil {
			w.t.Fatal(err)
		}
	}
}

// TestWhatIsHeardAgainIsOver: a person is told that the store doesn't answer; when it does the incident ends, though the
// signal then names the bus.
func TestWhatIsHeardAgainIsOver(t *testing.T) {
	run(t, func(w *world) {
		w.scene = &scene{kind: detect.BusDown, target: detect.TargetStore, ill: func(*world) bool { return true }}
		w.begin()
		w.pass(3 * time.Second)
		w.breakModel(true)
		in := w.until(incident.Escalated, 20*time.Second)
		if in.Fingerprint != "BUS_DOWN:store" {
			t.Errorf("the incident is %s", in.Fingerprint)
		}
		w.breakModel(false)
		w.pass(20 * time.Second)
		if in, _ := w.incident(); !in.State.Final() || in.Target != detect.TargetStore {
			t.Errorf("%s of %s", in.State, in.Target)
		}
	})
}

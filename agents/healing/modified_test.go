package healing

import (
	"encoding/json"
	"testing"
	"time"

	"aura/healing/incident"
	"aura/healing/policy"
	"aura/store"
)

// modify decides as a person who approves with narrower parameters; said is what the decision's row claims, signed what
// the envelope binds.
func (w *world) modify(r store.PolicyRequest, said, signed map[string]string) {
	w.t.Helper()
	var p policy.Proposal
	if err := json.Unmarshal(r.Action, &p); err != nil {
		w.t.Fatal(err)
	}
	action, err := policy.Narrow(p, signed)
	if err != nil {
		w.t.Fatal(err)
	}
	claimed := action
	claimed.Params = said
	params, _ := json.Marshal(said)
	inputs, _ := json.Marshal(map[string]any{"modified": claimed})
	_, err = w.store.DecideRequest(w.t.Context(), store.PolicyDecision{
		RequestID: r.ID, Verdict: store.AGLModified, Rule: "person", By: "ann", Inputs: inputs,
		Action: &store.ModifiedAction{Digest: claimed.Digest(), Params: params}, DecidedAt: time.Now().UTC(), ExpiresAt: time.Now().Add(time.Minute).UTC(),
		Envelope: w.envelope(r, func(e *policy.Envelope) { e.Digest, e.Decision = action.Digest(), policy.Modified }),
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// only modifies the first forward action and approves the rest.
func only(said, signed map[string]string) func(w *world, r store.PolicyRequest) {
	return func(w *world, r store.PolicyRequest) {
		if r.ActionType == incident.EnableSafeMode {
			w.modify(r, said, signed)
			return
		}
		w.approve(r, w.envelope(r, nil))
	}
}

var slower = map[string]string{policy.ParamDwell: "10s"}

// TestAModifiedActionIsExecutedAsModified: what was signed is what stands in the rows, and what it is held to; also where
// the process dies between the decision and hearing of it.
func TestAModifiedActionIsExecutedAsModified(t *testing.T) {
	for _, dies := range []bool{false, true} {
		run(t, func(w *world) {
			w.govern = only(slower, slower)
			if dies {
				w.govern = func(*world, store.PolicyRequest) {}
			}
			w.begin()
			w.breakModel(true)
			if dies {
				w.until(incident.Proposed, 10*time.Second)
				w.end()
				w.govern = only(slower, slower)
				w.decide()
				w.begin()
			}
			in := w.until(incident.Degraded, time.Minute)
			a := in.Actions[0]
			want := policy.Action{Type: incident.EnableSafeMode, Params: slower, Inverse: &policy.Action{Type: incident.DisableSafeMode}}.Digest()
			if a.AGL != incident.AGLModified || a.Params[policy.ParamDwell] != "10s" || a.Digest != want || a.EndedAt.Sub(a.ExecutedAt) < 10*time.Second {
				t.Errorf("dies %v: %s %v, held for %v", dies, a.AGL, a.Params, a.EndedAt.Sub(a.ExecutedAt))
			}
			row, err := w.store.Action(w.t.Context(), a.ID)
			if err != nil || row.AGLDecision != store.AGLModified || row.Digest != want || string(row.Params) != `{"dwell":"10s"}` {
				t.Errorf("the row: %s %s %s, %v", row.AGLDecision, row.Digest, row.Params, err)
			}
			w.breakModel(false)
			w.until(incident.Resolved, time.Minute)
			if w.modeChanges() != 2 {
				t.Errorf("%d changes", w.modeChanges())
			}
			w.audited()
		})
	}
}

// TestAModifiedActionIsTakenBackSooner: verify_within is what the person said.
func TestAModifiedActionIsTakenBackSooner(t *testing.T) {
	run(t, func(w *world) {
		quick := map[string]string{policy.ParamVerifyWithin: "4s"}
		w.govern = only(quick, quick)
		w.begin()
		w.breakModel(true)
		w.until(incident.Verifying, 10*time.Second)
		began := time.Now()
		w.mu.Lock()
		w.silent = true // nothing shows that it helped
		w.mu.Unlock()
		for w.mode() != store.ModeModel {
			w.pass(250 * time.Millisecond)
			if took := time.Since(began); took > 7*time.Second {
				t.Fatalf("it still stands after %v", took)
			}
		}
	})
}

// TestAModificationThatWasNotSignedExecutesNothing: the row may claim what it likes.
func TestAModificationThatWasNotSignedExecutesNothing(t *testing.T) {
	for name, said := range map[string]map[string]string{
		"altered": {policy.ParamDwell: "1ms"}, "added": {policy.ParamDwell: "10s", "agent": "model"}, "dropped": {},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(w *world) {
				w.govern = func(w *world, r store.PolicyRequest) { w.modify(r, said, slower) }
				w.begin()
				w.breakModel(true)
				w.pass(20 * time.Second)
				in, ok := w.incident()
				if !ok || len(in.Actions) == 0 || in.Actions[0].Result != incident.Refused {
					t.Fatalf("%+v", in.Actions)
				}
				w.untouched()
			})
		})
	}
}

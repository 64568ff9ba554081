package healing

import (
	"testing"
	"time"

	"aura/healing/incident"
	"aura/healing/policy"
	"aura/store"
)

// TestACooldownIsWaitedFor: a denial that says until when it holds is no end of the rung.
func TestACooldownIsWaitedFor(t *testing.T) {
	run(t, func(w *world) {
		denied := 0
		w.govern = func(w *world, r store.PolicyRequest) {
			if denied++; denied > 1 {
				w.approve(r, w.envelope(r, nil))
				return
			}
			now := w.clock()
			_, err := w.store.DecideRequest(w.t.Context(), store.PolicyDecision{
				RequestID: r.ID, Verdict: store.AGLDenied, Rule: "limits", Reason: "over a limit: cooldown: 852ms left", By: "governance",
				DecidedAt: now, Inputs: encode(policy.Decision{AGL: policy.Denied, RetryAt: now.Add(852 * time.Millisecond)}),
			})
			if err != nil {
				w.t.Fatal(err)
			}
		}
		w.begin()
		w.breakModel(true)
		in := w.until(incident.Degraded, 30*time.Second)
		if len(in.Actions) != 2 || in.Actions[0].Result != incident.Denied || in.Actions[1].Type != in.Actions[0].Type {
			t.Errorf("%+v", in.Actions)
		}
		if wait := in.Actions[1].ProposedAt.Sub(in.Actions[0].EndedAt); wait < 800*time.Millisecond || wait > 3*time.Second {
			t.Errorf("asked again after %v", wait)
		}
	})
}

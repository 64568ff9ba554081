package healing

import (
	"crypto/ed25519"
	"testing"
	"time"

	"aura/healing/incident"
	"aura/healing/policy"
	"aura/store"
)

// TestARotatedKeyIsAskedAgain: what the old key signed executes nothing after a rotation; it is asked for again and then
// executed, once.
func TestARotatedKeyIsAskedAgain(t *testing.T) {
	run(t, func(w *world) {
		w.govern = func(*world, store.PolicyRequest) {}
		w.begin()
		w.breakModel(true)
		w.until(incident.Proposed, 10*time.Second)
		w.govern = nil
		w.decide() // signed with the old key, and not heard of yet
		_, w.key, _ = ed25519.GenerateKey(nil)
		public := w.key.Public().(ed25519.PublicKey)
		w.agent.UseKeys(map[string]ed25519.PublicKey{policy.KeyID(public): public})
		in := w.until(incident.Degraded, 20*time.Second)
		if in.Actions[0].Asks != 2 || w.modeChanges() != 1 {
			t.Errorf("asked %d times, %d changes", in.Actions[0].Asks, w.modeChanges())
		}
		w.audited()
	})
}

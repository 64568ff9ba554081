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

// TestAnUndoIsAskedAgain: what should be taken back is, although the key that allowed it was rotated meanwhile, or the
// approval came too late.
func TestAnUndoIsAskedAgain(t *testing.T) {
	_, old, _ := ed25519.GenerateKey(nil)
	for name, spoil := range map[string]func(w *world, r store.PolicyRequest) []byte{
		"rotated": func(w *world, r store.PolicyRequest) []byte {
			own := w.key
			defer func() { w.key = own }()
			w.key = old
			return w.envelope(r, nil)
		},
		"expired": func(w *world, r store.PolicyRequest) []byte {
			return w.envelope(r, func(e *policy.Envelope) { e.Issued -= 120e6; e.Expires -= 120e6 })
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(w *world) {
				undos := 0
				w.govern = func(w *world, r store.PolicyRequest) {
					if r.ActionType == incident.DisableSafeMode {
						if undos++; undos == 1 {
							w.approve(r, spoil(w, r))
							return
						}
					}
					w.approve(r, w.envelope(r, nil))
				}
				w.hard = true
				w.begin()
				in := w.until(incident.Escalated, time.Minute)
				if in.Escalation != incident.EscLadderEnd || in.Actions[0].Result != incident.Undone || undos != 2 || w.mode() != store.ModeModel || w.modeChanges() != 2 {
					t.Errorf("%s, %s, %d undos asked for, mode %s, %d changes", in.Escalation, in.Actions[0].Result, undos, w.mode(), w.modeChanges())
				}
				w.audited()
			})
		})
	}
}

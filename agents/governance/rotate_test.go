package governance

import (
	"crypto/ed25519"
	"testing"

	"aura/healing/policy"
	"aura/store"
)

// otherKey puts a key in force that the agent hasn't.
func (h *hall) otherKey() ed25519.PrivateKey {
	h.t.Helper()
	key, err := MakeKey(KeyFile(h.t.TempDir()))
	h.must(err)
	h.must(h.store.PutKey(h.t.Context(), KeyID(key), []byte("public"), "", store.Change{By: "ann"}))
	return key
}

// TestAnotherKeyIsInForce: what this process signs by rule isn't kept until it has the key in force; then it decides what waits.
func TestAnotherKeyIsInForce(t *testing.T) {
	sit(t, policy.Demo, func(h *hall) {
		key := h.otherKey()
		r := h.ask("INC-1/a1", policy.Proposal{Action: safe}, nil)
		h.beat()
		if now, err := h.store.Request(h.t.Context(), r.ID); err != nil || now.Status != store.RequestPending || len(h.told) != 0 {
			h.t.Fatalf("%+v, %v, announced %d: it decided with a key that is not in force", now, err, len(h.told))
		}
		if l, err := h.store.LeaseOf(h.t.Context(), store.LeaseGovernance); err != nil || l.Epoch != 1 || !l.Free {
			h.t.Errorf("it keeps those who have the key from deciding: %+v, %v", l, err)
		}
		h.agent.UseKey(key)
		h.beat()
		if err := h.allows(h.verdict(r), r.ActionID, policy.Forward, safe); err != nil { // allows believes in the agent's present key
			h.t.Error(err)
		}
	})
}

// TestAPersonsWordUnderAnotherKey is refused, and can be given again.
func TestAPersonsWordUnderAnotherKey(t *testing.T) {
	sit(t, policy.Supervised, func(h *hall) {
		r := h.ask("INC-1/a1", policy.Proposal{Action: safe}, nil)
		h.beat()
		key := h.otherKey()
		h.code(h.decide(policy.LocalPrincipal(), r, policy.Approved), store.CodeKey)
		h.agent.UseKey(key)
		h.must(h.decide(policy.LocalPrincipal(), r, policy.Approved))
		if err := h.allows(h.verdict(r), r.ActionID, policy.Forward, safe); err != nil {
			h.t.Error(err)
		}
	})
}

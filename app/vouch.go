package app

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"

	"aura/agents/governance"
	"aura/healing/policy"
	"aura/store"
)

// vouch reads what governance has signed in a data directory. It makes no key where there is none.
func vouch(dir string) store.Vouch {
	return store.Vouch{
		Open: func(raw []byte, publics map[string][]byte) (store.Seal, error) { return openSeal(dir, raw, publics) },
		Digest: func(kind string, params, inverse json.RawMessage) (string, error) {
			a := policy.Action{Type: kind}
			if err := json.Unmarshal(orNull(params), &a.Params); err != nil {
				return "", err
			}
			err := json.Unmarshal(orNull(inverse), &a.Inverse)
			return a.Digest(), err
		},
	}
}

func orNull(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return json.RawMessage("null")
	}
	return raw
}

// openSeal opens with the key of the directory, and those that the audit names.
func openSeal(dir string, raw []byte, publics map[string][]byte) (store.Seal, error) {
	keys := map[string]ed25519.PublicKey{}
	if _, err := os.Stat(filepath.Join(dir, "keys", "agl.ed25519")); err == nil {
		key, err := governance.LoadKey(dir)
		if err != nil {
			return store.Seal{}, err
		}
		keys = publicKeys(key)
	}
	for id, public := range publics {
		if len(public) == ed25519.PublicKeySize && policy.KeyID(public) == id {
			keys[id] = public
		}
	}
	e, err := policy.Open(raw, keys)
	unproven := errors.Is(err, policy.ErrKey)
	if unproven {
		err = nil
	}
	return store.Seal{
		RequestID: e.DecisionID, ActionID: e.ActionID, IncidentID: e.IncidentID, Digest: e.Digest, Verdict: e.Decision,
		Approver: e.Approver, Unproven: unproven,
	}, err
}

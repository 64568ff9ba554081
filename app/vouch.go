package app

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io/fs"

	"aura/agents/governance"
	"aura/healing/policy"
	"aura/store"
)

// vouch reads what governance has signed with the key of a file. It makes no key where there is none.
func vouch(keyFile string) store.Vouch {
	return store.Vouch{
		Open: func(raw []byte, publics map[string][]byte) (store.Seal, error) {
			return openSeal(keyFile, raw, publics)
		},
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

// openSeal opens with the key of the file, and those that the audit names.
func openSeal(keyFile string, raw []byte, publics map[string][]byte) (store.Seal, error) {
	keys := map[string]ed25519.PublicKey{}
	switch key, err := governance.ReadKey(keyFile); {
	case err == nil:
		keys = publicKeys(key)
	case !errors.Is(err, fs.ErrNotExist):
		return store.Seal{}, err
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

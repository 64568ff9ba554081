package governance

import (
	"os"
	"path/filepath"
	"testing"

	"aura/healing/policy"
)

// TestRotateKey: the new key is whole, ours alone, and the one that is loaded and signed with from then on.
func TestRotateKey(t *testing.T) {
	dir := t.TempDir()
	old, err := LoadKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	key, err := RotateKey(dir)
	if err != nil || key.Equal(old) {
		t.Fatalf("the same key, %v", err)
	}
	loaded, err := LoadKey(dir)
	if err != nil || !loaded.Equal(key) {
		t.Errorf("another key is loaded, %v", err)
	}
	entries, err := os.ReadDir(filepath.Join(dir, filepath.Dir(keyFile)))
	if err != nil || len(entries) != 1 {
		t.Fatalf("%v, %v", entries, err)
	}
	if info, err := entries[0].Info(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	sit(t, policy.Demo, func(h *hall) {
		h.agent.UseKey(key)
		r := h.ask("INC-1/a1", policy.Proposal{Action: safe}, nil)
		h.beat()
		if err := h.allows(h.verdict(r), r.ActionID, policy.Forward, safe); err != nil { // allows believes in the agent's present key
			t.Error(err)
		}
	})
}

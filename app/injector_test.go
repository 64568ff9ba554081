package app_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"aura/app/config"
)

// TestWhoInjectsIsNamed: a fault is recorded under the name of the principal who injected it, a bad model is in charge in
// theirs.
func TestWhoInjectsIsNamed(t *testing.T) {
	t.Parallel()
	sum := sha256.Sum256([]byte("tok-olga"))
	people := filepath.Join(t.TempDir(), "people.yaml")
	list := "- {name: olga, roles: [viewer, operator], token_sha256: " + hex.EncodeToString(sum[:]) + "}\n"
	if err := os.WriteFile(people, []byte(list), 0o600); err != nil {
		t.Fatal(err)
	}
	r := run(t, func(c *config.Config) { c.Governance.Principals = people })
	got, err := r.post("faults", `{"target":"model","kind":"bad-model","ttl":"5m"}`, "Authorization", "Bearer tok-olga")
	if err != nil || got.Status != 201 {
		t.Fatalf("%+v, %v", got, err)
	}
	for what, query := range map[string]string{
		"the audit":   `SELECT COUNT(*) FROM audit WHERE kind = 'fault.injected' AND actor = 'olga'`,
		"the version": `SELECT COUNT(*) FROM model_versions WHERE created_by = 'olga'`,
		"the history": `SELECT COUNT(*) FROM alias_history WHERE alias = 'champion' AND changed_by = 'olga'`,
	} {
		if r.count(query) != 1 {
			t.Errorf("%s doesn't name who injected the fault", what)
		}
	}
}

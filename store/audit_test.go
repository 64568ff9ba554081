package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// outsider opens the database as somebody's own tool would.
func outsider(t *testing.T, s *Store) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(s.Dir(), databaseFile)+"?_pragma=busy_timeout(5000)")
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	return db
}

func audited(t *testing.T, n int) *Store {
	t.Helper()
	s := openDir(t, Options{Dir: t.TempDir()})
	for i := range n {
		must(t, s.AppendAudit(t.Context(), AuditEntry{
			At: moment(i), Actor: "ann", Kind: "k", Subject: fmt.Sprint(i), Detail: json.RawMessage(`{"i":1}`),
		}))
	}
	return s
}

// TestAuditCannotBeEdited: with any tool, unless it drops the triggers first.
func TestAuditCannotBeEdited(t *testing.T) {
	s := audited(t, 3)
	db := outsider(t, s)
	for _, q := range []string{
		"UPDATE audit SET actor = 'bob' WHERE seq = 2",
		"DELETE FROM audit WHERE seq = 3",
		"DELETE FROM audit",
		"REPLACE INTO audit SELECT seq, at, 'bob', kind, subject, detail, prev, hash FROM audit WHERE seq = 3",
		"INSERT INTO audit SELECT 0, at, actor, kind, subject, detail, prev, hash FROM audit WHERE seq = 3",
		"INSERT INTO audit SELECT * FROM audit WHERE seq = 3 ON CONFLICT (seq) DO UPDATE SET actor = 'bob'",
	} {
		_, err := db.ExecContext(t.Context(), q)
		if err == nil || !strings.Contains(err.Error(), "audit is append-only") {
			t.Errorf("%s: got %v", q, err)
		}
	}
	r, err := s.VerifyAudit(t.Context())
	must(t, err)
	equal(t, "holds", [2]int64{r.Records, r.Broken}, [2]int64{3, 0})
}

// TestAuditNamesTheBrokenRecord edits each record in each of its columns, takes it away, and cuts the tail off.
func TestAuditNamesTheBrokenRecord(t *testing.T) {
	const n = 5
	s := audited(t, n)
	db := outsider(t, s)
	ctx := t.Context()
	exec := func(q string, args ...any) {
		t.Helper()
		_, err := db.ExecContext(ctx, q, args...)
		must(t, err)
	}
	for _, trigger := range []string{"audit_no_update", "audit_no_delete", "audit_no_replace"} {
		exec("DROP TRIGGER " + trigger)
	}
	exec("CREATE TABLE kept AS SELECT * FROM audit")
	broken := func(what string, want int64) {
		t.Helper()
		r, err := s.VerifyAudit(ctx)
		must(t, err)
		equal(t, what+": "+r.Problem, r.Broken, want)
		exec("DELETE FROM audit")
		exec("INSERT INTO audit SELECT * FROM kept")
	}
	for seq := int64(1); seq <= n; seq++ {
		for column, value := range map[string]any{
			"at": 1, "actor": "bob", "kind": "kk", "subject": "x", "detail": `{"i":2}`, "prev": "00", "hash": "00", "seq": 1000,
		} {
			exec("UPDATE audit SET "+column+" = ? WHERE seq = ?", value, seq)
			broken(fmt.Sprint(column, " of ", seq), seq)
		}
		// One byte moved between two columns leaves the bytes in a row the same.
		exec("UPDATE audit SET actor = 'an', kind = 'nk' WHERE seq = ?", seq)
		broken(fmt.Sprint("shifted ", seq), seq)
		exec("DELETE FROM audit WHERE seq = ?", seq)
		broken(fmt.Sprint("without ", seq), seq)
		exec("DELETE FROM audit WHERE seq >= ?", seq)
		broken(fmt.Sprint("cut at ", seq), seq)
	}
	// A record forged with a right hash follows nothing, or wasn't written by the store.
	forged := AuditEntry{Seq: n + 1, Actor: "bob", Kind: "k", Detail: json.RawMessage("{}"), At: moment(9)}
	must(t, db.QueryRowContext(ctx, "SELECT hash FROM audit WHERE seq = ?", n).Scan(&forged.Prev))
	exec("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?)", forged.Seq, micros(forged.At), forged.Actor, forged.Kind, "",
		"{}", forged.Prev, forged.digest())
	broken("added", n+1)
	r, err := s.VerifyAudit(ctx)
	must(t, err)
	equal(t, "as it was", [2]int64{r.Records, r.Broken}, [2]int64{n, 0})
}

// TestAuditShowsACutAfterReopening: the store goes on, and doesn't close the gap.
func TestAuditShowsACutAfterReopening(t *testing.T) {
	s := audited(t, 4)
	db := outsider(t, s)
	for _, q := range []string{"DROP TRIGGER audit_no_delete", "DELETE FROM audit WHERE seq > 2"} {
		_, err := db.ExecContext(t.Context(), q)
		must(t, err)
	}
	closeStore(t, s)
	s = openDir(t, Options{Dir: s.Dir()})
	must(t, s.AppendAudit(t.Context(), AuditEntry{Actor: "ann", Kind: "k"}))
	r, err := s.VerifyAudit(t.Context())
	must(t, err)
	equal(t, r.Problem, [2]int64{r.Records, r.Broken}, [2]int64{2, 3})
}

// TestAuditGoesOn over reopenings and many writers, in batches.
func TestAuditGoesOn(t *testing.T) {
	dir := t.TempDir()
	for range 3 {
		s, err := Open(context.Background(), Options{Dir: dir})
		must(t, err)
		es := make([]AuditEntry, auditBatch/2)
		for i := range es {
			es[i] = AuditEntry{Actor: "a", Kind: "k", Subject: fmt.Sprint(i)}
		}
		must(t, s.AppendAudit(t.Context(), es...))
		_, err = s.SetMode(t.Context(), ModeSafe, "ann", "x")
		must(t, err)
		closeStore(t, s)
	}
	s := openDir(t, Options{Dir: dir})
	r, err := s.VerifyAudit(t.Context())
	must(t, err)
	equal(t, r.Problem, [2]int64{r.Records, r.Broken}, [2]int64{3 * (auditBatch/2 + 1), 0})
}

// TestAuditOfADirectoryIsOnlyRead: whether a process has it open or not, and nothing of it changes.
func TestAuditOfADirectoryIsOnlyRead(t *testing.T) {
	s := audited(t, 3)
	verify := func() {
		t.Helper()
		r, err := VerifyOf(t.Context(), Options{Dir: s.Dir()}, Vouch{})
		must(t, err)
		equal(t, "holds", [2]int64{r.Records, r.Broken}, [2]int64{3, 0})
	}
	verify()
	must(t, s.Close(t.Context()))
	before := contents(t, s.Dir())
	verify()
	after := contents(t, s.Dir())
	for name, digest := range before {
		equal(t, name, after[name], digest)
	}
	if _, marked := after[uncleanFile]; marked {
		t.Error("the directory is marked as in use")
	}
	_, err := VerifyOf(t.Context(), Options{Dir: t.TempDir()}, Vouch{})
	if !errors.Is(err, ErrNotFound) {
		t.Errorf("an empty directory: %v", err)
	}
}

// contents are the digests of a directory's files.
func contents(t *testing.T, dir string) map[string][32]byte {
	t.Helper()
	out := map[string][32]byte{}
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		raw, err := os.ReadFile(filepath.Join(dir, e.Name()))
		must(t, err)
		out[e.Name()] = sha256.Sum256(raw)
	}
	return out
}

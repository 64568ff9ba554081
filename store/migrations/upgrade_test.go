package migrations

import (
	"database/sql"
	"path/filepath"
	"reflect"
	"testing"

	_ "modernc.org/sqlite" // the driver

	"aura/store/pgtest"
)

// TestActionsThatNobodyDecidedLoseTheirDenial: until version 5 what was never asked for was kept as DENIED.
func TestActionsThatNobodyDecidedLoseTheirDenial(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) {
		db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "x.db"))
		if err != nil {
			t.Fatal(err)
		}
		upgrade(t, db, SQLite)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		db, err := sql.Open("pgx", pgtest.Start(t, "fsync=off").Database(t))
		if err != nil {
			t.Fatal(err)
		}
		upgrade(t, db, Postgres)
	})
}

func upgrade(t *testing.T, db *sql.DB, d Dialect) {
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	p, err := provider(db, d)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	run := func(statement string) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	run(`INSERT INTO incidents VALUES ('i', 'PERF_DROP', 'OPEN', 'DETECTED', 'f', 'model', NULL, '2026-01-02', NULL, FALSE, NULL, '2026-01-02', 1, '{}')`)
	for _, a := range [][3]string{
		{"passed", "DENIED", "REFUSED"},
		{"withdrawn", "DENIED", "WITHDRAWN"},
		{"unheard", "DENIED", "WITHDRAWN"},
		{"denied", "DENIED", "DENIED"},
		{"verified", "APPROVED", "VERIFIED"},
	} {
		run(`INSERT INTO healing_actions VALUES ('` + a[0] + `', 'i', 'RESTART_AGENT', 'model', 0, FALSE, '{}', 'null', '', '` + a[1] +
			`', '2026-01-02', NULL, NULL, NULL, '` + a[2] + `', '{}')`)
	}
	run(`INSERT INTO policy_requests VALUES ('r', 'i', 'unheard', 'RESTART_AGENT', 'model', 'healing', 'd', '{}', 'APPROVED', 1, 2)`)
	for id, verdict := range map[string]string{"1": "ESCALATED", "2": "APPROVED"} {
		run(`INSERT INTO policy_decisions VALUES (` + id + `, 'r', 'i', 'unheard', '` + verdict + `', '', '', 'ann', '{}', '', 1, 2)`)
	}
	compare := func(when string, want map[string]string) {
		t.Helper()
		if got := decisions(t, db); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", when, got, want)
		}
	}
	if _, err := p.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	compare("up", map[string]string{"passed": "NULL", "withdrawn": "NULL", "unheard": "APPROVED", "denied": "DENIED", "verified": "APPROVED"})
	if _, err := db.ExecContext(t.Context(), "UPDATE healing_actions SET agl_decision = 'PERHAPS'"); err == nil {
		t.Error("PERHAPS is taken for a decision")
	}
	if _, err := p.DownTo(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	compare("down", map[string]string{"passed": "DENIED", "withdrawn": "DENIED", "unheard": "APPROVED", "denied": "DENIED", "verified": "APPROVED"})
	if _, err := db.ExecContext(t.Context(), "UPDATE healing_actions SET agl_decision = NULL"); err == nil {
		t.Error("version 4 takes NULL")
	}
}

func decisions(t *testing.T, db *sql.DB) map[string]string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SELECT action_id, COALESCE(agl_decision, 'NULL') FROM healing_actions")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	out := map[string]string{}
	for rows.Next() {
		var id, decision string
		if err := rows.Scan(&id, &decision); err != nil {
			t.Fatal(err)
		}
		out[id] = decision
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

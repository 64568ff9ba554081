package migrations

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/pressly/goose/v3/lock"

	"aura/store/pgtest"
)

// TestOneProcessMigratesAtATime: while another one has the lock nothing is changed. That several that start at once get through
// is tested in store.
func TestOneProcessMigratesAtATime(t *testing.T) {
	db, err := sql.Open("pgx", pgtest.Start(t, "fsync=off").Database(t))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	other, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.ExecContext(t.Context(), "SELECT pg_advisory_lock($1)", lock.DefaultLockID); err != nil {
		t.Fatal(err)
	}
	waits, cancel := context.WithTimeout(t.Context(), time.Second) // enough for all versions, where nothing is in the way
	defer cancel()
	if _, err := Up(waits, db, Postgres); err == nil {
		t.Error("it went on beside another one")
	}
	if n, err := Version(t.Context(), db); err != nil || n != 0 {
		t.Errorf("version %d, %v; want nothing done", n, err)
	}
	if _, err := other.ExecContext(t.Context(), "SELECT pg_advisory_unlock($1)", lock.DefaultLockID); err != nil {
		t.Fatal(err)
	}
	if n, err := Up(t.Context(), db, Postgres); err != nil || n == 0 {
		t.Errorf("version %d, %v, after the other one had ended", n, err)
	}
}

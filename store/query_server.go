package store

import (
	"context"
	"database/sql"
	"errors"
	"regexp"
)

// selectOnServer runs the one statement in a transaction that can't write. The protocol takes one statement at a time, and
// PostgreSQL lets nobody leave a read-only transaction; what functions may do beside that, checkNames and the grants of
// the role bound.
func (s *Store) selectOnServer(ctx context.Context, db *sql.DB, text string, limit int) (_ QueryResult, err error) {
	tx, err := db.BeginTx(ctx, s.dialect.snapshot())
	if err != nil {
		return QueryResult{}, err
	}
	defer func() { // nothing to commit; at its end the connection is closed for good
		if rerr := tx.Rollback(); rerr != nil && !errors.Is(rerr, sql.ErrTxDone) && err == nil {
			err = rerr
		}
	}()
	rows, err := tx.QueryContext(ctx, text)
	if err != nil {
		return QueryResult{}, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	return collect(rows, limit)
}

// serverNames are functions with effects beyond their transaction, or that run a text as a query: locks, signals, files,
// large objects, settings, sequences, other servers. The catalog (pg_…) goes with them; information_schema stays.
var serverNames = regexp.MustCompile(`(?i)(\bpg_\w*|\blo_\w+|\blo(import|export)\b|\bdblink\w*|\b(set_config|setval|nextval)\b|` +
	`\w+_to_xml\w*|\bts_stat\b|\bU&["'])`)

// checkNames refuses such a name wherever it stands, quoted or not: it might be built into a call.
func checkNames(text string) error {
	if name := serverNames.FindString(text); name != "" {
		return refuse(CodeQuery, "a query may not use %s", name)
	}
	return nil
}

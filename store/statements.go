package store

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
)

// The writer's frequent statements go past gorm, prepared once a connection (measured: a third less CPU an event).
const (
	sqlCommit   = "COMMIT"
	sqlRollback = "ROLLBACK"

	applicationColumns = "id, client_id, features, body_digest, source, trace_id, accepted_at"
	decisionColumns    = "id, application_id, decision, probability_of_default, reasons, model_version, model_digest, " +
		"champion_generation, mode, mode_generation, rule, decided_at, latency_us, trace_id, incarnation"
)

var (
	applications = newTable("applications", applicationColumns, []string{"text", "text null", "text", "bytea", "text", "text", "bigint"})
	decisions    = newTable("decisions", decisionColumns, []string{
		"text", "text", "text", "double precision null", "text", "bigint", "text", "bigint", "text", "bigint", "text", "bigint", "bigint",
		"text", "bigint",
	})
)

// newTable makes the statements of both databases from the columns and their types.
func newTable(name, columns string, types []string) *table {
	t := &table{name: name, columns: columns, inserts: inserts(name, columns)}
	plain := make([]string, len(types))
	for i, typ := range types {
		base, _, null := strings.Cut(typ, " null")
		plain[i] = base
		switch {
		case null && base == "text":
			t.arrays = append(t.arrays, nullable[string])
		case null:
			t.arrays = append(t.arrays, nullable[float64])
		case base == "text":
			t.arrays = append(t.arrays, arrayOf[string])
		case base == "bytea":
			t.arrays = append(t.arrays, arrayOf[[]byte])
		default:
			t.arrays = append(t.arrays, integers)
		}
	}
	t.unnest = unnest(name, columns, plain)
	return t
}

// connect takes the connection of the pool, if it isn't held.
func (w *writer) connect() error {
	if w.conn != nil {
		return nil
	}
	conn, err := w.db.Conn(w.ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	w.conn, w.stmts = conn, make(map[string]*sql.Stmt)
	return nil
}

// disconnect closes the connection for good, so that the pool opens a fresh one.
func (w *writer) disconnect() {
	if w.conn == nil {
		return
	}
	for _, s := range w.stmts {
		_ = s.Close()
	}
	_ = w.conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = w.conn.Close()
	w.conn, w.stmts = nil, nil
}

// stmt prepares a text once a connection. Only texts of this package's constants come here, so the map is bounded.
func (w *writer) stmt(text string) (*sql.Stmt, error) {
	if s, ok := w.stmts[text]; ok {
		return s, nil
	}
	s, err := w.conn.PrepareContext(w.ctx, w.dialect.bind(text))
	if err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	w.stmts[text] = s
	return s, nil
}

// exec, row and insert know no caller's context on purpose: a transaction is cut by its own limit only.
func (w *writer) exec(text string, args ...any) error {
	s, err := w.stmt(text)
	if err != nil {
		return err
	}
	_, err = s.ExecContext(w.ctx, args...)
	return err
}

// row scans the only row into dst; false if there is none.
func (w *writer) row(text string, args []any, dst ...any) (bool, error) {
	s, err := w.stmt(text)
	if err != nil {
		return false, err
	}
	err = s.QueryRowContext(w.ctx, args...).Scan(dst...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// insert inserts n rows, whose values stand in args one row after the other. all says that every row went in; otherwise
// in holds the ids that did.
func (w *writer) insert(into *table, n int, args []any) (all bool, in map[string]bool, err error) {
	text, args := w.dialect.rows(into, n, args)
	s, err := w.stmt(text)
	if err != nil {
		return false, nil, err
	}
	rows, err := s.QueryContext(w.ctx, args...)
	if err != nil {
		return false, nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	ids := make([]string, 0, n)
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return false, nil, err
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		return false, nil, err
	}
	if len(ids) == n {
		return true, nil, nil
	}
	in = make(map[string]bool, len(ids))
	for _, id := range ids {
		in[id] = true
	}
	return false, in, nil
}

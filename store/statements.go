package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
)

// The writer's frequent statements go past gorm, prepared once a connection (measured: a third less CPU an event).
const (
	sqlBegin    = "BEGIN IMMEDIATE"
	sqlCommit   = "COMMIT"
	sqlRollback = "ROLLBACK"

	applicationColumns = "id, client_id, features, body_digest, source, trace_id, accepted_at"
	decisionColumns    = "id, application_id, decision, probability_of_default, reasons, model_version, model_digest, " +
		"champion_generation, mode, mode_generation, rule, decided_at, latency_us, trace_id, incarnation"
)

// sizes are the rows of a prepared insert, largest first.
var sizes = [...]int{64, 16, 4, 1}

// chunk returns the largest prepared size that n rows fill.
func chunk(n int) int {
	for _, s := range sizes {
		if n >= s {
			return s
		}
	}
	return 0
}

var (
	insertApplications = inserts("applications", applicationColumns)
	insertDecisions    = inserts("decisions", decisionColumns)
)

// inserts makes the statement of each size. What conflicts is left out, and only what went in is returned.
func inserts(table, columns string) map[int]string {
	row := "(?" + strings.Repeat(",?", strings.Count(columns, ",")) + ")"
	m := make(map[int]string, len(sizes))
	for _, n := range sizes {
		m[n] = "INSERT INTO " + table + " (" + columns + ") VALUES " + row + strings.Repeat(","+row, n-1) +
			" ON CONFLICT DO NOTHING RETURNING id"
	}
	return m
}

// connect takes the connection of the pool, if it isn't held.
func (w *writer) connect(ctx context.Context) error {
	if w.conn != nil {
		return nil
	}
	conn, err := w.db.Conn(ctx)
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
	s, err := w.conn.PrepareContext(context.Background(), text)
	if err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	w.stmts[text] = s
	return s, nil
}

// exec, query and row run without a context on purpose: a transaction is never cut in the middle.
func (w *writer) exec(text string, args ...any) error {
	s, err := w.stmt(text)
	if err != nil {
		return err
	}
	_, err = s.ExecContext(context.Background(), args...)
	return err
}

// row scans the only row into dst; false if there is none.
func (w *writer) row(text string, args []any, dst ...any) (bool, error) {
	s, err := w.stmt(text)
	if err != nil {
		return false, err
	}
	err = s.QueryRowContext(context.Background(), args...).Scan(dst...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// insert runs a prepared insert of n rows. all says that every row went in; otherwise in holds the ids that did.
func (w *writer) insert(text string, n int, args []any) (all bool, in map[string]bool, err error) {
	s, err := w.stmt(text)
	if err != nil {
		return false, nil, err
	}
	rows, err := s.QueryContext(context.Background(), args...)
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

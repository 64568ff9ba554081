package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"aura/store/migrations"
)

// sqliteDialect is a file of this process alone.
type sqliteDialect struct{}

func (sqliteDialect) name() migrations.Dialect { return migrations.SQLite }

func (sqliteDialect) bind(text string) string { return text }

func (sqliteDialect) gorm(pool gorm.ConnPool) gorm.Dialector {
	return sqliteDialector{&sqlite.Dialector{Conn: preparing(pool), DriverName: "sqlite"}}
}

func (sqliteDialect) begin(w *writer, _ bool) error { return w.exec("BEGIN IMMEDIATE") }

// transaction has no end of its own: the busy timeout bounds it, and it is never cut in the middle.
func (sqliteDialect) transaction() (context.Context, context.CancelFunc) {
	return context.Background(), func() {}
}

// sizes are the rows of a prepared insert, largest first.
var sizes = [...]int{64, 16, 4, 1}

// chunk returns the largest prepared size that n rows fill.
func (sqliteDialect) chunk(n int) int {
	for _, s := range sizes {
		if n >= s {
			return s
		}
	}
	return 0
}

func (sqliteDialect) rows(t *table, n int, args []any) (string, []any) { return t.inserts[n], args }

// inserts makes the statement of each size. What conflicts is left out, and only what went in is returned.
func inserts(name, columns string) map[int]string {
	row := "(?" + strings.Repeat(",?", strings.Count(columns, ",")) + ")"
	m := make(map[int]string, len(sizes))
	for _, n := range sizes {
		m[n] = "INSERT INTO " + name + " (" + columns + ") VALUES " + row + strings.Repeat(","+row, n-1) +
			" ON CONFLICT DO NOTHING RETURNING id"
	}
	return m
}

// snapshot is any transaction.
func (sqliteDialect) snapshot() *sql.TxOptions { return nil }

func (sqliteDialect) alone() bool { return true }

// check takes any text.
func (sqliteDialect) check(...string) error { return nil }

// sqliteDialector is gorm's own for SQLite over the pure-Go driver. Its Translate can't see that driver's private error code.
type sqliteDialector struct{ *sqlite.Dialector }

// Translate maps the driver's constraint errors to gorm's.
func (d sqliteDialector) Translate(err error) error {
	var e *driver.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() {
	case sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_UNIQUE:
		return gorm.ErrDuplicatedKey
	case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
		return gorm.ErrForeignKeyViolated
	}
	return err
}

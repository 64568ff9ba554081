// Package migrations holds the versioned schema of the store, one folder a dialect with the same versions in both. It
// owns the SQL files and applies them with goose, each in a transaction of its own. Applied files never change; a new
// version is a new file in both folders. It imports nothing of ours; Up blocks until the database is at the last version.
// Processes that call it on one PostgreSQL database take turns; a file is its one process'. Test it with an empty database.
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed sqlite/*.sql postgres/*.sql
var files embed.FS

// Dialect names a folder.
type Dialect string

// The dialects.
const (
	SQLite   Dialect = "sqlite"
	Postgres Dialect = "postgres"
)

// Files returns the folder of a dialect.
func Files(d Dialect) (fs.FS, error) {
	if d != SQLite && d != Postgres {
		return nil, fmt.Errorf("migrations: no dialect %q", d)
	}
	return fs.Sub(files, string(d))
}

// provider applies the files of a dialect.
func provider(db *sql.DB, d Dialect) (*goose.Provider, error) {
	sub, err := Files(d)
	if err != nil {
		return nil, err
	}
	dialect := goose.DialectSQLite3
	if d == Postgres {
		dialect = goose.DialectPostgres
	}
	options := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true)}
	if d == Postgres { // processes that start together take turns
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 60))
		if err != nil {
			return nil, fmt.Errorf("migrations: %w", err)
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	p, err := goose.NewProvider(dialect, db, sub, options...)
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	return p, nil
}

// Up brings db to the last version and returns that version. A database of a newer program is an error.
func Up(ctx context.Context, db *sql.DB, d Dialect) (int64, error) {
	p, err := provider(db, d)
	if err != nil {
		return 0, err
	}
	current, target, err := p.GetVersions(ctx)
	if err != nil {
		return 0, fmt.Errorf("migrations: read the version: %w", err)
	}
	if current > target {
		return current, fmt.Errorf("migrations: the database is at version %d, this program knows %d", current, target)
	}
	if _, err := p.Up(ctx); err != nil {
		return current, fmt.Errorf("migrations: %w", err)
	}
	return target, nil
}

// Newest is the version that Up brings a database of a dialect to.
func Newest(d Dialect) (newest int64, err error) {
	sub, err := Files(d)
	if err != nil {
		return 0, err
	}
	entries, err := fs.ReadDir(sub, ".")
	if err != nil {
		return 0, fmt.Errorf("migrations: %w", err)
	}
	for _, e := range entries {
		n, err := goose.NumericComponent(e.Name())
		if err != nil {
			return 0, fmt.Errorf("migrations: %w", err)
		}
		newest = max(newest, n)
	}
	return newest, nil
}

// Version is the one that a database is at, 0 before the first. It only reads.
func Version(ctx context.Context, db *sql.DB) (int64, error) {
	var n sql.NullInt64
	err := db.QueryRowContext(ctx, "SELECT MAX(version_id) FROM "+goose.DefaultTablename).Scan(&n)
	if missingTable(err) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("migrations: read the version: %w", err)
	}
	return n.Int64, nil
}

// missingTable reports an error of either database that says so.
func missingTable(err error) bool {
	var server *pgconn.PgError
	if errors.As(err, &server) {
		return server.Code == "42P01"
	}
	return err != nil && strings.Contains(err.Error(), "no such table")
}

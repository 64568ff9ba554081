package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"aura/store/migrations"
)

// Condition is what a look from outside says of a database, for who wants to know before a start.
type Condition struct {
	Version string // of the server, or of SQLite
	// Schema is the version of the tables, 0 for none yet; Newest is what this program brings them to.
	Schema, Newest int64
	// Unsound says what is wrong with the file, empty for nothing; a server's files are its own business.
	Unsound string
	// Careless names settings by which the server may lose what was answered.
	Careless []string
	// Free and Connections are the server's connections that are left for others than its superusers, of how many.
	Free, Connections int
	// Skew is how far the server's clock is ahead of ours, as far as one question can tell.
	Skew time.Duration
}

// Look reads a database that this process has not opened; another one may have. It changes nothing. ErrNotFound: there is no
// file yet. *Unavailable: the server isn't there. *Refused: the URL is none.
func Look(ctx context.Context, o Options) (_ Condition, err error) {
	s := &Store{opts: o.withDefaults(), dialect: o.dialect()}
	db, err := s.readPool(1)
	if err != nil {
		return Condition{}, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	look, d := lookAtFile, migrations.SQLite
	if o.URL != "" {
		look, d = lookAtServer, migrations.Postgres
	}
	c, err := look(ctx, db)
	if err != nil {
		return c, readErr("look", err)
	}
	if c.Newest, err = migrations.Newest(d); err != nil {
		return c, fmt.Errorf("store: %w", err)
	}
	c.Schema, err = migrations.Version(ctx, db)
	return c, readErr("look", err)
}

func lookAtFile(ctx context.Context, db *sql.DB) (c Condition, err error) {
	if err := db.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&c.Version); err != nil {
		return c, err
	}
	var found string
	if err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&found); err != nil {
		return c, err
	}
	if found != "ok" {
		c.Unsound = found
	}
	return c, nil
}

func lookAtServer(ctx context.Context, db *sql.DB) (c Condition, err error) {
	var fsync, full, number string
	var most, reserved, used int
	var now time.Time
	asked := time.Now()
	err = db.QueryRowContext(ctx, `SELECT current_setting('server_version'), current_setting('server_version_num'), current_setting('fsync'),
		current_setting('full_page_writes'), current_setting('max_connections')::int, current_setting('superuser_reserved_connections')::int,
		(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'), clock_timestamp()`).
		Scan(&c.Version, &number, &fsync, &full, &most, &reserved, &used, &now)
	if err != nil {
		return c, err
	}
	c.Skew = now.Sub(asked.Add(time.Since(asked) / 2)) // asked in the middle between question and answer
	if n, err := strconv.Atoi(number); err != nil || n/10000 < leastServer {
		return c, refuse(CodeServerTooOld, "PostgreSQL has version %s; at least %d is needed", c.Version, leastServer)
	}
	for name, value := range map[string]string{"fsync": fsync, "full_page_writes": full} {
		if value != "on" {
			c.Careless = append(c.Careless, name+" = "+value)
		}
	}
	c.Connections = most - reserved
	c.Free = c.Connections - used
	return c, nil
}

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"aura/store/migrations"
)

// leastServer is the first version of PostgreSQL that the tests run on.
const leastServer = 15

// serverLimits are settings of our sessions that the URL doesn't have. A transaction holds a lock that others wait for,
// so it ends soon if this process stops in the middle of it: all decisions of the deployment wait meanwhile.
var serverLimits = map[string]string{
	"application_name":                    "aura",
	"statement_timeout":                   "10s",
	"lock_timeout":                        "8s",
	"idle_in_transaction_session_timeout": "2s",
}

const (
	connectTime = 5 * time.Second
	// connectionLife lets a pool find its way back to a server that others moved.
	connectionLife = 5 * time.Minute
)

// serverConfig reads the URL. The driver's own error would quote parts of it, and so of the password.
func serverConfig(text string) (*pgx.ConnConfig, error) {
	c, err := pgx.ParseConfig(text)
	if err != nil {
		return nil, refuse(CodeInvalid, "the database's address can't be read; it looks like postgres://user:password@host:5432/database "+
			"(%%-escape what is special in the password), and files that it names must be there")
	}
	for name, value := range serverLimits {
		if _, ok := c.RuntimeParams[name]; !ok {
			c.RuntimeParams[name] = value
		}
	}
	// What was answered is on disk, whatever the server's default says.
	c.RuntimeParams["synchronous_commit"] = "on"
	c.RuntimeParams["timezone"] = "UTC"
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = connectTime
	}
	// A server that is gone without a word is noticed by who only waits for an answer.
	dialer := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3}}
	c.DialFunc = dialer.DialContext
	return c, nil
}

func (s *Store) serverPool(size int, settings map[string]string) (*sql.DB, error) {
	c, err := serverConfig(s.opts.URL)
	if err != nil {
		return nil, err
	}
	maps.Copy(c.RuntimeParams, settings)
	db := stdlib.OpenDB(*c)
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	db.SetConnMaxLifetime(connectionLife)
	return db, nil
}

// openServer opens the database of the URL: the writer's connection, and a pool of readers.
func (s *Store) openServer(ctx context.Context) (err error) {
	if s.writes, err = s.serverPool(1, nil); err != nil {
		return err
	}
	s.writes.SetConnMaxLifetime(0) // the writer keeps its own
	if err := s.checkServer(ctx); err != nil {
		return err
	}
	if _, err := migrations.Up(ctx, s.writes, migrations.Postgres); err != nil {
		return fmt.Errorf("store: %w", unavailable(err))
	}
	s.reads, err = s.readPool(s.opts.Readers)
	return err
}

// checkServer refuses a server that is too old, and says aloud what breaks the promise that what was answered is kept.
func (s *Store) checkServer(ctx context.Context) error {
	var version, fsync, full string
	err := s.writes.QueryRowContext(ctx, "SELECT current_setting('server_version_num'), current_setting('fsync'), "+
		"current_setting('full_page_writes')").Scan(&version, &fsync, &full)
	if err != nil {
		return fmt.Errorf("store: connect to the database: %w", unavailable(err))
	}
	if n, err := strconv.Atoi(version); err != nil || n/10000 < leastServer {
		return refuse(CodeServerTooOld, "PostgreSQL has version %s (server_version_num); at least %d is needed", version, leastServer)
	}
	if fsync != "on" || full != "on" {
		s.log.Warn("store: the server may lose what was answered when its machine stops", "fsync", fsync, "full_page_writes", full)
	}
	return nil
}

// Scratch makes an empty place in the database of an address, and returns the address of that place and what removes it
// with all that is in it. The role must be allowed to create a schema.
func Scratch(ctx context.Context, address string) (place string, remove func(context.Context) error, err error) {
	c, err := serverConfig(address)
	if err != nil {
		return "", nil, err
	}
	u, err := url.Parse(address)
	if err != nil {
		return "", nil, refuse(CodeInvalid, "a scratch database needs an address of the form postgres://...")
	}
	name := "aura_scratch_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	run := func(ctx context.Context, text string) (err error) {
		conn, err := pgx.ConnectConfig(ctx, c)
		if err != nil {
			return fmt.Errorf("store: scratch: %w", unavailable(err))
		}
		defer func() { err = errors.Join(err, conn.Close(ctx)) }()
		_, err = conn.Exec(ctx, text)
		return err
	}
	if err := run(ctx, "CREATE SCHEMA "+name); err != nil {
		return "", nil, err
	}
	q := u.Query()
	q.Set("search_path", name)
	u.RawQuery = q.Encode()
	return u.String(), func(ctx context.Context) error { return run(ctx, "DROP SCHEMA IF EXISTS "+name+" CASCADE") }, nil
}

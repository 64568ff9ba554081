package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"aura/store/migrations"
)

// leastSQLite is the first version without the WAL-reset bug, which can corrupt a database with two connections.
const leastSQLite = "3.51.3"

// openFile opens the database file of the directory.
func (s *Store) openFile(ctx context.Context) (err error) {
	if err := s.loneLog(); err != nil {
		return err
	}
	if err := s.ownFile(); err != nil {
		return err
	}
	if s.writes, err = s.openPool("rwc", 1); err != nil {
		return err
	}
	if err := s.prepare(ctx); err != nil {
		return err
	}
	if s.reads, err = s.readPool(s.opts.Readers); err != nil {
		return err
	}
	if s.ck, err = startCheckpointer(s); err != nil || s.opts.VFS != "" {
		return err
	}
	s.place, err = placeOf(s.path(databaseFile))
	return err
}

// ownFile makes the database nobody else's to read; SQLite gives its log the same mode.
func (s *Store) ownFile() error {
	if s.opts.VFS != "" {
		return nil // another layer of files
	}
	f, err := os.OpenFile(s.path(databaseFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("store: open the database: %w", err)
	}
	if err := errors.Join(f.Chmod(0o600), f.Close()); err != nil {
		return fmt.Errorf("store: open the database: %w", err)
	}
	return nil
}

// dsn is Appendix A of the reliability notes; wal_autocheckpoint=0 because the writer has its own policy.
func (s *Store) dsn(mode string) string {
	q := url.Values{}
	q.Set("mode", mode)
	if s.opts.VFS != "" {
		q.Set("vfs", s.opts.VFS)
	}
	pragmas := []string{fmt.Sprintf("busy_timeout(%d)", s.opts.BusyTimeout.Milliseconds())}
	if mode == "ro" {
		pragmas = append(pragmas, "query_only(1)")
	} else {
		q.Set("_txlock", "immediate")
		pragmas = append(pragmas, "journal_mode(WAL)", "synchronous("+s.opts.synchronous+")", "foreign_keys(1)", "wal_autocheckpoint(0)")
		if s.opts.MaxPages > 0 {
			pragmas = append(pragmas, fmt.Sprintf("max_page_count(%d)", s.opts.MaxPages))
		}
	}
	q["_pragma"] = append(pragmas, "mmap_size(0)")
	path, err := filepath.Abs(s.path(databaseFile))
	if err != nil {
		path = s.path(databaseFile)
	}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

func (s *Store) openPool(mode string, size int) (*sql.DB, error) {
	db, err := sql.Open("sqlite", s.dsn(mode))
	if err != nil {
		return nil, fmt.Errorf("store: open: %w", err)
	}
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	return db, nil
}

// prepare checks library and file and brings the schema up to date.
func (s *Store) prepare(ctx context.Context) error {
	var version, check string
	if err := s.writes.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&version); err != nil {
		if failureCode(err) == CodeCorrupt {
			return refuse(CodeCorrupt, "%s is no database: %v", s.path(databaseFile), err)
		}
		return fmt.Errorf("store: open %s: %w", s.path(databaseFile), err)
	}
	if olderThan(version, leastSQLite) {
		return refuse(CodeTooOld, "SQLite %s can corrupt a database in WAL mode; at least %s is needed", version, leastSQLite)
	}
	if s.unclean {
		begin := time.Now()
		err := s.writes.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&check)
		if err == nil && check != "ok" {
			return refuse(CodeCorrupt, "%s is corrupt: %s", s.path(databaseFile), check)
		}
		if err != nil {
			return fmt.Errorf("store: quick_check: %w", err)
		}
		s.log.Warn("store: the last stop was unclean, the database is sound", "checked_in", time.Since(begin))
	}
	if _, err := migrations.Up(ctx, s.writes, migrations.SQLite); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

// olderThan compares dotted versions by number.
func olderThan(version, least string) bool {
	v, l := strings.Split(version, "."), strings.Split(least, ".")
	for i := range l {
		var have int
		if i < len(v) {
			have, _ = strconv.Atoi(v[i])
		}
		want, _ := strconv.Atoi(l[i])
		if have != want {
			return have < want
		}
	}
	return false
}

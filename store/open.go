package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/uuid"
	"gorm.io/gorm"

	"aura/store/migrations"
)

// The files of a data directory that are the store's.
const (
	databaseFile = "aura.db"
	lockFile     = "aura.lock"
	uncleanFile  = "aura.unclean"
)

// leastSQLite is the first version without the WAL-reset bug, which can corrupt a database with two connections.
const leastSQLite = "3.51.3"

// Options say where and how.
type Options struct {
	// Dir holds the database (aura.db) and its lock; it is made where missing.
	Dir string
	// BusyTimeout is how long a write waits for a lock that somebody else's tool holds; default 5 s.
	BusyTimeout time.Duration
	// Readers is the size of the read-only pool; default 4.
	Readers int
	// MaxPages bounds the database in pages of 4 KiB, 0 for no bound; past it writes are Unavailable (disk_full).
	MaxPages int
	// VFS names a registered SQLite file layer, "" the system's. Tests put a faulty one in here.
	VFS    string
	Logger *slog.Logger

	// synchronous is FULL; a test plants OFF to see that it is caught. checkpointPages is the length of the log at which it
	// is folded into the database; a test makes that happen often.
	synchronous     string
	checkpointPages int64
}

// Store is the open database. Its methods may be called by any goroutine.
type Store struct {
	opts    Options
	log     *slog.Logger
	lock    *flock.Flock
	unclean bool

	// gorm is a statement builder; each use sets the connection: the read pool or the writer's transaction.
	gorm   *gorm.DB
	reads  *sql.DB
	writes *sql.DB
	w      *writer
	ck     *checkpointer
	purge  purgeCursors
	// raising lets one RaiseFloor look at a time.
	raising sync.Mutex

	// process is new with each Open; leases belong to one.
	process string
	query   sync.Mutex
}

// Open locks the directory, checks the file after an unclean stop, migrates it and starts the writer. *Refused: another
// process has the directory, the SQLite library is too old, or the file is corrupt.
func Open(ctx context.Context, o Options) (_ *Store, err error) {
	o = o.withDefaults()
	s := &Store{opts: o, log: o.Logger, process: uuid.NewString()}
	defer func() {
		if err != nil {
			s.abandon()
		}
	}()
	if err := s.lockDir(); err != nil {
		return nil, err
	}
	if err := s.ownFile(); err != nil {
		return nil, err
	}
	if s.writes, err = s.openPool("rwc", 1); err != nil {
		return nil, err
	}
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	if s.reads, err = s.openPool("ro", o.Readers); err != nil {
		return nil, err
	}
	if s.gorm, err = openGORM(s.reads); err != nil {
		return nil, err
	}
	if s.ck, err = startCheckpointer(s); err != nil {
		return nil, err
	}
	if s.w, err = startWriter(ctx, s); err != nil {
		return nil, err
	}
	return s, nil
}

func (o Options) withDefaults() Options {
	if o.BusyTimeout <= 0 {
		o.BusyTimeout = 5 * time.Second
	}
	if o.Readers <= 0 {
		o.Readers = 4
	}
	if o.synchronous == "" {
		o.synchronous = "FULL"
	}
	if o.checkpointPages <= 0 {
		o.checkpointPages = checkpointPages
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// lockDir makes the directory ours and notes whether the last owner said good-bye.
func (s *Store) lockDir() error {
	if err := os.MkdirAll(s.opts.Dir, 0o700); err != nil {
		return fmt.Errorf("store: make the data directory: %w", err)
	}
	lock := flock.New(filepath.Join(s.opts.Dir, lockFile), flock.SetPermissions(0o600))
	ok, err := lock.TryLock()
	if err != nil {
		return fmt.Errorf("store: lock the data directory: %w", err)
	}
	if !ok {
		return refuse(CodeInUse, "data directory in use: %s is locked by another process; stop that one first (its address is in aura.addr there), or name another directory with --data", s.opts.Dir)
	}
	s.lock = lock
	_, err = os.Stat(s.path(uncleanFile))
	s.unclean = err == nil
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("store: look for the unclean mark: %w", err)
	}
	return s.markUnclean()
}

func (s *Store) path(name string) string { return filepath.Join(s.opts.Dir, name) }

// markUnclean leaves the mark that Close takes away. The mark must be on disk before the first write is.
func (s *Store) markUnclean() error {
	f, err := os.OpenFile(s.path(uncleanFile), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("store: mark the directory: %w", err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("store: mark the directory: %w", err)
	}
	return s.syncDir()
}

func (s *Store) syncDir() error {
	d, err := os.Open(s.opts.Dir)
	if err != nil {
		return fmt.Errorf("store: sync the directory: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("store: sync the directory: %w", err)
	}
	return nil
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

// Unclean reports whether the process that had the directory before ended without Close.
func (s *Store) Unclean() bool { return s.unclean }

// Dir is the data directory.
func (s *Store) Dir() string { return s.opts.Dir }

// abandon gives everything back without the good-bye of Close.
func (s *Store) abandon() {
	if s.ck != nil {
		s.ck.stop()
	}
	if s.reads != nil {
		_ = s.reads.Close()
	}
	if s.writes != nil {
		_ = s.writes.Close()
	}
	if s.lock != nil {
		_ = s.lock.Unlock()
	}
}

// Close takes no further writes, commits what is queued until ctx ends (the rest gets ErrClosed), folds the log into the
// database and unlocks the directory. A second call does nothing.
func (s *Store) Close(ctx context.Context) error {
	if !s.w.q.close() {
		return nil
	}
	drained := s.w.stop(ctx)
	s.ck.stop()
	err := s.reads.Close()
	_, cerr := s.writes.ExecContext(context.Background(), "PRAGMA wal_checkpoint(TRUNCATE)")
	err = errors.Join(err, cerr, s.writes.Close())
	if err == nil {
		err = errors.Join(os.Remove(s.path(uncleanFile)), s.syncDir())
	}
	err = errors.Join(drained, err, s.lock.Unlock())
	if err != nil {
		return fmt.Errorf("store: close: %w", err)
	}
	return nil
}

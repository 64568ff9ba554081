package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/uuid"
	"gorm.io/gorm"
)

// The files of a data directory that are the store's.
const (
	databaseFile = "aura.db"
	lockFile     = "aura.lock"
	uncleanFile  = "aura.unclean"
)

// Options say where and how.
type Options struct {
	// Dir holds the database (aura.db) and its lock; it is made where missing.
	Dir string
	// URL is a PostgreSQL database, as in postgres://user:password@host:port/database, "" for the file in Dir. The password
	// is in no error and no log. The directory is locked all the same: models and keys are there.
	URL string
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

	dialect dialect

	// gorm is a statement builder; each use sets the connection: the read pool or the writer's transaction.
	gorm   *gorm.DB
	reads  *sql.DB
	writes *sql.DB
	// desired reads desired state; it ends with its pool.
	desired *sql.Stmt
	w       *writer
	ck      *checkpointer
	place   place
	purge   purgeCursors
	// raising lets one RaiseFloor look at a time.
	raising sync.Mutex

	// process is new with each Open; leases belong to one.
	process string
	query   sync.Mutex
}

// Open locks the directory, checks the file after an unclean stop, migrates the database and starts the writer. *Refused:
// another process has the directory, library or server is too old, the file is corrupt, or the URL is none.
// *Unavailable: the server isn't there now.
func Open(ctx context.Context, o Options) (_ *Store, err error) {
	o = o.withDefaults()
	s := &Store{opts: o, log: o.Logger, dialect: o.dialect(), process: uuid.NewString()}
	defer func() {
		if err != nil {
			s.abandon()
		}
	}()
	if err := s.lockDir(); err != nil {
		return nil, err
	}
	open := s.openFile
	if o.URL != "" {
		open = s.openServer
	}
	if err := open(ctx); err != nil {
		return nil, err
	}
	if s.gorm, err = openGORM(s.dialect, s.reads); err != nil {
		return nil, err
	}
	if s.desired, err = s.reads.PrepareContext(ctx, sqlDesired); err != nil {
		return nil, readErr("prepare a read", err)
	}
	if s.w, err = startWriter(ctx, s); err != nil {
		return nil, err
	}
	return s, nil
}

// dialect is that of the database that the options name.
func (o Options) dialect() dialect {
	if o.URL != "" {
		return postgresDialect{}
	}
	return sqliteDialect{}
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

// Held reports whether a process has a data directory open. It asks for the lock and gives it back at once.
func Held(dir string) (held bool, err error) {
	name := filepath.Join(dir, lockFile)
	if _, err := os.Stat(name); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return false, nil
		}
		return false, fmt.Errorf("store: look for the lock: %w", err)
	}
	lock := flock.New(name, flock.SetFlag(os.O_RDONLY))
	ok, err := lock.TryRLock()
	if err != nil {
		return false, fmt.Errorf("store: ask for the lock: %w", err)
	}
	if !ok {
		return true, nil
	}
	if err := lock.Unlock(); err != nil {
		return false, fmt.Errorf("store: give the lock back: %w", err)
	}
	return false, nil
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
	s.unclean = !errors.Is(err, os.ErrNotExist)
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

// Unclean reports whether the process that had the directory before ended without Close.
func (s *Store) Unclean() bool { return s.unclean }

// Shared tells whether other processes may have the database too.
func (s *Store) Shared() bool { return !s.dialect.alone() }

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
		if !s.unclean { // nothing was taken in, so nothing was left in the middle
			_ = os.Remove(s.path(uncleanFile))
		}
		_ = s.lock.Unlock()
	}
}

// Close takes no further writes, commits what is queued until ctx ends (the rest gets ErrClosed), folds SQLite's log into
// the database and unlocks the directory. A second call does nothing.
func (s *Store) Close(ctx context.Context) error {
	if !s.w.q.close() {
		return nil
	}
	drained := s.w.stop(ctx)
	err := s.reads.Close()
	if s.ck != nil {
		s.ck.stop()
		// Where the file is gone the log is all that is left of the newest: a new connection would begin a file of that name
		// and empty it.
		cerr := s.place.held()
		if cerr == nil {
			_, cerr = s.writes.ExecContext(context.Background(), "PRAGMA wal_checkpoint(TRUNCATE)")
		}
		err = errors.Join(err, cerr)
	}
	err = errors.Join(err, s.writes.Close())
	if err == nil {
		err = errors.Join(os.Remove(s.path(uncleanFile)), s.syncDir())
	}
	err = errors.Join(drained, err, s.lock.Unlock())
	if err != nil {
		return fmt.Errorf("store: close: %w", err)
	}
	return nil
}

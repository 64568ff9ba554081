package store

import (
	"errors"
	"fmt"
	"os"
)

// CodeGone is that of Unavailable where the file that the process has open is no longer the one of its name.
const CodeGone = "gone"

// place is the name of the database's file and what it stood for when it was opened. The zero value is a server's.
type place struct {
	path string
	file os.FileInfo
}

func placeOf(path string) (p place, err error) {
	if p.file, err = os.Stat(path); err != nil {
		return place{}, fmt.Errorf("store: look at the database: %w", err)
	}
	p.path = path
	return p, nil
}

// held asks before each transaction, and before its answers, whether the database can still be found by whoever opens it
// next: SQLite goes on writing to a file that was deleted, and what is answered for would end with the process.
func (p place) held() error {
	if p.file == nil {
		return nil
	}
	now, err := os.Stat(p.path)
	if err == nil && os.SameFile(p.file, now) {
		return nil
	}
	return &Unavailable{Code: CodeGone, Err: fmt.Errorf("%s was deleted, moved or replaced while it was open; "+
		"put it back, with its -wal file, or stop the process and start it on a copy", p.path)}
}

// loneLog refuses a directory that has the database's log and not the database: who began anew there would lose what the log
// holds.
func (s *Store) loneLog() error {
	if _, err := os.Stat(s.path(databaseFile)); !errors.Is(err, os.ErrNotExist) {
		return nil
	}
	log := s.path(databaseFile + "-wal")
	if info, err := os.Stat(log); err != nil || info.Size() == 0 {
		return nil
	}
	return refuse(CodeCorrupt, "%s is missing beside its log %s: put it back, or move the log away to begin anew", s.path(databaseFile), log)
}

package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// ErrNotFound says that there is no such row.
var ErrNotFound = errors.New("store: not found")

// ErrClosed says that the store was closed before the write could begin: nothing of it was written.
var ErrClosed = errors.New("store: closed")

// Refused is what the store will not do, whoever asks again: a person must change something.
type Refused struct {
	// Code is for machines: data_dir_in_use, sqlite_too_old, corrupt, held, unknown_version, invalid.
	Code   string
	Reason string
}

// Error is a sentence for people.
func (r *Refused) Error() string { return "store: refused: " + r.Reason }

// The codes of Refused.
const (
	CodeInUse          = "data_dir_in_use"
	CodeTooOld         = "sqlite_too_old"
	CodeCorrupt        = "corrupt"
	CodeHeld           = "held"
	CodeUnknownVersion = "unknown_version"
	CodeInvalid        = "invalid"
)

func refuse(code, format string, args ...any) error {
	return &Refused{Code: code, Reason: fmt.Sprintf(format, args...)}
}

// Unavailable is what the store could not do now. Whether the write took effect is unknown; the same call again is safe.
type Unavailable struct {
	// Code is for machines: disk_full, locked, io, closed, queue_full, failed.
	Code string
	Err  error
}

func (u *Unavailable) Error() string {
	return fmt.Sprintf("store: unavailable (%s): %v", u.Code, u.Err)
}
func (u *Unavailable) Unwrap() error { return u.Err }

// unavailable wraps the error of a failed transaction; what is typed already or the caller's own end stays as it is.
func unavailable(err error) error {
	var r *Refused
	var u *Unavailable
	switch {
	case err == nil:
		return nil
	case errors.As(err, &r), errors.As(err, &u), errors.Is(err, ErrNotFound), errors.Is(err, ErrClosed),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return &Unavailable{Code: failureCode(err), Err: err}
}

func failureCode(err error) string {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		if errors.Is(err, driver.ErrBadConn) {
			return "io"
		}
		return "failed"
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		return "disk_full"
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return "locked"
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY:
		return "io"
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return CodeCorrupt
	}
	return "failed"
}

// endsTransaction reports whether SQLite may have rolled the whole transaction back by itself, so that a savepoint can't
// save the rest of the group (https://www.sqlite.org/lang_transaction.html, "Response To Errors Within A Transaction").
func endsTransaction(err error) bool {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return errors.Is(err, driver.ErrBadConn)
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_INTERRUPT,
		sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY:
		return true
	}
	return false
}

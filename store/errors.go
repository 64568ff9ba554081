package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// ErrNotFound says that there is no such row.
var ErrNotFound = errors.New("store: not found")

// ErrClosed says that the store was closed before the write could begin: nothing of it was written.
var ErrClosed = errors.New("store: closed")

// Refused is what the store will not do, whoever asks again: a person must change something.
type Refused struct {
	// Code is for machines: data_dir_in_use, sqlite_too_old, postgres_too_old, corrupt, held, unknown_version, invalid.
	Code   string
	Reason string
}

// Error is a sentence for people.
func (r *Refused) Error() string { return "store: refused: " + r.Reason }

// The codes of Refused.
const (
	CodeInUse          = "data_dir_in_use"
	CodeTooOld         = "sqlite_too_old"
	CodeServerTooOld   = "postgres_too_old"
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
	// Code is for machines: disk_full, locked, io, gone, closed, queue_full, failed.
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
	if e := new(pgconn.PgError); errors.As(err, &e) && strings.HasPrefix(e.Code, "22") {
		// Data that this database can't hold, such as a NUL in a text: it won't the next time either.
		return &Refused{Code: CodeInvalid, Reason: e.Message}
	}
	return &Unavailable{Code: failureCode(err), Err: err}
}

func failureCode(err error) string {
	var typed *Unavailable
	var lite *sqlite.Error
	var server *pgconn.PgError
	switch {
	case errors.As(err, &typed):
		return typed.Code
	case errors.As(err, &lite):
		return fileFailure(lite)
	case errors.As(err, &server):
		return serverFailure(server)
	case lostConnection(err):
		return "io"
	}
	return "failed"
}

// endsTransaction reports whether the database may have rolled the whole transaction back by itself, so that a savepoint
// can't save the rest of the group.
func endsTransaction(err error) bool {
	var lite *sqlite.Error
	var server *pgconn.PgError
	switch {
	case errors.As(err, &lite):
		return fileEnds(lite)
	case errors.As(err, &server):
		return serverEnds(server)
	}
	return lostConnection(err)
}

func fileFailure(e *sqlite.Error) string {
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

// fileEnds follows https://www.sqlite.org/lang_transaction.html, "Response To Errors Within A Transaction".
func fileEnds(e *sqlite.Error) bool {
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_INTERRUPT,
		sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY:
		return true
	}
	return false
}

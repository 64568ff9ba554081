package store

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// serverFailure sorts PostgreSQL's codes (https://www.postgresql.org/docs/15/errcodes-appendix.html).
func serverFailure(e *pgconn.PgError) string {
	switch {
	case e.Code == "53100":
		return "disk_full"
	case e.Code == "55P03", e.Code == "57014", strings.HasPrefix(e.Code, "40"): // lock or statement timeout, deadlock
		return "locked"
	case e.Code == "XX001", e.Code == "XX002":
		return CodeCorrupt
	case serverEnds(e), strings.HasPrefix(e.Code, "53"), strings.HasPrefix(e.Code, "58"), strings.HasPrefix(e.Code, "25"):
		return "io"
	}
	return "failed"
}

// serverEnds reports whether the server ends the session with the error.
func serverEnds(e *pgconn.PgError) bool {
	return e.Severity == "FATAL" || e.Severity == "PANIC" || strings.HasPrefix(e.Code, "08") || strings.HasPrefix(e.Code, "57P")
}

// lostConnection reports whether an error is the connection's and not the statement's.
func lostConnection(err error) bool {
	var connect *pgconn.ConnectError
	var network net.Error
	if errors.As(err, &connect) || errors.As(err, &network) || pgconn.SafeToRetry(err) {
		return true
	}
	for _, end := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, driver.ErrBadConn, sql.ErrConnDone} {
		if errors.Is(err, end) {
			return true
		}
	}
	return false
}

package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// The bounds of a query: how long it runs, how many rows and bytes it returns, and how large one value may get.
const (
	queryTime  = 5 * time.Second
	queryRows  = 10000
	queryBytes = 32 << 20
	valueBytes = 16 << 20
	// limitLength is SQLITE_LIMIT_LENGTH (https://www.sqlite.org/c3ref/c_limit_attached.html).
	limitLength = 0
)

// ReadOnlyQuery runs one SELECT of a person and returns at most limit rows (1 to 10,000). It has a connection of its own
// that can only read, five seconds, and nothing but SELECT. *Refused: query (it is something else, or wrong),
// query_limit. One query runs at a time, the next one waits.
func (s *Store) ReadOnlyQuery(ctx context.Context, text string, limit int) (QueryResult, error) {
	s.query.Lock()
	defer s.query.Unlock()
	if err := s.place.held(); err != nil {
		return QueryResult{}, err
	}
	return Query(ctx, s.opts, text, limit)
}

// Query is ReadOnlyQuery on a database that this process has not opened; another one may have.
func Query(ctx context.Context, o Options, text string, limit int) (_ QueryResult, err error) {
	if err := checkQuery(text); err != nil {
		return QueryResult{}, err
	}
	ask := (*Store).selectOnly
	if o.URL != "" {
		ask = (*Store).selectOnServer
		if err := checkNames(text); err != nil {
			return QueryResult{}, err
		}
	}
	s := &Store{opts: o.withDefaults(), dialect: o.dialect()}
	db, err := s.readPool(1)
	if err != nil {
		return QueryResult{}, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	limited, cancel := context.WithTimeout(ctx, queryTime)
	defer cancel()
	out, err := ask(s, limited, db, text, min(max(limit, 1), queryRows))
	switch {
	case err == nil:
		return out, nil
	case ctx.Err() != nil:
		return QueryResult{}, context.Cause(ctx)
	case limited.Err() != nil:
		return QueryResult{}, refuse(CodeQueryLimit, "the query took more than %v", queryTime)
	case wrongQuery(err):
		return QueryResult{}, refuse(CodeQuery, "%v", err)
	}
	return QueryResult{}, readErr("query", err)
}

// wrongQuery tells the query's own errors from the database's: what it won't compile or compute, and what the driver
// won't even hand on (a placeholder).
func wrongQuery(err error) bool {
	if e := new(pgconn.PgError); errors.As(err, &e) {
		return serverFailure(e) == "failed" || e.Code == "25006" // read_only_sql_transaction
	}
	var e *driver.Error
	if !errors.As(err, &e) {
		return failureCode(err) == "failed"
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_ERROR, sqlite3.SQLITE_AUTH, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH:
		return true
	}
	return false
}

// selectOnly runs the one statement on a connection that compiles nothing else.
func (s *Store) selectOnly(ctx context.Context, db *sql.DB, text string, limit int) (_ QueryResult, err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return QueryResult{}, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if _, err := driver.Limit(conn, limitLength, valueBytes); err != nil {
		return QueryResult{}, err
	}
	err = conn.Raw(func(c any) error { return c.(driver.AuthorizerRegisterer).RegisterAuthorizer(authorizeSelect) })
	if err != nil {
		return QueryResult{}, err
	}
	rows, err := conn.QueryContext(ctx, text)
	if err != nil {
		return QueryResult{}, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	return collect(rows, limit)
}

// authorizeSelect lets SQLite compile what reads and nothing else.
func authorizeSelect(action driver.AuthorizerActionCode, _, name, _, _ string) driver.AuthorizerReturnCode {
	switch action {
	case driver.AuthSelect, driver.AuthRead, driver.AuthRecursive:
		return driver.AuthorizerOK
	case driver.AuthFunction:
		if !strings.EqualFold(name, "load_extension") {
			return driver.AuthorizerOK
		}
	}
	return driver.AuthorizerDeny
}

// checkQuery refuses what is not one SELECT by its form; the connection refuses the rest.
func checkQuery(text string) error {
	word, statements := scanQuery(text)
	if statements != 1 {
		return refuse(CodeQuery, "a query is one statement, this is %d", statements)
	}
	if !slices.Contains([]string{"SELECT", "WITH", "VALUES", "EXPLAIN"}, word) {
		return refuse(CodeQuery, "a query begins with SELECT, WITH, VALUES or EXPLAIN, not with %q", word)
	}
	return nil
}

// scanQuery returns the first word and the number of statements that are not empty, by SQLite's rules for quotes and
// comments (https://www.sqlite.org/lang_comment.html).
func scanQuery(text string) (word string, statements int) {
	inside := false // a statement has begun
	for i := 0; i < len(text); {
		n := skip(text[i:])
		c := text[i]
		switch {
		case n < 0: // a comment or space
			i -= n
			continue
		case c == ';':
			inside = false
		case !inside:
			inside = true
			if statements++; statements == 1 {
				word = firstWord(text[i:])
			}
		}
		i += n
	}
	return word, statements
}

func firstWord(text string) string {
	end := strings.IndexFunc(text, func(r rune) bool { return (r|0x20) < 'a' || (r|0x20) > 'z' })
	if end < 0 {
		end = len(text)
	}
	return strings.ToUpper(text[:end])
}

// skip returns the length of the token at the head of text: negative for a comment or white space.
func skip(text string) int {
	until := func(from int, end string) int {
		if k := strings.Index(text[from:], end); k >= 0 {
			return from + k + len(end)
		}
		return len(text)
	}
	switch {
	case strings.HasPrefix(text, "--"):
		return -until(2, "\n")
	case strings.HasPrefix(text, "/*"):
		return -until(2, "*/")
	case strings.ContainsRune(" \t\r\n\f", rune(text[0])):
		return -1
	case text[0] == '\'' || text[0] == '"' || text[0] == '`':
		return until(1, text[:1]) // a doubled quote is two tokens side by side
	case text[0] == '[':
		return until(1, "]")
	}
	return 1
}

package store

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"aura/store/migrations"
)

// postgresDialect is a server that other processes may share, and that can be away.
type postgresDialect struct{}

// transactionTime ends a transaction that the server doesn't answer. It is longer than the server's own limits (dsn), so
// that it only cuts what nobody answers any more.
const transactionTime = 12 * time.Second

// generationLock ("aura" in ASCII) and the schema make the advisory lock of a store. Transactions that accept and decide
// share it; one that may change desired state, the floor or the audit has it alone. It is taken in a statement of its
// own, so that the statements after it see what its holders before committed. Measured: a comparison inside the insert
// lets decisions of an older generation through.
const generationLock = 0x61757261

func (postgresDialect) name() migrations.Dialect { return migrations.Postgres }

// bind numbers the placeholders. No text of this package has a ? of another meaning.
func (postgresDialect) bind(text string) string {
	var b strings.Builder
	for n := 1; ; n++ {
		before, after, found := strings.Cut(text, "?")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteString("$" + strconv.Itoa(n))
		text = after
	}
}

func (postgresDialect) gorm(pool gorm.ConnPool) gorm.Dialector {
	return postgres.New(postgres.Config{Conn: pool})
}

// begin and the lock are two statements in one round trip.
func (postgresDialect) begin(w *writer, exclusive bool) error {
	lock := "pg_advisory_xact_lock_shared"
	if exclusive {
		lock = "pg_advisory_xact_lock"
	}
	text := fmt.Sprintf("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SELECT %s(%d, hashtext(current_schema()))", lock, generationLock)
	return w.conn.Raw(func(c any) error {
		_, err := c.(*stdlib.Conn).Conn().PgConn().Exec(w.ctx, text).ReadAll()
		return err
	})
}

func (postgresDialect) transaction() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), transactionTime)
}

// chunk takes all: the statement is the same for any number of rows.
func (postgresDialect) chunk(n int) int { return n }

// rows turns the rows into an array of each column.
func (postgresDialect) rows(t *table, _ int, args []any) (string, []any) {
	out := make([]any, len(t.arrays))
	for i, array := range t.arrays {
		out[i] = array(args, i, len(t.arrays))
	}
	return t.unnest, out
}

// unnest makes the statement of any number of rows. What conflicts is left out, and only what went in is returned.
func unnest(name, columns string, types []string) string {
	params := make([]string, len(types))
	for i, t := range types {
		params[i] = fmt.Sprintf("$%d::%s[]", i+1, t)
	}
	return "INSERT INTO " + name + " (" + columns + ") SELECT * FROM unnest(" + strings.Join(params, ", ") +
		") ON CONFLICT DO NOTHING RETURNING id"
}

// arrayOf collects a column of values of type T.
func arrayOf[T any](args []any, column, width int) any {
	out := make([]T, 0, len(args)/width)
	for i := column; i < len(args); i += width {
		out = append(out, args[i].(T))
	}
	return out
}

// integers collects a column of whole numbers.
func integers(args []any, column, width int) any {
	out := make([]int64, 0, len(args)/width)
	for i := column; i < len(args); i += width {
		switch v := args[i].(type) {
		case int64:
			out = append(out, v)
		case int:
			out = append(out, int64(v))
		}
	}
	return out
}

// nullable collects a column of values of type T that may be nil.
func nullable[T any](args []any, column, width int) any {
	out := make([]*T, 0, len(args)/width)
	for i := column; i < len(args); i += width {
		if v, ok := args[i].(T); ok {
			out = append(out, &v)
			continue
		}
		out = append(out, nil)
	}
	return out
}

func (postgresDialect) snapshot() *sql.TxOptions {
	return &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
}

func (postgresDialect) alone() bool { return false }

// check refuses what no text of PostgreSQL can hold: it would fail the whole group that it is written with.
func (postgresDialect) check(texts ...string) error {
	for _, text := range texts {
		if strings.ContainsRune(text, 0) || !utf8.ValidString(text) {
			return refuse(CodeInvalid, "%q is no text: it holds a NUL, or is no UTF-8", text)
		}
	}
	return nil
}

// sqlClock is the server's clock, which moves within a transaction.
const sqlClock = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"

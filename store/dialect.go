package store

import (
	"context"
	"database/sql"
	"time"

	"gorm.io/gorm"

	"aura/store/migrations"
)

// dialect is what differs between the databases.
type dialect interface {
	// name is that of the migrations.
	name() migrations.Dialect
	// bind writes the placeholders ? as the database wants them.
	bind(text string) string
	// gorm makes gorm's own of it over a pool.
	gorm(pool gorm.ConnPool) gorm.Dialector
	// begin begins the writer's transaction on its connection. exclusive says that it may change what decisions depend on.
	begin(w *writer, exclusive bool) error
	// transaction bounds a transaction's time, where the database can be away.
	transaction() (context.Context, context.CancelFunc)
	// chunk returns how many of n rows one insert takes.
	chunk(n int) int
	// rows makes an insert of n rows and its arguments, of which args are one row after the other.
	rows(t *table, n int, args []any) (text string, _ []any)
	// check refuses texts that the database can't hold.
	check(texts ...string) error
	// snapshot is the transaction in which several reads see one instant.
	snapshot() *sql.TxOptions
	// alone says that no other process writes: the directory's lock sees to that. Otherwise each transaction reads anew what
	// the writer would remember, and a lease of another process is alive until it expires.
	alone() bool
}

// table is one that the writer fills by the group.
type table struct {
	name    string
	columns string
	// inserts are SQLite's statements, one a size; unnest is PostgreSQL's, whose parameters are an array of each column.
	inserts map[int]string
	unnest  string
	arrays  []func(args []any, column, width int) any
}

// clock is the one that leases are held by: the database's, where several processes share it.
func (t *tx) clock() (time.Time, error) {
	if t.w.dialect.alone() {
		return time.Now(), nil
	}
	var us int64
	_, err := t.w.row(sqlClock, nil, &us)
	return fromMicros(us), err
}

package store

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"gorm.io/gorm"

	"aura/store/complaint"
)

// writer owns the one connection that writes and the goroutine that uses it. It takes what is queued, never waits for
// more, commits it in one transaction and answers.
type writer struct {
	q    *queue
	db   *sql.DB
	gorm *gorm.DB
	log  *slog.Logger
	// ck is SQLite's, nil elsewhere.
	ck      *checkpointer
	dialect dialect
	place   place
	st      counters

	// process names this opened store: a lease of another one's is of a dead process.
	process string

	stopping chan struct{}
	stopped  chan struct{}
	abort    atomic.Bool

	// What follows is the goroutine's own. ctx is the transaction's.
	ctx     context.Context
	conn    *sql.Conn
	stmts   map[string]*sql.Stmt
	args    []any
	memo    memo
	failing complaint.Log
}

// memo is what the writer remembers of the rows so that it needn't look. It is read again after a failed transaction.
type memo struct {
	known bool
	// early counts outcomes that wait for their decision; none is the usual case and costs nothing.
	early int64
	// floor is the sweeper's: everything up to it is decided. purged is the highest id ever deleted.
	floor, purged string
	// least is the lowest id accepted since RaiseFloor last began to look, "" for none. It survives a reread, where it may
	// only be too low.
	least string
	// audit is the end of the chain.
	audit auditHead
}

func startWriter(ctx context.Context, s *Store) (*writer, error) {
	w := &writer{
		q: newQueue(), db: s.writes, gorm: s.gorm, log: s.log, ck: s.ck, dialect: s.dialect, process: s.process,
		place:    s.place,
		stopping: make(chan struct{}), stopped: make(chan struct{}),
	}
	w.ctx = ctx
	if err := w.connect(); err != nil {
		return nil, err
	}
	if err := w.remember(); err != nil {
		w.disconnect()
		return nil, fmt.Errorf("store: %w", err)
	}
	w.ctx = context.Background()
	w.st.early.Store(w.memo.early)
	if w.ck != nil {
		w.ck.wake = w.q.poke
	}
	go w.run()
	return w, nil
}

// run works until stop, then drains the queue.
func (w *writer) run() {
	defer close(w.stopped)
	defer w.disconnect()
	var g group
	for {
		w.q.take(&g)
		if !g.empty() {
			w.write(&g)
			w.maintain(true)
			continue
		}
		w.maintain(false)
		select {
		case <-w.q.wake:
		case <-w.stopping:
			if a, d, j := w.q.lengths(); a+d+j == 0 {
				return
			}
		}
	}
}

// stop drains the queue until ctx ends, fails the rest, and returns when the goroutine has: at worst one transaction
// (the busy timeout) later. It needs a closed queue.
func (w *writer) stop(ctx context.Context) error {
	close(w.stopping)
	select {
	case <-w.stopped:
		return nil
	case <-ctx.Done():
	}
	w.abort.Store(true)
	<-w.stopped
	return fmt.Errorf("not drained: %w", context.Cause(ctx))
}

// write commits one group and answers its requests. A failure is the group's alone.
func (w *writer) write(g *group) {
	if w.abort.Load() {
		g.each(func(r *request) { r.finish(ErrClosed) })
		return
	}
	begin := time.Now()
	ctx, cancel := w.dialect.transaction()
	defer cancel()
	w.ctx = ctx
	if err := w.transact(g); err != nil {
		if ctx.Err() != nil { // not the caller's end, so it must not look like that
			err = &Unavailable{Code: "io", Err: fmt.Errorf("the database didn't answer in time: %v", err)}
		}
		w.recover(err)
		failed := unavailable(err)
		w.st.fail(failed)
		g.each(func(r *request) { r.finish(failed) })
		return
	}
	w.st.count(g, time.Since(begin))
	w.st.early.Store(w.memo.early)
	g.each(func(r *request) { r.finish(r.err) })
}

// transact is the transaction: accepts, then decisions under the generations of this moment, then the other writes,
// each of which may fail alone.
func (w *writer) transact(g *group) error {
	if err := w.place.held(); err != nil {
		return err
	}
	if err := w.connect(); err != nil {
		return err
	}
	if err := w.dialect.begin(w, len(g.jobs) > 0); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if !w.memo.known || !w.dialect.alone() {
		if err := w.remember(); err != nil {
			return err
		}
	}
	if err := w.writeAccepts(g.accepts); err != nil {
		return fmt.Errorf("accept: %w", err)
	}
	if err := w.writeDecisions(g.decisions); err != nil {
		return fmt.Errorf("decide: %w", err)
	}
	for _, r := range g.jobs {
		if err := w.runJob(r); err != nil {
			return err
		}
	}
	begin := time.Now()
	if err := w.exec(sqlCommit); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	took := time.Since(begin)
	w.st.lastCommit.Store(int64(took))
	w.st.commits.add(took)
	return w.place.held()
}

// tx is what a job may use: gorm and the writer's prepared statements, both inside the transaction.
type tx struct {
	db *gorm.DB
	w  *writer
}

// runJob runs one job under a savepoint. The job's own failure is kept in r.err; what it returns ends the transaction.
func (w *writer) runJob(r *request) error {
	if err := w.exec("SAVEPOINT job"); err != nil {
		return fmt.Errorf("savepoint: %w", err)
	}
	before := w.memo
	db := w.gorm.Session(&gorm.Session{NewDB: true, Context: w.ctx})
	db.Statement.ConnPool = w.conn
	if r.err = r.job(&tx{db: db, w: w}); r.err == nil {
		return w.exec("RELEASE job")
	}
	if endsTransaction(r.err) {
		return r.err
	}
	r.err = unavailable(r.err)
	w.memo = before
	if err := w.exec("ROLLBACK TO job"); err != nil {
		return fmt.Errorf("roll back to the savepoint: %w", err)
	}
	return w.exec("RELEASE job")
}

// recover makes sure that nothing of a failed transaction is left: it rolls back and, unless the database was merely
// full or locked, throws the connection away. The next transaction makes a new one.
func (w *writer) recover(cause error) {
	w.memo.known = false
	w.failing.Say(w.log, slog.LevelError, "store: a transaction failed", "code", failureCode(cause), "error", cause)
	if w.conn == nil || failureCode(cause) == CodeGone { // nothing is half done, and no new connection finds the file
		return
	}
	err := w.exec(sqlRollback)
	code := failureCode(cause)
	if err == nil && (code == "disk_full" || code == "locked") {
		return
	}
	if code == "locked" && failureCode(err) == "failed" { // no transaction had begun
		return
	}
	w.disconnect()
}

// do runs fn in the writer's next transaction and returns when it is committed.
func (w *writer) do(ctx context.Context, fn func(*tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r := &request{job: fn}
	if err := w.q.put(r); err != nil {
		return err
	}
	return r.wait(ctx)
}

// write runs fn in the writer's next transaction. Its value is the caller's only once the commit is through.
func write[T any](ctx context.Context, s *Store, fn func(*tx) (T, error)) (T, error) {
	var out, zero T
	err := s.w.do(ctx, func(t *tx) (err error) {
		out, err = fn(t)
		return err
	})
	if err != nil {
		return zero, err
	}
	return out, nil
}

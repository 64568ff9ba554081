package store

import (
	"context"
	"database/sql"
	"log/slog"
	"sync/atomic"
)

const (
	// checkpointPages is the length of the log (16 MB) at which it is folded into the database. A growing log doubles the
	// time of a transaction.
	checkpointPages = 4000
	// measureEvery is how many transactions pass between two looks at the log's length.
	measureEvery = 8
)

// checkpointer copies the log into the database beside the writer. Alone it would never see the log's end while the
// writer goes on, so the log would grow for ever: after each of its rounds the writer copies the little that is left
// between two transactions, and the log starts again at its head.
type checkpointer struct {
	db   *sql.DB
	log  *slog.Logger
	wake func()
	work chan struct{}
	quit chan struct{}
	done chan struct{}
	// most is the length of the log in pages at which a round begins.
	most int64

	rounds, pages atomic.Int64
	finish        atomic.Bool
	since         int // transactions since the last look; the writer's own
}

func startCheckpointer(s *Store) (*checkpointer, error) {
	db, err := s.openPool("rw", 1)
	if err != nil {
		return nil, err
	}
	c := &checkpointer{
		db: db, log: s.log, most: s.opts.checkpointPages, wake: func() {},
		work: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
	}
	go c.run()
	return c, nil
}

func (c *checkpointer) run() {
	defer close(c.done)
	for {
		select {
		case <-c.quit:
			return
		case <-c.work:
		}
		if _, err := c.db.ExecContext(context.Background(), "PRAGMA wal_checkpoint(PASSIVE)"); err != nil {
			c.log.Error("store: checkpoint", "error", err)
			continue
		}
		c.rounds.Add(1)
		c.finish.Store(true)
		c.wake()
	}
}

// stop ends the goroutine and closes its connection.
func (c *checkpointer) stop() {
	close(c.quit)
	<-c.done
	_ = c.db.Close()
}

// maintain runs between two transactions of the writer, and when it has nothing to do.
func (w *writer) maintain(wrote bool) {
	c := w.ck
	if c == nil || w.conn == nil {
		return
	}
	if c.finish.Swap(false) {
		w.checkpoint("PASSIVE")
		return
	}
	if wrote {
		c.since++
	}
	if c.since < measureEvery {
		return
	}
	c.since = 0
	if w.checkpoint("NOOP") >= c.most {
		select {
		case c.work <- struct{}{}:
		default:
		}
	}
}

// checkpoint runs the pragma and returns the pages of the log. An error is logged: the log only grows a while longer.
func (w *writer) checkpoint(how string) int64 {
	var busy, pages, copied int64
	if _, err := w.row("PRAGMA wal_checkpoint("+how+")", nil, &busy, &pages, &copied); err != nil {
		w.log.Error("store: checkpoint", "how", how, "error", err)
		return 0
	}
	w.ck.pages.Store(pages)
	return pages
}

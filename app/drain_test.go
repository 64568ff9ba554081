package app_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"aura/agents/ingestion"
	"aura/mlops/schema"
)

// TestADrainWaitsForACommitUnderWay: the source gives up waiting as soon as the process is told to stop, while the store still
// commits what it sent. That is accepted all the same, so it is decided before the end.
func TestADrainWaitsForACommitUnderWay(t *testing.T) {
	t.Parallel()
	r := run(t, nil)
	r.decide("before")
	free := r.lock()
	ctx, leave := context.WithCancel(t.Context())
	sent := make(chan error, 1)
	record, err := schema.Builtin().Record([]float64{700, 30, 50000, 15000, 5})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_, err := r.parts.Intake.Submit(ctx, true, false, ingestion.Application{ApplicationID: "under-way", Record: record, Source: "simulator"})
		sent <- err
	}()
	until(t, time.Second, "an application at the desk", func() string {
		if r.parts.Window.Pending() == 0 {
			return "none"
		}
		return ""
	})
	leave()
	if err := <-sent; err == nil {
		t.Fatal("committed in spite of the lock")
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		r.stop()
	}()
	time.Sleep(60 * time.Millisecond) // below the store's patience with a lock; a drain that doesn't wait has ended by then
	free()
	<-stopped
	told := newBook()
	told.accepted("under-way")
	checkBook(t, r.dir, told)
}

// lock keeps the database's writer out, as another tool may.
func (r *running) lock() (free func()) {
	r.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(r.dir, "aura.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		r.t.Fatal(err)
	}
	conn, err := db.Conn(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := conn.ExecContext(r.t.Context(), "BEGIN IMMEDIATE"); err != nil {
		r.t.Fatal(err)
	}
	return func() {
		_, err := conn.ExecContext(context.WithoutCancel(r.t.Context()), "ROLLBACK")
		if err != nil {
			r.t.Error(err)
		}
		_ = conn.Close()
		_ = db.Close()
	}
}

package store

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// faulted runs fault, expects writes to fail with want, lifts it, and expects the same calls to succeed, with nothing
// lost or doubled.
func faulted(t *testing.T, s *Store, want string, fault, lift func()) {
	t.Helper()
	g := generations(t, s)
	before := accept(t, s, app(t, "before", "1"))[0].Application
	kept := decide(t, s, verdict(before, g, .25))[0].Decision
	waiting := accept(t, s, app(t, "waiting", "1"))[0].Application

	fault()
	during := app(t, "during", "1")
	_, err := s.Accept(t.Context(), []Application{during})
	code(t, err, want)
	_, err = s.Decide(t.Context(), []Decision{verdict(waiting, g, .5)})
	code(t, err, want)
	_, err = s.SetMode(t.Context(), ModeSafe, "ann", "in vain")
	code(t, err, want)
	rec, err := s.Application(t.Context(), "waiting")
	must(t, err) // reads go on
	if rec.Decision != nil {
		t.Fatal("a failed decision is visible")
	}
	if s.Stats().Failed == 0 {
		t.Fatal("the failure wasn't counted")
	}
	lift()

	out := accept(t, s, during, app(t, "before", "1"))
	if out[0].Status != New && out[0].Status != Same {
		t.Fatalf("after the fault: %+v", out[0])
	}
	equal(t, "kept", *out[1].Decision, kept)
	equal(t, "mode", generations(t, s), g)
	equal(t, "decided", decide(t, s, verdict(waiting, g, .75))[0].Status, Written)
	var check string
	must(t, s.reads.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&check))
	equal(t, "integrity", check, "ok")
}

func TestDiskFull(t *testing.T) {
	d := newFaultyDisk(t)
	s := openDir(t, Options{Dir: t.TempDir(), VFS: d.name})
	faulted(t, s, "disk_full",
		func() { d.set(func(d *faultyDisk) { d.full = true }) },
		func() { d.set(func(d *faultyDisk) { d.full = false }) })
}

func TestSyncFails(t *testing.T) {
	d := newFaultyDisk(t)
	s := openDir(t, Options{Dir: t.TempDir(), VFS: d.name})
	faulted(t, s, "io",
		func() { d.set(func(d *faultyDisk) { d.deny = true }) },
		func() { d.set(func(d *faultyDisk) { d.deny = false }) })
}

func TestLockedByAnother(t *testing.T) {
	s := openDir(t, Options{Dir: t.TempDir(), BusyTimeout: 20 * time.Millisecond})
	other, err := sql.Open("sqlite", "file:"+filepath.Join(s.Dir(), databaseFile))
	must(t, err)
	defer func() { must(t, other.Close()) }()
	other.SetMaxOpenConns(1)
	exec := func(q string) {
		_, err := other.ExecContext(context.Background(), q)
		must(t, err)
	}
	faulted(t, s, "locked", func() { exec("BEGIN IMMEDIATE") }, func() { exec("COMMIT") })
}

// TestFileMoved: nothing is answered for that only the process still sees, and no new file is begun under the name.
func TestFileMoved(t *testing.T) {
	s := openDir(t, Options{Dir: t.TempDir()})
	name := filepath.Join(s.Dir(), databaseFile)
	faulted(t, s, CodeGone,
		func() { must(t, os.Rename(name, name+".away")) },
		func() {
			if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("there is a file again: %v", err)
			}
			must(t, os.Rename(name+".away", name))
		})
}

// TestStoppedWhileTheFileIsAway: the log keeps what only it holds, nobody begins anew beside it, and with the file back all is
// there.
func TestStoppedWhileTheFileIsAway(t *testing.T) {
	dir := t.TempDir()
	s := openDir(t, Options{Dir: dir})
	kept := accept(t, s, app(t, "kept", "1"))[0].Application
	name := filepath.Join(dir, databaseFile)
	must(t, os.Rename(name, name+".away"))
	_, err := s.ReadOnlyQuery(t.Context(), "SELECT 1", 1)
	code(t, err, CodeGone)
	if err := s.Close(t.Context()); err == nil {
		t.Error("it stopped as if in order")
	}
	_, err = Open(t.Context(), Options{Dir: dir})
	code(t, err, CodeCorrupt)
	_, err = Look(t.Context(), Options{Dir: dir})
	code(t, err, CodeCorrupt)
	must(t, os.Rename(name+".away", name))
	again := openDir(t, Options{Dir: dir})
	equal(t, "unclean", again.Unclean(), true)
	if got := accept(t, again, app(t, "kept", "1"))[0]; got.Status != Same || got.Application.ID != kept.ID {
		t.Errorf("%+v", got)
	}
}

// TestBounded fills a database up to its bound, deletes, and goes on.
func TestBounded(t *testing.T) {
	s := openDir(t, Options{Dir: t.TempDir(), MaxPages: 120})
	var err error
	n := 0
	for ; err == nil && n < 10000; n += 100 {
		as := many(t, 100)
		for i := range as {
			as[i].Source = SourceSimulator
		}
		if _, err = s.Accept(t.Context(), as); err == nil {
			ds := make([]Decision, len(as))
			for i, a := range as {
				ds[i] = verdict(a, Generations{Mode: ModeModel, ModeGeneration: 1}, .5)
			}
			_, err = s.Decide(t.Context(), ds)
		}
	}
	code(t, err, "disk_full")
	if st := s.Stats(); st.FailingCode != "disk_full" || st.FailingSince.IsZero() {
		t.Errorf("writes fail by %q since %v", st.FailingCode, st.FailingSince)
	}
	_, err = s.Purge(t.Context(), time.Now().Add(2*time.Hour), Policy{Simulated: time.Hour, Chunk: 20})
	must(t, err)
	accept(t, s, many(t, 10)...)
	if st := s.Stats(); st.FailingCode != "" || !st.FailingSince.IsZero() {
		t.Errorf("writes fail still by %q since %v", st.FailingCode, st.FailingSince)
	}
}

// TestFaultUnderLoad lets the disk come and go under many callers who repeat what failed: each gets one decision.
func TestFaultUnderLoad(t *testing.T) {
	d := newFaultyDisk(t)
	s := openDir(t, Options{Dir: t.TempDir(), VFS: d.name})
	g := generations(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const callers, each = 8, 30
	var attempts atomic.Int64
	// try repeats a call until it succeeds. The disk fills, clears, refuses to sync and syncs again by the attempts.
	try := func(call func() error) {
		for ctx.Err() == nil {
			phase := attempts.Add(1) / 17 % 4
			d.set(func(d *faultyDisk) { d.full, d.deny = phase == 1, phase == 3 })
			if call() == nil {
				return
			}
		}
	}
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range each {
				a := app(t, "", "1")
				try(func() error {
					_, err := s.Accept(ctx, []Application{a})
					return err
				})
				var got [2]DecideResult
				for i := range got {
					try(func() error {
						r, err := s.Decide(ctx, []Decision{verdict(a, g, float64(i))})
						if err == nil {
							got[i] = r[0]
						}
						return err
					})
				}
				if ctx.Err() == nil && !sameDecision(got[0].Decision, got[1].Decision) {
					t.Errorf("two decisions of %s", a.ID)
				}
			}
		})
	}
	wg.Wait()
	d.set(func(d *faultyDisk) { d.full, d.deny = false, false })
	c, err := s.Counts(ctx)
	must(t, err)
	equal(t, "rows", [3]int64{c.Applications, c.Decisions, c.Undecided}, [3]int64{callers * each, callers * each, 0})
	if s.Stats().Failed == 0 {
		t.Fatal("no fault hit")
	}
	t.Logf("%d attempts, %d failed transactions", attempts.Load(), s.Stats().Failed)
}

// TestPartialAnswer: of a call that is too large for one transaction, what was committed before the disk was full is
// told, and nothing else is.
func TestPartialAnswer(t *testing.T) {
	const all = 1000
	dir := t.TempDir()
	s := openDir(t, Options{Dir: dir})
	applications := many(t, all)
	for from := 0; from < all; from += 100 {
		accept(t, s, applications[from:from+100]...)
	}
	var pages int64
	must(t, s.reads.QueryRowContext(t.Context(), "PRAGMA page_count").Scan(&pages))
	must(t, s.Close(t.Context()))
	s = openDir(t, Options{Dir: dir, MaxPages: int(pages) + 40})
	g := generations(t, s)
	ds := make([]Decision, all)
	for i, a := range applications {
		ds[i] = verdict(a, g, .5)
	}
	results, err := s.Decide(t.Context(), ds)
	code(t, err, "disk_full")
	told := int64(0)
	for i, r := range results {
		rec, err := s.Application(t.Context(), applications[i].ID)
		must(t, err)
		if written := rec.Decision != nil; written != (r.Status == Written) || !written && r.Status != 0 {
			t.Fatalf("row %d: written: %v, told: status %d", i, written, r.Status)
		}
		if r.Status == Written {
			told++
		}
	}
	if told == 0 || told == all {
		t.Fatalf("%d of %d were written: nothing was partial", told, all)
	}
}

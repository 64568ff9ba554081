package store

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"aura/store/migrations"
)

// openDir opens a store in dir and closes it with the test.
func openDir(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), o)
	must(t, err)
	t.Cleanup(func() { closeStore(t, s) })
	return s
}

func closeStore(t testing.TB, s *Store) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Error(err)
	}
}

func TestSQLite(t *testing.T) {
	suite(t, func(t *testing.T) *Store { return openDir(t, Options{Dir: t.TempDir()}) })
}

func code(t *testing.T, err error, want string) {
	t.Helper()
	var r *Refused
	var u *Unavailable
	switch {
	case errors.As(err, &r) && r.Code == want, errors.As(err, &u) && u.Code == want:
		return
	}
	t.Fatalf("got %v, want code %s", err, want)
}

func TestSecondOpenIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := openDir(t, Options{Dir: dir})
	_, err := Open(t.Context(), Options{Dir: dir})
	code(t, err, CodeInUse)
	if _, err := os.Stat(filepath.Join(dir, uncleanFile)); err != nil {
		t.Fatal("the refused one took the owner's mark away")
	}
	closeStore(t, s)
	again := openDir(t, Options{Dir: dir})
	equal(t, "unclean after Close", again.Unclean(), false)
}

// TestAFailedOpenIsNoUncleanStop: nothing had begun.
func TestAFailedOpenIsNoUncleanStop(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(t.Context(), Options{Dir: dir, URL: "postgres://nobody@127.0.0.1:1/none"}); err == nil {
		t.Fatal("opened")
	}
	again := openDir(t, Options{Dir: dir})
	equal(t, "unclean after a failed open", again.Unclean(), false)
}

func TestClosed(t *testing.T) {
	s := openDir(t, Options{Dir: t.TempDir()})
	accept(t, s, app(t, "C-1", "1"))
	closeStore(t, s)
	closeStore(t, s)
	if _, err := s.Accept(t.Context(), []Application{app(t, "C-2", "1")}); !errors.Is(err, ErrClosed) {
		t.Fatalf("got %v", err)
	}
	equal(t, "log folded in", fileSize(t, filepath.Join(s.Dir(), databaseFile+"-wal")), int64(0))
}

func fileSize(t *testing.T, path string) int64 {
	st, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return 0
	}
	must(t, err)
	return st.Size()
}

func TestCloseGivesUpAtItsDeadline(t *testing.T) {
	s := openDir(t, Options{Dir: t.TempDir()})
	entered := make(chan struct{})
	slow := &request{job: func(*tx) error {
		close(entered)
		for !s.w.abort.Load() { // a transaction that outlasts the deadline
			runtime.Gosched()
		}
		return nil
	}}
	must(t, s.w.q.put(slow))
	<-entered
	waiting := &request{accepts: []Application{app(t, "", "1")}, accepted: make([]AcceptResult, 1)}
	must(t, s.w.q.put(waiting))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	must(t, slow.wait(context.Background())) // had begun: committed
	if err := waiting.wait(context.Background()); !errors.Is(err, ErrClosed) {
		t.Fatalf("got %v", err)
	}
}

// TestKill kills a process with SIGKILL and finds all that it had answered.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	total := 0
	for round := range 3 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childDir+"="+dir)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		var ids []string
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "error") {
				t.Error(lines.Text())
			}
			if len(lines.Text()) == 36 {
				ids = append(ids, lines.Text())
			}
			if len(ids) == 50+30*round {
				must(t, cmd.Process.Kill())
			}
		}
		_ = cmd.Wait() // killed
		s, err := Open(t.Context(), Options{Dir: dir})
		must(t, err)
		equal(t, "unclean", s.Unclean(), true)
		for _, id := range ids {
			r, err := s.Application(t.Context(), id)
			must(t, err)
			if r.Decision == nil {
				t.Fatalf("the decision of %s is lost", id)
			}
		}
		total += len(ids)
		closeStore(t, s)
	}
	t.Logf("%d answered decisions over 3 kills, 0 lost", total)
}

func TestCorruptFileIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := openDir(t, Options{Dir: dir})
	for range 5 {
		accept(t, s, many(t, 200)...)
	}
	closeStore(t, s)
	path := filepath.Join(dir, databaseFile)
	content, err := os.ReadFile(path)
	must(t, err)
	for i := 8 * 4096; i < len(content); i += 4096 {
		copy(content[i:i+16], "garbage garbage!")
	}
	must(t, os.WriteFile(path, content, 0o600))
	must(t, os.WriteFile(filepath.Join(dir, uncleanFile), nil, 0o600))
	_, err = Open(t.Context(), Options{Dir: dir})
	code(t, err, CodeCorrupt)
}

func many(t testing.TB, n int) []Application {
	as := make([]Application, n)
	for i := range as {
		as[i] = app(t, "", "1")
	}
	return as
}

func TestVersions(t *testing.T) {
	for v, old := range map[string]bool{"3.51.2": true, "3.51.3": false, "3.54.1": false, "3.9.0": true, "4.0": false, "3.51": true} {
		equal(t, v, olderThan(v, leastSQLite), old)
	}
}

func TestMigrations(t *testing.T) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "m.db"))
	must(t, err)
	defer func() { must(t, db.Close()) }()
	first, err := migrations.Up(t.Context(), db, migrations.SQLite)
	must(t, err)
	again, err := migrations.Up(t.Context(), db, migrations.SQLite)
	must(t, err)
	equal(t, "version", again, first)
	_, err = db.ExecContext(t.Context(), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)")
	must(t, err)
	if _, err := migrations.Up(t.Context(), db, migrations.SQLite); err == nil {
		t.Fatal("a database of a newer program was taken")
	}
}

func TestTranslate(t *testing.T) {
	s := openDir(t, Options{Dir: t.TempDir()})
	err := s.w.do(t.Context(), func(t *tx) error {
		return errors.Join(t.db.Create(&storedMark{"twice", "1"}).Error, t.db.Create(&storedMark{"twice", "2"}).Error)
	})
	if !errors.Is(err, gorm.ErrDuplicatedKey) {
		t.Fatalf("got %v", err)
	}
	err = s.w.do(t.Context(), func(t *tx) error { return t.db.Create(&storedAlias{"champion", 7}).Error })
	if !errors.Is(err, gorm.ErrForeignKeyViolated) {
		t.Fatalf("got %v", err)
	}
}

// TestNobodyElseReadsTheDatabase: the files are the owner's alone, those of an earlier version too.
func TestNobodyElseReadsTheDatabase(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		s, err := Open(t.Context(), Options{Dir: dir})
		must(t, err)
		accept(t, s, app(t, "", "1"))
		for _, name := range []string{databaseFile, databaseFile + "-wal", databaseFile + "-shm"} {
			info, err := os.Stat(filepath.Join(dir, name))
			must(t, err)
			if info.Mode().Perm() != 0o600 {
				t.Errorf("%s has mode %o", name, info.Mode().Perm())
			}
		}
		must(t, s.Close(context.Background()))
		must(t, os.Chmod(filepath.Join(dir, databaseFile), 0o644))
	}
}

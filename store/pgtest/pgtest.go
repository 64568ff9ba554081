//go:build linux

// Package pgtest runs a real PostgreSQL server for tests: found where Debian's packages put it (or on the PATH), in a data
// directory of its own, on loopback with a free port, with a password. It owns the server's process and directory and
// imports nothing of ours.
//
// Ordering: Start returns when the server answers. Kill returns when its processes are gone, so that Restart can follow.
// Blocking: Start takes a second or two, Restart as long as recovery does. All fail the test rather than return an error.
// The server dies with the test's process, whatever ends it. Where there is no PostgreSQL, Start skips the test with the
// reason, and fails it where the environment has CI=true. Testing: the suites of store and app are its tests.
package pgtest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx
)

// Role is the user of all databases, and Password what it must show.
const (
	Role     = "aura_user"
	Password = "p@ss word/%?#" // what must be escaped in an address
)

// startTime bounds a start with recovery.
const startTime = 60 * time.Second

// Server is a running PostgreSQL.
type Server struct {
	bin, dir  string
	port      int
	cred      *syscall.Credential // nil: our own user
	exited    chan struct{}
	pid       int
	settings  []string
	mu        sync.Mutex
	databases int
}

// Start makes a cluster and starts it; further settings are as in postgresql.conf, "name=value". It ends with the test.
func Start(t testing.TB, settings ...string) *Server {
	t.Helper()
	bin := find(t)
	s := &Server{bin: bin, settings: settings}
	var err error
	if s.dir, err = os.MkdirTemp("", "aura-pg-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Kill(t)
		if err := os.RemoveAll(s.dir); err != nil {
			t.Error(err)
		}
	})
	s.owner(t)
	s.init(t)
	s.Restart(t)
	s.exec(t, "postgres", fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", Role, Password))
	return s
}

// find returns the directory of the newest server's programs.
func find(t testing.TB) string {
	t.Helper()
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.SortFunc(dirs, func(a, b string) int { return version(b) - version(a) })
	if path, err := exec.LookPath("postgres"); err == nil {
		dirs = append(dirs, filepath.Dir(path))
	}
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, "initdb")); err == nil {
			return dir
		}
	}
	const reason = "PostgreSQL's server is not installed (Debian: apt-get install postgresql)"
	if os.Getenv("CI") == "true" {
		t.Fatal(reason)
	}
	t.Skip(reason)
	return ""
}

func version(dir string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
	return n
}

// owner gives the directory to somebody who may run a server: root may not.
func (s *Server) owner(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uerr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gerr := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(uerr, gerr, os.Chown(s.dir, int(uid), int(gid))); err != nil {
			t.Fatal(err)
		}
		s.cred = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		return
	}
	t.Fatal("root may not run PostgreSQL, and there is neither a user postgres nor nobody")
}

func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred}
	return cmd
}

func (s *Server) init(t testing.TB) {
	t.Helper()
	out, err := s.command("initdb", "-D", s.data(), "-U", "postgres", "-E", "UTF8", "--locale=C", "--data-checksums",
		"--auth-local=trust", "--auth-host=scram-sha-256", "--no-sync").CombinedOutput()
	if err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// Restart starts the server (again) on the same port and waits until it answers.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	if s.port == 0 {
		s.port = freePort(t)
	}
	args := []string{
		"-D", s.data(), "-p", strconv.Itoa(s.port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=" + s.dir,
		"-c", "max_connections=60", "-c", "shared_buffers=64MB", "-c", "log_min_messages=fatal",
	}
	for _, set := range s.settings {
		args = append(args, "-c", set)
	}
	cmd := s.command("postgres", args...)
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr.Pdeathsig = syscall.SIGQUIT // an immediate shutdown
	started, exited := make(chan error), make(chan struct{})
	go func() { // the signal comes when the thread that started the process ends
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // a killed server's
		}
		_ = log.Close()
		close(exited)
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.pid, s.exited = cmd.Process.Pid, exited
	s.mu.Unlock()
	s.ready(t, exited)
}

// ready waits until the server takes statements.
func (s *Server) ready(t testing.TB, exited <-chan struct{}) {
	t.Helper()
	db := s.admin(t, "postgres")
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	for {
		err := db.PingContext(ctx)
		if err == nil {
			return
		}
		select {
		case <-exited:
			text, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			t.Fatalf("the server ended at its start: %s", text)
		case <-ctx.Done():
			t.Fatalf("the server doesn't answer: %v", err)
		case <-time.After(20 * time.Millisecond): // nothing tells when it is ready
		}
	}
}

// Kill ends the server with SIGKILL, as a crash does, and waits for its processes: a new one refuses to start beside them.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	pid, exited := s.pid, s.exited
	s.pid = 0
	s.mu.Unlock()
	if pid == 0 {
		return
	}
	children := childrenOf(pid)
	_ = syscall.Kill(pid, syscall.SIGKILL)
	<-exited
	deadline := time.Now().Add(startTime)
	for slices.ContainsFunc(children, alive) {
		for _, c := range children { // they notice by themselves, in their own time
			if alive(c) {
				_ = syscall.Kill(c, syscall.SIGQUIT)
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("processes of the server remain: %v", children)
		}
		time.Sleep(5 * time.Millisecond) // they are not our children: nothing tells when they end
	}
}

func childrenOf(pid int) (out []int) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for _, f := range strings.Fields(string(text)) {
		if n, err := strconv.Atoi(f); err == nil {
			out = append(out, n)
		}
	}
	return out
}

// alive looks whether a process is there and no zombie.
func alive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return !strings.HasPrefix(rest, "Z")
}

// Database makes an empty database of the role and returns its address.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	return s.create(t, "template1")
}

// DatabaseLike makes a copy of a database that nobody is connected to.
func (s *Server) DatabaseLike(t testing.TB, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal("the address can't be read")
	}
	return s.create(t, strings.TrimPrefix(u.Path, "/"))
}

func (s *Server) create(t testing.TB, like string) string {
	t.Helper()
	s.mu.Lock()
	s.databases++
	name := fmt.Sprintf("aura_db_%d", s.databases)
	s.mu.Unlock()
	return s.named(t, name, like)
}

// DatabaseNamed makes an empty database of the role under that name, which must be free, and returns its address.
func (s *Server) DatabaseNamed(t testing.TB, name string) string {
	t.Helper()
	return s.named(t, name, "template1")
}

func (s *Server) named(t testing.TB, name, like string) string {
	t.Helper()
	s.exec(t, "postgres", "CREATE DATABASE "+name+" TEMPLATE "+like+" OWNER "+Role)
	u := url.URL{Scheme: "postgres", User: url.UserPassword(Role, Password), Host: s.Addr(), Path: "/" + name}
	return u.String()
}

// Addr is the server's host and port.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// Programs is the directory of psql and the server's other programs.
func (s *Server) Programs() string { return s.bin }

// Psql runs a text with the real psql as the role and returns what it prints, unaligned and without headers.
func (s *Server) Psql(t testing.TB, address, text string) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(s.bin, "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", text, address)
	cmd.Dir = "/"
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("psql: %v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// admin is a pool of the superuser over the socket, which needs no password.
func (s *Server) admin(t testing.TB, database string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", fmt.Sprintf("host=%s port=%d user=postgres dbname=%s sslmode=disable", s.dir, s.port, database))
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func (s *Server) exec(t testing.TB, database, text string) {
	t.Helper()
	db := s.admin(t, database)
	defer db.Close()
	if _, err := db.ExecContext(context.Background(), text); err != nil {
		t.Fatalf("%s: %v", strings.ReplaceAll(text, Password, "…"), err)
	}
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

//go:build linux

package mlflowtest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Server is a real MLflow server.
type Server struct {
	// URL is its address.
	URL string

	python, dir string
	port        int
	mu          sync.Mutex
	pid         int
	exited      chan struct{}
	out         bytes.Buffer
}

// pythonKey names the variable that names the Python to take: one with the packages of .ci/python/requirements.txt.
const pythonKey = "AURA_PYTHON"

// startTime bounds a start, which migrates a database.
const startTime = 3 * time.Minute

// Python is the program that AURA_PYTHON names. Without it the test is skipped with the reason.
func Python(t testing.TB) string {
	t.Helper()
	python := os.Getenv(pythonKey)
	if python == "" {
		t.Skip(pythonKey + " names no Python with the packages of .ci/python/requirements.txt; `.ci/run mlflow` makes one and runs this")
	}
	return python
}

// Start starts a server with a database and files of its own. It ends with the test. It skips the test as Python does.
func Start(t testing.TB) *Server {
	t.Helper()
	python := Python(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{python: python, dir: t.TempDir(), port: l.Addr().(*net.TCPAddr).Port}
	s.URL = fmt.Sprintf("http://127.0.0.1:%d", s.port)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop(t) })
	s.Restart(t)
	return s
}

// Restart starts the server (again) and waits until it answers what a mirror asks.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	cmd := exec.Command(s.python, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1", "--port", fmt.Sprint(s.port),
		"--backend-store-uri", "sqlite:///"+filepath.Join(s.dir, "mlflow.db"), "--artifacts-destination", filepath.Join(s.dir, "artifacts"), "--serve-artifacts")
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false", "MLFLOW_DISABLE_TELEMETRY=true", "DO_NOT_TRACK=true")
	// A group of its own, since killing the leader alone leaves its children serving.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Stdout, cmd.Stderr = &s.out, &s.out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	s.mu.Lock()
	s.pid, s.exited = cmd.Process.Pid, exited
	s.mu.Unlock()
	go func() {
		_ = cmd.Wait() // its output says why
		close(exited)
	}()
	for begin := time.Now(); time.Since(begin) < startTime; {
		select {
		case <-exited:
			t.Fatalf("mlflow ended\n%s", s.out.String())
		case <-time.After(100 * time.Millisecond): // until it answers
		}
		if s.answers() {
			return
		}
	}
	s.Stop(t)
	t.Fatalf("mlflow doesn't answer after %s\n%s", startTime, s.out.String())
}

func (s *Server) answers() bool {
	c := http.Client{Timeout: 5 * time.Second}
	r, err := c.Post(s.URL+"/api/2.0/mlflow/experiments/search", "application/json", strings.NewReader(`{"max_results":1}`))
	if err != nil {
		return false
	}
	defer r.Body.Close()
	return r.StatusCode == http.StatusOK
}

// Stop kills the server and its children, if it runs.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	pid, exited := s.pid, s.exited
	s.pid = 0
	s.mu.Unlock()
	if pid == 0 {
		return
	}
	if err := syscall.Kill(-pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Error(err)
	}
	<-exited
}

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

	program, dir string
	port         int
	mu           sync.Mutex
	pid          int
	exited       chan struct{}
	out          bytes.Buffer
}

// Asked is the variable that asks for the real server. Its value 1 takes mlflow from the PATH, another one names the program.
const Asked = "AURA_TEST_MLFLOW"

// startTime bounds a start, which migrates a database.
const startTime = 3 * time.Minute

// Start starts a server with a database and files of its own. It ends with the test. Without Asked, or without the program,
// it skips the test with the reason; where CI=true a program that is asked for and missing fails it.
func Start(t testing.TB) *Server {
	t.Helper()
	asked := os.Getenv(Asked)
	if asked == "" {
		t.Skip("a real MLflow is started only with " + Asked + "=1 (it needs mlflow on the PATH)")
	}
	if asked == "1" {
		asked = "mlflow"
	}
	program, err := exec.LookPath(asked)
	if err != nil {
		reason := "mlflow is not installed: python3 -m venv DIR && DIR/bin/pip install -r integration/python/requirements.txt, and name DIR/bin/mlflow in " + Asked
		if os.Getenv("CI") == "true" {
			t.Fatal(reason)
		}
		t.Skip(reason)
	}
	if program, err = filepath.Abs(program); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{program: program, dir: t.TempDir(), port: l.Addr().(*net.TCPAddr).Port}
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
	cmd := exec.Command(s.program, "server", "--workers", "1", "--host", "127.0.0.1", "--port", fmt.Sprint(s.port),
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

package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"aura/app"
	"aura/app/cli"
)

// asProgram makes the test binary behave as the program itself, so that a test can start the real process.
const asProgram = "AURA_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(programOn(os.Stdin, os.Args[1:], os.Stdout, os.Stderr))
	}
	flag.Parse()
	if !given("test.parallel") {
		_ = flag.Set("test.parallel", strconv.Itoa(atOnce*runtime.GOMAXPROCS(0)))
	}
	os.Exit(m.Run())
}

// atOnce is how many tests share a core: those that run in parallel mostly wait, for a fault's end or a verdict.
const atOnce = 3

func given(name string) (given bool) {
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	return given
}

func program(args []string, stdout, stderr io.Writer) int {
	return programOn(strings.NewReader(""), args, stdout, stderr)
}

func programOn(stdin io.Reader, args []string, stdout, stderr io.Writer) int {
	return cli.Main(context.Background(), args, stdin, stdout, stderr,
		cli.Commands{Check: app.Check, Run: app.Run, Migrate: app.Migrate, Train: app.Train, Bench: app.Bench, Demo: app.Demo, NewKey: app.NewKey})
}

// process is one run of the program.
type process struct {
	cmd  *exec.Cmd
	base string
	out  *safeBuffer
	done chan error
}

// start runs the program and waits until it is ready to take applications.
func start(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	_ = os.Remove(filepath.Join(dir, cli.AddressFile))
	args = append([]string{"run", "--http", "127.0.0.1:0", "--data", dir, "--simulate", "0"}, args...)
	if address := serverOf(dir); address != "" {
		args = append(args, "--db", address)
	}
	args = append(args, busOf(dir)...)
	p := &process{cmd: exec.Command(os.Args[0], args...), out: &safeBuffer{}, done: make(chan error, 1)}
	p.cmd.Env = append(os.Environ(), asProgram+"=1", "NO_COLOR=1")
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.done <- p.cmd.Wait() }()
	t.Cleanup(p.kill)
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) {
		select {
		case err := <-p.done:
			p.done <- err
			t.Fatalf("the program ended at its start: %v\n%s", err, p.out)
		case <-time.After(5 * time.Millisecond):
		}
		if p.ready(dir) {
			return p
		}
	}
	t.Fatalf("not ready in time\n%s", p.out)
	return nil
}

func (p *process) ready(dir string) bool {
	addr, err := os.ReadFile(filepath.Join(dir, cli.AddressFile))
	if err != nil {
		return false
	}
	p.base = "http://" + strings.TrimSpace(string(addr))
	r, err := http.Get(p.base + "/readyz")
	if err != nil {
		return false
	}
	defer r.Body.Close()
	return r.StatusCode == http.StatusOK
}

// kill ends the process as a power cut would, as far as a process can be told.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	p.done <- <-p.done
}

// interrupt is Ctrl-C; it returns how the process ended.
func (p *process) interrupt(t *testing.T) error {
	t.Helper()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-p.done:
		p.done <- err
		return err
	case <-time.After(15 * time.Second):
		t.Fatalf("not stopped 15 s after the interrupt\n%s", p.out)
		return nil
	}
}

// call sends JSON and decodes the answer.
func call(method, url string, body, answer any) (status int, err error) {
	var in io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return 0, err
		}
		in = bytes.NewReader(raw)
	}
	r, err := http.NewRequest(method, url, in)
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	if answer != nil && resp.StatusCode < 300 {
		if err := json.Unmarshal(raw, answer); err != nil {
			return resp.StatusCode, fmt.Errorf("%w in %s", err, raw)
		}
	}
	return resp.StatusCode, nil
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

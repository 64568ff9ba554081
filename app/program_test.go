package app_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestRefusedStarts asks for what can't work: the exit code is 3 and the text says what is wrong.
func TestRefusedStarts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.CopyFS(dir, twoModels()); err != nil {
		t.Fatal(err)
	}
	first := start(t, dir)
	base := []string{"run", "--http", "127.0.0.1:0", "--simulate", "0"}
	for _, c := range []struct {
		name string
		args []string
		says []string
	}{
		{"second process", []string{"--data", dir}, []string{dir, "in use"}},
		{"without the model", []string{"--data", t.TempDir(), "--agents", "ingestion,feature,decision,web"}, []string{"missing: model"}},
		{"web alone", []string{"--data", t.TempDir(), "--agents", "web"}, []string{"missing: ingestion, feature, model, decision"}},
		{"no such agent", []string{"--data", t.TempDir(), "--agents", "ingestion,oracle"}, []string{"oracle"}},
		{"open address", []string{"--data", t.TempDir(), "--http", "0.0.0.0:0"}, []string{"AURA_TOKEN"}},
		{"no such schema", []string{"--data", t.TempDir(), "--schema", "nowhere.yaml"}, []string{"nowhere.yaml"}},
		{"no such source", []string{"--data", t.TempDir(), "--source", "nowhere.csv"}, []string{"nowhere.csv"}},
	} {
		cmd := exec.Command(os.Args[0], append(base, c.args...)...)
		cmd.Env = append(os.Environ(), asProgram+"=1", "NO_COLOR=1")
		if c.name == "no such source" { // the simulator is off by itself then
			cmd.Args = append([]string{os.Args[0]}, append([]string{"run", "--http", "127.0.0.1:0"}, c.args...)...)
		}
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 3 {
			t.Errorf("%s: %v, want exit code 3\n%s", c.name, err, out)
		}
		for _, s := range c.says {
			if !strings.Contains(string(out), s) {
				t.Errorf("%s: the text doesn't name %q\n%s", c.name, s, out)
			}
		}
	}
	if !first.ready(dir) {
		t.Error("the first process suffered")
	}
	if err := first.interrupt(t); err != nil {
		t.Errorf("interrupt: %v\n%s", err, first.out)
	}
}

// TestInterrupt sends Ctrl-C under load: the process decides what it accepted and ends with 0 within 10 s.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	for _, bus := range []string{"memory", "gochannel"} {
		t.Run(bus, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.CopyFS(dir, twoModels()); err != nil {
				t.Fatal(err)
			}
			p := start(t, dir, "--bus", bus)
			// A slow model, so that there is something to drain.
			if status, err := call(http.MethodPost, p.base+"/api/v1/faults",
				map[string]any{"target": "model", "kind": "latency", "delay": "5ms", "share": 1, "ttl": "60s"}, nil); err != nil || status/100 != 2 {
				t.Fatalf("fault: %d %v", status, err)
			}
			b := newBook()
			var load sync.WaitGroup
			var told atomic.Int64
			for c := range 16 {
				load.Go(func() { told.Add(postUntilRefused(p.base, c, b)) })
			}
			until(t, 20*time.Second, "load", func() string {
				b.mu.Lock()
				defer b.mu.Unlock()
				if len(b.seen) < 300 {
					return fmt.Sprintf("%d accepted", len(b.seen))
				}
				return ""
			})
			began := time.Now()
			if err := p.interrupt(t); err != nil {
				t.Errorf("ended with %v, want exit code 0\n%s", err, tail(p.out.String(), 20))
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("the stop took %s", took)
			}
			load.Wait()
			checkBook(t, dir, b)
		})
	}
}

// postUntilRefused posts, most of them without waiting for the decision, until the process is gone.
func postUntilRefused(base string, c int, b *book) (n int64) {
	random := rand.New(rand.NewPCG(uint64(c), 19))
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for ; ; n++ {
		id := fmt.Sprintf("c%d-%d", c, n)
		req, err := http.NewRequest(http.MethodPost, base+"/api/v1/applications",
			strings.NewReader(application(id, 300+random.IntN(500))))
		if err != nil {
			b.wrong("%v", err)
			return n
		}
		req.Header.Set("Content-Type", "application/json")
		if n%8 > 0 {
			req.Header.Set("Prefer", "respond-async")
		}
		resp, err := client.Do(req)
		if err != nil {
			return n
		}
		_ = resp.Body.Close()
		switch resp.StatusCode {
		case http.StatusOK, http.StatusAccepted:
			b.accepted(id)
		case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		default:
			b.wrong("POST %s: %s", id, resp.Status)
		}
	}
}

// TestSecondInterrupt sends Ctrl-C twice while something holds the drain: the process ends at once with 130, and what it
// had accepted is decided by the next one.
func TestSecondInterrupt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.CopyFS(dir, twoModels()); err != nil {
		t.Fatal(err)
	}
	p := start(t, dir)
	b := newBook()
	if status, err := call(http.MethodPost, p.base+"/api/v1/faults",
		map[string]any{"target": "model", "kind": "hang", "share": 1, "ttl": "60s", "times": 0}, nil); err != nil || status/100 != 2 {
		t.Fatalf("fault: %d %v", status, err)
	}
	req, err := http.NewRequest(http.MethodPost, p.base+"/api/v1/applications", strings.NewReader(application("held", 700)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Prefer", "respond-async")
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != http.StatusAccepted {
		t.Fatalf("%v %v", resp, err)
	}
	_ = resp.Body.Close()
	b.accepted("held")
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	until(t, 10*time.Second, "the first interrupt", func() string {
		if !strings.Contains(p.out.String(), "stopping") {
			return "not heard"
		}
		return ""
	})
	began := time.Now()
	err = p.interrupt(t)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 130 {
		t.Errorf("ended with %v, want exit code 130\n%s", err, p.out)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("the second interrupt took %s", took)
	}
	again := start(t, dir)
	until(t, 10*time.Second, "the decision of what was left", func() string {
		var s sighting
		if status, err := call(http.MethodGet, again.base+"/api/v1/applications/held", nil, &s); err != nil || status != http.StatusOK || s.Decision == "" {
			return fmt.Sprintf("%d %v %+v", status, err, s)
		}
		return ""
	})
	if err := again.interrupt(t); err != nil {
		t.Errorf("interrupt: %v\n%s", err, again.out)
	}
	checkBook(t, dir, b)
}

// TestInterruptWhileNothingCanBeDecided stops with a model agent that dies each time it lives, and nobody who would go round it:
// the drain gives up in time, the process ends with 0, and the next one decides.
func TestInterruptWhileNothingCanBeDecided(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.CopyFS(dir, twoModels()); err != nil {
		t.Fatal(err)
	}
	p := start(t, dir, "--set", "shutdown.timeout=1s", "--set", "healing.enabled=false")
	if status, err := call(http.MethodPost, p.base+"/api/v1/faults",
		map[string]any{"target": "model", "kind": "crash", "share": 1, "ttl": "60s", "times": 0}, nil); err != nil || status/100 != 2 {
		t.Fatalf("fault: %d %v", status, err)
	}
	if status, err := call(http.MethodPost, p.base+"/api/v1/applications", rawJSON(application("held", 700)), nil); err != nil || status != http.StatusAccepted {
		t.Fatalf("%d %v, want 202", status, err)
	}
	b := newBook()
	b.accepted("held")
	if err := p.interrupt(t); err != nil {
		t.Errorf("ended with %v, want exit code 0\n%s", err, tail(p.out.String(), 20))
	}
	again := start(t, dir)
	if err := again.interrupt(t); err != nil { // its drain decides it
		t.Errorf("interrupt: %v\n%s", err, tail(again.out.String(), 20))
	}
	checkBook(t, dir, b)
}

package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"aura/app/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// outcome is what a command line did.
type outcome struct {
	code     int
	out, err string
}

// try runs a command line with the given environment and nothing of the machine's.
func try(t *testing.T, commands Commands, environ []string, args ...string) outcome {
	t.Helper()
	return tryIn(t, t.Context(), t.TempDir(), commands, environ, args...)
}

func tryIn(t *testing.T, ctx context.Context, dir string, commands Commands, environ []string, args ...string) outcome {
	t.Helper()
	var out, errs bytes.Buffer
	i := &invocation{Streams: Streams{strings.NewReader(""), &out, &errs}, commands: commands, environ: environ, dir: dir, terminal: isTerminal, every: time.Millisecond}
	code := i.execute(ctx, args)
	return outcome{code, out.String(), errs.String()}
}

// runs captures the configuration that run gets.
func runs(into *config.Loaded, err error) Commands {
	return Commands{Run: func(_ context.Context, c config.Loaded, _ Streams) error {
		*into = c
		return err
	}}
}

func TestRunFlagsSetKeys(t *testing.T) {
	var got config.Loaded
	o := try(t, runs(&got, nil), []string{"AURA_HTTP_ADDR=127.0.0.1:1", "AURA_BUS_LANES=8"},
		"run", "--http", "127.0.0.1:2", "--data", "/d", "--seed", "3", "--bus", "gochannel", "--agents", "model,decision",
		"--schema", "s.yaml", "--source", "f.csv", "--rate", "0", "--order", "file", "--log-level", "warn", "--set", "sweep.max_age=2m", "--set", "seed=9")
	if o.code != 0 {
		t.Fatalf("exit %d: %s", o.code, o.err)
	}
	for key, want := range map[string]string{
		"http.addr": "127.0.0.1:2", "data.dir": "/d", "seed": "3", "bus.kind": "gochannel", "agents.select": "[model, decision]",
		"schema.file": "s.yaml", "source.rate": "0", "source.order": "file", "log.level": "warn", "sweep.max_age": "2m", "bus.lanes": "8",
	} {
		for _, v := range got.Values() {
			if v.Key == key && v.Text != want {
				t.Errorf("%s = %s, want %s", key, v.Text, want)
			}
		}
	}
	if got.Origin("seed") != "flag --seed" || got.Origin("sweep.max_age") != "flag --set" || got.Origin("bus.lanes") != "environment AURA_BUS_LANES" {
		t.Errorf("origins %q, %q, %q", got.Origin("seed"), got.Origin("sweep.max_age"), got.Origin("bus.lanes"))
	}
	if o := try(t, runs(&got, nil), nil, "run", "--simulate", "7"); o.code != 0 || got.Config.Simulate.Rate != 7 {
		t.Errorf("--simulate 7: exit %d, rate %g", o.code, got.Config.Simulate.Rate)
	}
}

func TestConfigFileByFlagAndEnvironment(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "other.yaml")
	if err := os.WriteFile(name, []byte("seed: 42"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ environ, args []string }{
		{nil, []string{"run", "--config", name}},
		{[]string{"AURA_CONFIG=" + name}, []string{"run"}},
		{[]string{"AURA_CONFIG=/missing"}, []string{"run", "--config", name}},
	} {
		var got config.Loaded
		if o := try(t, runs(&got, nil), c.environ, c.args...); o.code != 0 || got.Config.Seed != 42 {
			t.Errorf("%v %v: exit %d, seed %d: %s", c.environ, c.args, o.code, got.Config.Seed, o.err)
		}
	}
}

func TestExitCodesOfCommands(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("anything"), 1},
		{usage("do this", "no"), 2},
		{fmt.Errorf("start: %w", config.Errors{{Key: "agents.select", Wrong: "model needs feature", Remedy: "select it too"}}), 3},
		{fmt.Errorf("wait: %w", context.DeadlineExceeded), 4},
		{Exit(ExitDenied, errors.New("no"), "ask"), 5},
		{fmt.Errorf("wrapped: %w", Exit(ExitPrecondition, errors.New("no"), "")), 6},
		{Exit(ExitUnreachable, errors.New("no"), ""), 7},
		{Exit(ExitMissed, errors.New("too slow"), ""), 99},
		{fmt.Errorf("train: %w", context.Canceled), 130},
	} {
		var got config.Loaded
		o := try(t, runs(&got, c.err), nil, "run")
		if o.code != c.want {
			t.Errorf("%v: exit %d, want %d", c.err, o.code, c.want)
		}
		if (o.err == "") != (c.err == nil) || o.out != "" {
			t.Errorf("%v: stderr %q, stdout %q", c.err, o.err, o.out)
		}
	}
}

// A wrong command line is told before anything is looked for, exits with 2 (3 where a value is refused) and says what to
// do: each message has a line of its own for that.
func TestWrongCommandLines(t *testing.T) {
	for _, c := range []struct {
		code int
		want string
		args []string
	}{
		{2, "did you mean mode or model", []string{"modl", "ls"}},
		{2, "did you mean ls", []string{"model", "l"}},
		{2, "ls, restart", []string{"agent"}},
		{2, "did you mean ls", []string{"incident", "lss", "--data", "x"}},
		{2, `unknown command "tcsh"`, []string{"completion", "tcsh"}},
		{2, "aura run --help", []string{"run", "--bogus"}},
		{2, "aura run", []string{"run", "extra"}},
		{2, "-o json", []string{"version", "-o", "yaml"}},
		{2, "key=value", []string{"run", "--set", "seed"}},
		{2, "--reason", []string{"mode", "set", "SAFE_MODE"}},
		{2, "MODEL or SAFE_MODE", []string{"mode", "set", "fast", "--reason", "x"}},
		{2, "--reason", []string{"model", "promote", "2"}},
		{2, "--reason", []string{"model", "rollback"}},
		{2, "--reason", []string{"agent", "restart", "model"}},
		{2, "aura model ls", []string{"model", "show", "newest"}},
		{2, "aura model ls", []string{"model", "promote", "0", "--reason", "x"}},
		{2, "--limit between", []string{"model", "ls", "--limit", "0"}},
		{2, "--ttl 60s", []string{"inject", "crash", "--target", "model"}},
		{2, "--target", []string{"inject", "crash", "--ttl", "60s"}},
		{2, "--delay 2s", []string{"inject", "latency", "--target", "model", "--ttl", "60s"}},
		{2, "leave --delay out", []string{"inject", "crash", "--target", "model", "--ttl", "60s", "--delay", "1s"}},
		{2, "--share above 0", []string{"inject", "error", "--target", "model", "--ttl", "60s", "--share", "0"}},
		{2, "such as 0.4", []string{"inject", "label-noise", "--ttl", "60s"}},
		{2, "--times 0", []string{"inject", "error", "--target", "model", "--ttl", "60s", "--times", "-1"}},
		{2, "latency, error, crash, hang", []string{"inject", "slowness", "--target", "model", "--ttl", "60s"}},
		{2, "aura inject --help", []string{"inject", "crash", "--ttl", "soon"}},
		{2, "aura fault ls", []string{"fault", "stop"}},
		{2, "repaid or defaulted", []string{"feedback", "A-1", "lost"}},
		{2, "aura config validate", []string{"config", "validate", "a", "b"}},
		{2, "aura fault ls", []string{"fault", "stop", "id", "--all"}},
		{2, "--timeout such as", []string{"agent", "ls", "--timeout", "0s"}},
		{2, "host:port", []string{"agent", "ls", "--server", "ftp://x"}},
		{2, "host:port", []string{"agent", "ls", "--server", "http://x/path"}},
		{2, "--clients", []string{"bench", "--clients", "0"}},
		{2, "--duration", []string{"bench", "--duration", "0s"}},
		{2, "--rate", []string{"bench", "--rate", "-1"}},
		{2, "name the file with --source", []string{"run", "--rate", "5"}},
		{2, "there is no source", []string{"run", "--order", "file"}},
		{2, "--rounds", []string{"bench", "--healing-overhead", "--rounds", "1"}},
		{2, "leave one of them out", []string{"bench", "--healing-overhead", "--http"}},
		{3, "bus.lanes", []string{"run", "--set", "lanes=2"}},
		{3, "write a number", []string{"run", "--simulate", "many"}},
		{3, "AURA_TOKEN", []string{"run", "--http", "0.0.0.0:80"}},
		{3, "leave --config out", []string{"run", "--config", "/missing.yaml"}},
		{3, "whole number", []string{"train", "--trees", "many"}},
		{3, "leave --config out", []string{"config", "validate", "/missing.yaml"}},
		{7, "aura run", []string{"agent", "ls"}},
		{7, "--server", []string{"agent", "ls", "--server", "127.0.0.1:1"}},
	} {
		o := try(t, Commands{}, nil, c.args...)
		if o.code != c.code || !strings.Contains(o.err, c.want) || o.out != "" {
			t.Errorf("%v: exit %d (want %d), want %q in %q, stdout %q", c.args, o.code, c.code, c.want, o.err, o.out)
		}
		if c.code != 3 && !strings.Contains(strings.TrimSpace(o.err), "\n  ") {
			t.Errorf("%v: no line that says what to do: %q", c.args, o.err)
		}
	}
}

func TestGoldenConfigShow(t *testing.T) {
	o := try(t, Commands{}, nil, "config", "show", "--origin")
	want, err := os.ReadFile("../config/testdata/defaults.golden")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(o.out) {
		key, rest, _ := strings.Cut(line, " ")
		rest = strings.TrimSpace(rest)
		cut := strings.LastIndex(rest, "  ")
		lines = append(lines, fmt.Sprintf("%s = %s (%s)", key, strings.TrimSpace(rest[:cut]), strings.TrimSpace(rest[cut:])))
	}
	if got := strings.Join(lines[1:], "\n") + "\n"; o.code != 0 || lines[0] != "KEY = VALUE (ORIGIN)" || got != string(want) {
		t.Errorf("exit %d %s\n%s", o.code, o.err, got)
	}
}

func TestConfigShowJSON(t *testing.T) {
	o := try(t, Commands{}, []string{"AURA_TOKEN=hush", "AURA_BUS_LANES=8"}, "config", "show", "-o", "json")
	var got struct{ Items []config.Value }
	if err := json.Unmarshal([]byte(o.out), &got); err != nil || len(got.Items) != len(config.Keys()) {
		t.Fatalf("%v, %d items", err, len(got.Items))
	}
	if strings.Contains(o.out, "hush") {
		t.Error("the token is shown")
	}
	for _, v := range got.Items {
		if v.Key == "bus.lanes" && (v.Any != float64(8) || v.Origin != "environment AURA_BUS_LANES") {
			t.Errorf("got %+v", v)
		}
	}
}

func TestConfigValidate(t *testing.T) {
	o := try(t, Commands{}, nil, "config", "validate", "../../config.yaml")
	if o.code != 0 || !strings.HasPrefix(o.out, "valid: ") {
		t.Errorf("exit %d: %s%s", o.code, o.out, o.err)
	}
	for environ, want := range map[string]string{
		"AURA_SCHEMA_FILE=/nonexistent/s.yaml": "schema.file", "AURA_SOURCE_FILE=/nonexistent/a.csv": "source.file", "AURA_SOURCE_FILE=.": "directory",
	} {
		if o := try(t, Commands{}, []string{environ}, "config", "validate", "../../config.yaml"); o.code != 3 || !strings.Contains(o.err, want) {
			t.Errorf("%s: exit %d: %s%s", environ, o.code, o.out, o.err)
		}
	}
}

// TestConfigValidateAsksWhatRunAsks: what only the program can judge is part of it.
func TestConfigValidateAsksWhatRunAsks(t *testing.T) {
	commands := Commands{Check: func(c config.Config) error {
		return Exit(ExitConfig, fmt.Errorf("agents.select: there is no agent %q", c.Agents.Select[0]), "")
	}}
	for _, command := range []string{"config validate", "playbook check"} {
		o := try(t, commands, []string{"AURA_AGENTS_SELECT=foo"}, append(strings.Fields(command), "../../config.yaml")...)
		if o.code != 3 || o.out != "" || !strings.Contains(o.err, `there is no agent "foo"`) {
			t.Errorf("%s: exit %d: %s%s", command, o.code, o.out, o.err)
		}
	}
}

func TestInterrupts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signals, done := make(chan os.Signal, 2), make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		exited := make(chan int, 1)
		go interrupts(signals, done, cancel, func(code int) { exited <- code })
		synctest.Wait()
		if ctx.Err() != nil {
			t.Fatal("cancelled without a signal")
		}
		signals <- os.Interrupt
		synctest.Wait()
		if ctx.Err() == nil || len(exited) != 0 {
			t.Fatalf("after one signal: context %v, exits %d", ctx.Err(), len(exited))
		}
		signals <- os.Interrupt
		if code := <-exited; code != 130 {
			t.Fatalf("exit %d", code)
		}
	})
}

// After Main has returned nothing of it is left (goleak), though no signal came.
func TestMainReturns(t *testing.T) {
	var out, errs bytes.Buffer
	if code := Main(t.Context(), []string{"version"}, strings.NewReader(""), &out, &errs, Commands{}); code != 0 || !strings.HasPrefix(out.String(), "aura ") {
		t.Errorf("exit %d: %q %q", code, out.String(), errs.String())
	}
}

func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if o := try(t, Commands{}, nil, "completion", shell); o.code != 0 || !strings.Contains(o.out, "aura") {
			t.Errorf("%s: exit %d: %s", shell, o.code, o.err)
		}
	}
	for want, args := range map[string][]string{
		"SAFE_MODE": {"mode", "set", ""}, "promote": {"model", "p"}, "gochannel": {"run", "--bus", ""}, "json": {"-o", ""}, "latency": {"inject", ""}, "defaulted": {"feedback", "A-1", ""},
		"ShellCompDirectiveNoFileComp": {"agent", "restart", ""}, "ShellCompDirectiveFilterFileExt": {"model", "import", ""},
	} {
		if o := try(t, Commands{}, nil, append([]string{"__complete"}, args...)...); !strings.Contains(o.out+o.err, want) {
			t.Errorf("%v: %q, %q lacks %s", args, o.out, o.err, want)
		}
	}
}

func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var plain, bar bytes.Buffer
		p, b := newProgress(&plain, false, "training", time.Now), newProgress(&bar, true, "training", time.Now)
		for n := range 101 {
			p.Set(n, 100)
			b.Set(n, 100)
			time.Sleep(time.Second / 10) // in the bubble's time
		}
		p.End()
		b.End()
		if lines := strings.Count(plain.String(), "\n"); lines != 2+0 || !strings.Contains(plain.String(), "training: 50 of 100 (50 %)") || strings.Contains(plain.String(), "\r") {
			t.Errorf("plain: %q", plain.String())
		}
		if strings.Count(bar.String(), "\n") != 1 || strings.Count(bar.String(), "\r") < 90 || !strings.Contains(bar.String(), "100 %") {
			t.Errorf("bar: %q", bar.String())
		}
	})
}

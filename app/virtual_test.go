package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/fx"

	"aura/agents/fault"
	"aura/agents/governance"
	"aura/app/config"
	"aura/healing/incident"
	"aura/store"
)

// world is the whole process in fake time: what `aura run` wires, its agents, loop, store and simulator, without the web
// server, as a socket would hold fake time up. Work takes no time in it; waiting does.
type world struct {
	*App
	t     *testing.T
	begun time.Time
	log   *worldLog
}

// worldLog keeps the end of the log.
type worldLog struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *worldLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.buf.Len() > 1<<20 {
		l.buf.Next(1 << 19)
	}
	return l.buf.Write(p)
}

func (l *worldLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// virtually runs do against a process in fake time, stops the process and checks what must hold of any run.
func virtually(t *testing.T, change func(*config.Config), do func(w *world), instead ...fx.Option) {
	t.Helper()
	dir := memoryDir(t)
	synctest.Test(t, func(t *testing.T) {
		cfg := config.Default()
		cfg.Data.Dir, cfg.HTTP.Addr = dir, "127.0.0.1:0"
		cfg.Agents.Select = slices.Concat(pipeline, controlNames)
		if change != nil {
			change(&cfg)
		}
		w := &world{t: t, begun: time.Now(), log: &worldLog{}}
		a, err := newApp(t.Context(), cfg, slog.New(slog.NewTextHandler(w.log, nil)), instead...)
		if err != nil {
			t.Fatal(err)
		}
		a.steps = slices.DeleteFunc(a.steps, func(s Step) bool { return s.Name == webName }) // who waits at a socket keeps fake time from passing
		w.App = a
		if err := a.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer func() {
			w.parts.Faults.Clear()
			if err := a.Stop(context.WithoutCancel(t.Context())); err != nil {
				t.Errorf("stop: %v", err)
			}
			if t.Failed() {
				t.Logf("the log:\n%s", w.log)
			}
		}()
		do(w)
	})
}

// inBursts lets the simulator send as many applications a second as ever, a few at once: each burst is one commit, and
// commits are what an hour in fake time spends most of its work on.
func inBursts() fx.Option { return inBurstsOf(5) }

// inBurstsOf says how many come at once.
func inBurstsOf(n float64) fx.Option {
	return fx.Decorate(func(s *source) *source {
		s.stream.Every = time.Duration(n / s.stream.Rate * float64(time.Second))
		return s
	})
}

// memoryDir is a directory that needs no disk where the system has one: fake time stands still while a disk syncs.
func memoryDir(t *testing.T) string {
	const memory = "/dev/shm"
	if info, err := os.Stat(memory); err != nil || !info.IsDir() {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(memory, "aura-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// since is the fake time since the start.
func (w *world) since() time.Duration { return time.Since(w.begun) }

// inject makes a fault and returns it.
func (w *world) inject(f fault.Fault) fault.Fault {
	w.t.Helper()
	made, err := w.parts.Faults.Inject(f)
	if err != nil {
		w.t.Fatal(err)
	}
	return made
}

// incidents of the run, oldest first.
func (w *world) incidents() []incident.Incident {
	w.t.Helper()
	rows, err := w.parts.Store.Incidents(context.WithoutCancel(w.t.Context()), store.IncidentFilter{}, "", 10_000)
	if err != nil {
		w.t.Fatal(err)
	}
	out := make([]incident.Incident, len(rows))
	for i, row := range rows {
		if err := json.Unmarshal(row.Document, &out[len(rows)-1-i]); err != nil {
			w.t.Fatal(err)
		}
	}
	return out
}

// executed are the actions that took effect, undone ones too.
func executed(list []incident.Incident) (out []string) {
	for _, in := range list {
		for _, a := range in.Actions {
			if !a.ExecutedAt.IsZero() {
				out = append(out, fmt.Sprintf("%s of %s:%s", a.Type, in.Kind, in.Target))
			}
		}
	}
	return out
}

// waitFor polls each quarter of a second of fake time until cond holds; it reports whether it did within the limit.
func (w *world) waitFor(limit time.Duration, cond func() bool) bool {
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(250 * time.Millisecond) {
		if cond() {
			return true
		}
	}
	return cond()
}

// sound says what is broken of what must hold of any run: the audit, each application decided.
func (w *world) sound() (problems []string) {
	ctx := context.WithoutCancel(w.t.Context())
	if r, err := w.parts.Store.VerifyRecords(ctx, vouch(governance.KeyFile(w.parts.Store.Dir()))); err != nil || r.Broken != 0 || r.Row != "" {
		problems = append(problems, fmt.Sprintf("audit: %+v, %v", r, err))
	}
	if !w.waitFor(10*time.Second, func() bool { return w.parts.Window.Undecided() < 5 }) {
		problems = append(problems, fmt.Sprintf("%d applications are undecided", w.parts.Window.Undecided()))
	}
	return problems
}

// inCharge says so where the model does not decide.
func (w *world) inCharge() []string {
	if m := w.parts.View.Current().Mode; m != "MODEL" {
		return []string{"the mode is " + string(m)}
	}
	return nil
}

// story tells incidents for a person.
func story(list []incident.Incident, begun time.Time) string {
	var b strings.Builder
	for _, in := range list {
		fmt.Fprintf(&b, "%s %s:%s %s/%s degraded %v onset %.1fs\n", in.ID, in.Kind, in.Target, in.Status, in.State, in.Degraded, in.OnsetAt.Sub(begun).Seconds())
		for _, e := range in.Timeline {
			fmt.Fprintf(&b, "  %7.1fs %s -> %s [%s] %s: %s\n", e.At.Sub(begun).Seconds(), e.From, e.State, e.Event, e.Action, e.Text)
		}
	}
	return b.String()
}

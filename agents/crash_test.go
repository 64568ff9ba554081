package agents_test

import (
	"bytes"
	"context"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"aura/agents"
	"aura/agents/bus"
	"aura/agents/fault"
)

// poison panics on one key and passes everything else on.
func poison(bad string) handle {
	return func(ctx context.Context, m *bus.Message, out *agents.Outbox) error {
		if err := forward(ctx, m, out); err != nil {
			return err
		}
		if key(m) == bad {
			panic("poisoned")
		}
		return nil
	}
}

func TestPanicStrikesOnlyTheEventAtTheCursor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log bytes.Buffer
		r := newRig(t, agents.Options{Logger: slog.New(slog.NewJSONHandler(&log, nil))}, 1)
		r.add(r.relay(agents.Spec{NewHandler: all(poison("bad"))}))
		r.publish("a", "b", "bad", "c", "d")
		r.start()
		pass(80 * time.Millisecond) // the crash was that of a young life, so its lane waits 50 ms
		r.want("a", "b", "c", "d")
		s := r.wantState(agents.Running)
		if s.Incarnation != 2 || s.Failed != 1 || s.Handled != 4 || s.Queue != 1 || s.Refused != 0 {
			t.Fatalf("%+v", s)
		}
		if held := r.sup.Holds(map[string]bool{"bad": true, "a": true}); len(held) != 1 || !held["bad"] {
			t.Fatalf("holds %v", held)
		}
		pass(100 * time.Millisecond)
		r.beatsHave(agents.Crashed, 1)
		// Each further panic counts because others come through in between; the third one is the last.
		for range 20 {
			r.publish("x")
			pass(100 * time.Millisecond)
		}
		if len(r.givenUp) != 1 || r.givenUp[0] != "bad: panic: poisoned" {
			t.Fatalf("given up: %v", r.givenUp)
		}
		if s := r.wantState(agents.Running); s.Incarnation != 4 || s.Queue != 0 || s.Failed != 3 {
			t.Fatalf("%+v", s)
		}
		if n := len(r.got()); n != 24 {
			t.Fatalf("%d results", n)
		}
		if !strings.Contains(log.String(), "crash_test.go") {
			t.Fatal("the log doesn't show the stack of the panic")
		}
	})
}

func TestCrashLoopDoesNotSpin(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, agents.Options{}, 2)
		r.start(r.relay(agents.Spec{NewHandler: all(forward)}))
		r.inject(fault.Fault{Kind: fault.Crash, TTL: 2 * time.Minute})
		want := 200
		for i := range want {
			r.publish("k" + string(rune('a'+i%20)))
		}
		pass(119 * time.Second)
		// 0.1 + 0.2 + ... + 6.4 s, then every 10 s; anew where the other lane finished something before it was stopped.
		if s := r.status(); s.Restarts < 5 || s.Restarts > 60 {
			t.Fatalf("%d restarts in two minutes", s.Restarts)
		}
		if len(r.givenUp) != 0 {
			t.Fatalf("the agent was at fault, and yet it gave up %v", r.givenUp)
		}
		pass(30 * time.Second)
		if n := len(r.got()); n != want {
			t.Fatalf("%d of %d came through", n, want)
		}
	})
}

func TestPanicInConstructorAndGoexitAreCrashes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, agents.Options{}, 1)
		r.start(r.relay(agents.Spec{NewHandler: func(l agents.Life) agents.Handler {
			switch l.Incarnation {
			case 1:
				panic("no handler")
			case 2:
				return handle(func(context.Context, *bus.Message, *agents.Outbox) error {
					runtime.Goexit()
					return nil
				})
			}
			return handle(forward)
		}}))
		r.publish("a")
		pass(time.Second)
		r.want("a")
		if s := r.wantState(agents.Running); s.Incarnation != 3 {
			t.Fatalf("%+v", s)
		}
	})
}

package agents_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"aura/agents"
	"aura/agents/bus"
	"aura/agents/event"
	"aura/agents/fault"
)

func TestGovernedRestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var held atomic.Bool
		held.Store(true)
		r := newRig(t, agents.Options{Restart: agents.RestartGoverned, Governed: held.Load}, 1)
		r.start(r.relay(agents.Spec{NewHandler: all(forward)}))
		r.inject(fault.Fault{Kind: fault.Crash, Times: 1})
		pass(time.Millisecond)
		r.publish("a", "b")
		pass(10 * time.Second)
		s := r.wantState(agents.Crashed)
		if s.Incarnation != 1 || s.Queue != 2 || !strings.HasPrefix(s.Cause, "panic: injected crash") {
			t.Fatalf("%+v", s)
		}
		r.beatsHave(agents.Crashed, 1)
		if n, err := r.sup.Restart(ctx, "relay", "healing"); n != 2 || err != nil {
			t.Fatal(n, err)
		}
		pass(time.Second)
		r.want("b", "a")
		r.inject(fault.Fault{Kind: fault.Crash, Times: 1})
		r.publish("c")
		pass(20 * time.Second)
		r.wantState(agents.Crashed)
		held.Store(false) // healing is gone: auto takes over
		pass(time.Second)
		r.want("b", "a", "c")
		r.wantState(agents.Running)
	})
}

func TestRestartReplacesAHealthyLife(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, agents.Options{}, 2)
		r.start(r.relay(agents.Spec{NewHandler: func(l agents.Life) agents.Handler {
			return handle(func(ctx context.Context, m *bus.Message, out *agents.Outbox) error {
				time.Sleep(10 * time.Millisecond)
				return forward(ctx, m, out)
			})
		}}))
		for range 100 {
			r.publish("a", "b", "c", "d", "e")
		}
		pass(55 * time.Millisecond)
		for i := range 10 {
			if n, err := r.sup.Restart(ctx, "relay", "rolling"); n != int64(i+2) || err != nil {
				t.Fatal(n, err)
			}
			pass(75 * time.Millisecond)
		}
		pass(10 * time.Second)
		if n := len(r.got()); n != 500 {
			t.Fatalf("%d results of 500: a healthy life was not replaced without loss or double", n)
		}
		if s := r.status(); s.Refused != 0 || s.Zombies != 0 || s.Failed != 0 || s.Restarts != 10 {
			t.Fatalf("%+v", s)
		}
	})
}

func TestRestartThatCannotHaveANumberChangesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, agents.Options{}, 1)
		r.start(r.relay(agents.Spec{NewHandler: all(forward)}))
		pass(time.Second)
		r.numbers.fail(errBroken)
		if _, err := r.sup.Restart(ctx, "relay", "try"); !errors.Is(err, errBroken) {
			t.Fatal(err)
		}
		r.publish("a")
		pass(time.Second)
		r.want("a")
		// A crash now: the agent waits for its number as long as it takes, and comes back.
		r.inject(fault.Fault{Kind: fault.Crash, Times: 1})
		r.publish("b")
		pass(30 * time.Second)
		r.wantState(agents.Crashed)
		r.numbers.fail(nil)
		pass(11 * time.Second)
		r.want("a", "b")
		if _, err := r.sup.Restart(ctx, "nobody", "try"); !errors.Is(err, agents.ErrUnknownAgent) {
			t.Fatal(err)
		}
	})
}

func TestStopLetsHandlersFinishAndAbandonsWhatHangs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, agents.Options{StageDeadline: time.Minute}, 1)
		release := make(chan struct{})
		r.add(r.relay(agents.Spec{NewHandler: all(func(ctx context.Context, m *bus.Message, out *agents.Outbox) error {
			if key(m) == "stuck" {
				<-release
			}
			time.Sleep(time.Second)
			return forward(ctx, m, out)
		})}))
		r.publish("a", "b", "stuck")
		r.start()
		pass(1500 * time.Millisecond)
		r.want("a")
		c, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		begin := time.Now()
		if err := r.sup.Stop(c); err != nil || time.Since(begin) != 500*time.Millisecond {
			t.Fatalf("stop: %v after %s", err, time.Since(begin))
		}
		r.want("a", "b") // b was in hand, stuck was not
		if r.sup.Stop(c) != nil || r.wantState(agents.Stopped).Queue != 1 {
			t.Fatal("a second stop changed something")
		}
		if _, err := r.sup.Restart(ctx, "relay", "try"); !errors.Is(err, agents.ErrNotRunning) {
			t.Fatal(err)
		}

		r2 := newRig(t, agents.Options{StageDeadline: time.Minute}, 1)
		r2.start(r2.relay(agents.Spec{NewHandler: all(func(context.Context, *bus.Message, *agents.Outbox) error {
			<-release
			return nil
		})}))
		r2.publish("stuck")
		pass(time.Second)
		c2, cancel2 := context.WithTimeout(ctx, 2*time.Second)
		defer cancel2()
		begin = time.Now()
		err := r2.sup.Stop(c2)
		if err == nil || time.Since(begin) != 2500*time.Millisecond || !strings.Contains(err.Error(), "relay") {
			t.Fatalf("stop with a hung handler: %v after %s", err, time.Since(begin))
		}
		r2.stopped = true
		close(release)
	})
}

func TestAddAndStartRefuseNonsense(t *testing.T) {
	if _, err := agents.New(agents.Options{}); err == nil {
		t.Fatal("a supervisor without transport")
	}
	bubble(t, func(t *testing.T) {
		r := newRig(t, agents.Options{}, 1)
		spec := r.relay(agents.Spec{NewHandler: all(forward)})
		if r.sup.Add(agents.Spec{}) == nil {
			t.Fatal("a nameless agent was added")
		}
		r.start(spec)
		if r.sup.Add(spec) == nil || r.sup.Start(ctx) == nil {
			t.Fatal("added or started twice")
		}
		if r.sup.Mailbox("relay", event.RawEvents) == nil || r.sup.Mailbox("relay", event.Decisions) != nil {
			t.Fatal("mailbox")
		}
	})
}

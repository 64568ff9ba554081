package agents_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"aura/agents"
	"aura/agents/bus"
	"aura/agents/fault"
)

func TestSlowHandlerStillDecides(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, agents.Options{}, 1)
		r.start(r.relay(agents.Spec{NewHandler: all(forward)}))
		r.inject(fault.Fault{Kind: fault.Latency, Delay: 2500 * time.Millisecond, TTL: 20 * time.Second})
		r.publish("a", "b")
		pass(1300 * time.Millisecond)
		if s := r.wantState(agents.Slow); s.Incarnation != 1 || s.InFlight != 1 {
			t.Fatalf("%+v", s)
		}
		// 1 s and 2 s are too short, then 4 s is enough: a comes at 1 + 2 + 2.5 s, b 2.5 s later.
		pass(7 * time.Second)
		r.want("a", "b")
		if s := r.status(); s.Failed != 0 || s.Restarts != 0 || len(r.givenUp) != 0 {
			t.Fatalf("being slow was held against somebody: %+v %v", s, r.givenUp)
		}
		pass(12 * time.Second) // the fault is over
		r.publish("c", "d")
		pass(time.Second)
		r.publish("e")
		pass(time.Second)
		r.want("a", "b", "c", "d", "e")
		r.wantState(agents.Running)
	})
}

func TestSlowHandlerAtTheLongestDeadlineIsAFailure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, agents.Options{}, 1)
		r.start(r.relay(agents.Spec{NewHandler: all(func(ctx context.Context, m *bus.Message, out *agents.Outbox) error {
			if key(m) == "endless" {
				<-ctx.Done()
				return ctx.Err()
			}
			return forward(ctx, m, out)
		})}))
		r.publish("endless")
		for range 600 {
			r.publish("x")
			pass(time.Second)
		}
		if len(r.givenUp) != 1 || r.status().Restarts != 0 {
			t.Fatalf("given up %v, %+v", r.givenUp, r.status())
		}
		if n := len(r.got()); n != 600 {
			t.Fatalf("%d of 600 others came through", n)
		}
	})
}

func TestHungHandlerIsAbandonedAndFenced(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, agents.Options{}, 1)
		r.start(r.relay(agents.Spec{NewHandler: all(forward)}))
		r.inject(fault.Fault{Kind: fault.Hang, Times: 1, TTL: 10 * time.Second})
		r.publish("a", "b", "c")
		pass(1400 * time.Millisecond)
		if s := r.status(); s.Incarnation != 1 || s.InFlight != 1 {
			t.Fatalf("before the grace is over: %+v", s)
		}
		pass(400 * time.Millisecond)
		s := r.wantState(agents.Running)
		if s.Incarnation != 2 || s.Zombies != 1 || s.Restarts != 1 {
			t.Fatalf("after the hang: %+v", s)
		}
		r.want("b", "c", "a") // the message that hung is set aside, the others go on
		r.beatsHave(agents.Hung, 1)
		pass(10 * time.Second)
		s = r.status()
		if s.Zombies != 0 || s.Refused != 1 || s.Handled != 3 {
			t.Fatalf("after the zombie returned: %+v", s)
		}
		r.want("b", "c", "a")
	})
}

// beatsHave fails unless exactly one beat announced the state for the incarnation.
func (r *rig) beatsHave(s agents.State, incarnation int64) {
	r.t.Helper()
	n := 0
	for _, b := range r.beatsSince() {
		if b.State == string(s) && b.Incarnation == incarnation {
			n++
		}
	}
	if n != 1 {
		r.t.Fatalf("%s of incarnation %d was announced %d times", s, incarnation, n)
	}
}

func TestQuarantineAfterTooManyZombies(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, agents.Options{}, 2)
		r.start(r.relay(agents.Spec{NewHandler: all(forward)}))
		r.inject(fault.Fault{Kind: fault.Hang, TTL: time.Minute})
		r.publish("a", "b", "c", "d", "e", "f", "g", "h")
		pass(20 * time.Second)
		s := r.wantState(agents.Quarantined)
		if s.Incarnation != 3 || s.Zombies < 3 || s.Cause != "3 abandoned lives still run" {
			t.Fatalf("%+v", s)
		}
		r.beatsHave(agents.Quarantined, 3)
		if b := r.beatsSince(); len(b) != 0 {
			t.Fatalf("a quarantined agent beats: %+v", b[0])
		}
		if _, err := r.sup.Restart(ctx, "relay", "try"); !errors.Is(err, agents.ErrQuarantined) {
			t.Fatalf("restart: %v", err)
		}
		pass(50 * time.Second) // the fault ends, the zombies return
		s = r.wantState(agents.Quarantined)
		if s.Zombies != 0 || s.Refused < 3 || !strings.Contains(s.Cause, "can be restarted") {
			t.Fatalf("%+v", s)
		}
		if n, err := r.sup.Restart(ctx, "relay", "the fault is over"); n != 4 || err != nil {
			t.Fatal(n, err)
		}
		pass(5 * time.Second)
		if n := len(r.got()); n != 8 {
			t.Fatalf("%d of 8 came through", n)
		}
	})
}

// A batch with a slow event in the middle must not hold back what was done before it and after it.
func TestResultsDoNotWaitForASlowNeighbour(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, agents.Options{}, 1)
		r.add(r.relay(agents.Spec{NewHandler: all(func(ctx context.Context, m *bus.Message, out *agents.Outbox) error {
			switch key(m) {
			case "a", "b":
				time.Sleep(5 * time.Millisecond)
			case "slow", "slower":
				time.Sleep(600 * time.Millisecond)
			}
			return forward(ctx, m, out)
		})}))
		r.publish("a", "slow", "b", "slower", "c")
		r.start()
		pass(10 * time.Millisecond)
		r.want("a")
		pass(650 * time.Millisecond)
		r.want("a", "slow", "b")
		pass(time.Second)
		r.want("a", "slow", "b", "slower", "c")
	})
}

func TestSlowEndsWithoutTraffic(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, agents.Options{}, 1)
		r.start(r.relay(agents.Spec{NewHandler: all(forward)}))
		r.inject(fault.Fault{Kind: fault.Latency, Delay: 1500 * time.Millisecond, TTL: 4 * time.Second})
		r.publish("a")
		pass(1200 * time.Millisecond)
		r.wantState(agents.Slow)
		pass(10 * time.Second)
		r.want("a")
		r.wantState(agents.Running)
	})
}

// What the watchdog has given up already must not use up the time that Stop has.
func TestStopDoesNotWaitForTheAbandoned(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, agents.Options{}, 1)
		r.start(r.relay(agents.Spec{NewHandler: all(forward)}))
		r.inject(fault.Fault{Kind: fault.Hang, Times: 1})
		r.publish("a")
		pass(1200 * time.Millisecond)
		begin := time.Now()
		c, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		if err := r.sup.Stop(c); err == nil || time.Since(begin) > 2*time.Second {
			t.Fatalf("stop: %v after %s", err, time.Since(begin))
		}
		r.stopped = true
		if s := r.status(); s.State != agents.Stopped || s.Queue != 1 {
			t.Fatalf("%+v", s)
		}
	})
}

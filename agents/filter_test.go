package agents_test

import (
	"context"
	"testing"
	"time"

	"aura/agents"
	"aura/agents/bus"
	"aura/agents/event"
	"aura/agents/fault"
)

func TestFilterSeesTheBatchBeforeAnyFault(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, agents.Options{}, 1)
		odd := func(_ time.Time, _ int, batch []*bus.Message) []*bus.Message {
			kept := batch[:0] // in place, as a filter may
			for _, m := range batch {
				if len(key(m)) == 1 {
					kept = append(kept, m)
				}
			}
			return kept
		}
		r.add(r.relay(agents.Spec{Inputs: []agents.Input{{Topic: event.RawEvents, Filter: odd}}, NewHandler: all(forward)}))
		r.inject(fault.Fault{Kind: fault.Latency, Delay: 10 * time.Millisecond})
		r.publish("no", "a", "no", "no", "b", "no")
		r.start()
		pass(25 * time.Millisecond)
		r.want("a", "b")
		if s := r.status(); s.Handled != 2 || s.Queue != 0 {
			t.Fatalf("%+v", s)
		}
		r.publish("no", "no")
		pass(time.Millisecond)
		if s := r.status(); s.Handled != 2 || s.Queue != 0 {
			t.Fatalf("a batch without anything to handle: %+v", s)
		}
	})
}

// A filter that begins to drop must not wait until a slow agent is through what it has in hand.
func TestFilterIsAskedAgainWhileABatchIsLong(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, agents.Options{}, 1)
		start := time.Now()
		bypass := func(now time.Time, _ int, batch []*bus.Message) []*bus.Message {
			if now.Sub(start) > 2*time.Second {
				return nil
			}
			return batch
		}
		r.add(r.relay(agents.Spec{Inputs: []agents.Input{{Topic: event.RawEvents, Filter: bypass}}, NewHandler: all(forward)}))
		r.inject(fault.Fault{Kind: fault.Latency, Delay: 500 * time.Millisecond})
		for range 1000 {
			r.publish("a")
		}
		r.start()
		pass(3 * time.Second)
		if s := r.status(); s.Queue != 0 || s.Handled > 5 {
			t.Fatalf("%+v", s)
		}
	})
}

func TestPanicInAFilterIsACrashAndLosesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, agents.Options{}, 1)
		calls := 0
		filter := func(_ time.Time, _ int, batch []*bus.Message) []*bus.Message {
			// The first two batches, and the first time that what was set aside comes again.
			if calls++; calls <= 2 || calls == 4 {
				panic("filter")
			}
			return batch
		}
		once := handle(func(ctx context.Context, m *bus.Message, out *agents.Outbox) error {
			if key(m) == "a" && m.Attempt == 1 {
				return errBroken
			}
			return forward(ctx, m, out)
		})
		r.add(r.relay(agents.Spec{Inputs: []agents.Input{{Topic: event.RawEvents, Filter: filter}}, NewHandler: all(once)}))
		r.publish("a", "b")
		r.start()
		pass(3 * time.Second)
		r.want("b", "a")
		if s := r.wantState(agents.Running); s.Restarts != 3 || len(r.givenUp) != 0 {
			t.Fatalf("%+v", s)
		}
	})
}

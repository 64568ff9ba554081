package agents_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"aura/agents"
	"aura/agents/bus"
	"aura/agents/event"
	"aura/agents/fault"
)

// wrapped is a transport whose lanes and Publish a test can bend.
type wrapped struct {
	bus.Transport
	publish func(context.Context, ...*bus.Message) error
	take    func(ctx context.Context, l bus.Lane, limit int) ([]*bus.Message, error)
}

func (w *wrapped) Publish(ctx context.Context, messages ...*bus.Message) error {
	if w.publish != nil && messages[0].Event.Topic() != event.Metrics {
		return w.publish(ctx, messages...)
	}
	return w.Transport.Publish(ctx, messages...)
}

func (w *wrapped) Mailbox(o bus.MailboxOptions) (bus.Mailbox, error) {
	m, err := w.Transport.Mailbox(o)
	return wrappedBox{m, w}, err
}

type wrappedBox struct {
	bus.Mailbox
	w *wrapped
}

func (b wrappedBox) Lanes() (out []bus.Lane) {
	for _, l := range b.Mailbox.Lanes() {
		out = append(out, wrappedLane{l, b.w})
	}
	return out
}

type wrappedLane struct {
	bus.Lane
	w *wrapped
}

func (l wrappedLane) Take(ctx context.Context, limit int) ([]*bus.Message, error) {
	if l.w.take != nil {
		return l.w.take(ctx, l.Lane, limit)
	}
	return l.Lane.Take(ctx, limit)
}

// wrap puts a bent transport under the rig's supervisor.
func (r *rig) wrap(w *wrapped, o agents.Options) {
	r.t.Helper()
	w.Transport = r.bus
	o.Transport, o.Incarnations, o.Injector = w, r.numbers, r.faults
	var err error
	if r.sup, err = agents.New(o); err != nil {
		r.t.Fatal(err)
	}
}

// A publish that was under way when its life was replaced, and comes back afterwards, must not ack for the next one.
func TestLatePublishAcksNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, agents.Options{}, 1)
		var publishes atomic.Int64
		w := &wrapped{}
		w.publish = func(ctx context.Context, messages ...*bus.Message) error {
			if publishes.Add(1) == 1 {
				time.Sleep(3 * time.Second) // deaf to its context
			}
			return r.bus.Publish(context.WithoutCancel(ctx), messages...)
		}
		r.wrap(w, agents.Options{})
		r.start(r.relay(agents.Spec{NewHandler: all(func(ctx context.Context, m *bus.Message, out *agents.Outbox) error {
			if m.Attempt > 1 {
				time.Sleep(900 * time.Millisecond) // so that the late one comes back while a batch is in hand
			}
			return forward(ctx, m, out)
		})}))
		r.publish("a", "b", "c")
		pass(time.Second)
		if _, err := r.sup.Restart(ctx, "relay", "test"); err != nil {
			t.Fatal(err)
		}
		pass(500 * time.Millisecond)
		pass(1700 * time.Millisecond) // the late publish has come back, c is in hand
		if s := r.status(); s.Refused == 0 || s.Queue == 0 {
			t.Fatalf("%+v", s)
		}
		if _, err := r.sup.Restart(ctx, "relay", "test"); err != nil {
			t.Fatal(err)
		}
		pass(10 * time.Second)
		seen := map[string]bool{}
		for _, k := range r.got() {
			seen[k] = true
		}
		if s := r.status(); len(seen) != 3 || s.Queue != 0 || s.Zombies != 0 {
			t.Fatalf("%v, %+v", r.got(), s)
		}
	})
}

// A Take that comes back long after its life was replaced hands over what it got.
func TestLateTakeHandsOver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, agents.Options{}, 1)
		var takes atomic.Int64
		w := &wrapped{take: func(ctx context.Context, l bus.Lane, limit int) ([]*bus.Message, error) {
			if takes.Add(1) == 1 {
				<-ctx.Done()
				time.Sleep(2 * time.Second)
				return l.Take(context.WithoutCancel(ctx), limit)
			}
			return l.Take(ctx, limit)
		}}
		r.wrap(w, agents.Options{})
		r.start(r.relay(agents.Spec{NewHandler: all(func(ctx context.Context, m *bus.Message, out *agents.Outbox) error {
			time.Sleep(700 * time.Millisecond)
			return forward(ctx, m, out)
		})}))
		pass(time.Millisecond)
		if _, err := r.sup.Restart(ctx, "relay", "test"); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		r.publish("a", "b")
		pass(1100 * time.Millisecond)
		r.publish("c")
		pass(10 * time.Second)
		r.want("a", "b", "c")
		if s := r.status(); s.Queue != 0 || s.Zombies != 0 {
			t.Fatalf("%+v", s)
		}
	})
}

// What a dead life had in hand is back in its lane at once, whoever restarts the agent and when.
func TestDeadLifeGivesBack(t *testing.T) {
	for _, kind := range []fault.Kind{fault.Crash, fault.Hang} {
		t.Run(string(kind), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				governed := agents.Options{Restart: agents.RestartGoverned, Governed: func() bool { return true }}
				r := newRig(t, governed, 1)
				r.add(r.relay(agents.Spec{NewHandler: all(forward)}))
				r.inject(fault.Fault{Kind: kind, Times: 1})
				r.publish("a", "b", "c")
				r.start()
				pass(5 * time.Second)
				lane := r.sup.Mailbox("relay", event.RawEvents).Lanes()[0]
				c, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				batch, err := lane.Take(c, 10)
				if err != nil || len(batch) != 3 {
					t.Fatalf("%d messages are back, %v", len(batch), err)
				}
				lane.Return()
			})
		})
	}
}

// Messages that fail slowly and are due all the time must not keep the lane from what is new.
func TestWhatIsSetAsideTakesTurnsWithTheLane(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, agents.Options{}, 1)
		r.start(r.relay(agents.Spec{NewHandler: all(func(ctx context.Context, m *bus.Message, out *agents.Outbox) error {
			if key(m) == "bad" {
				time.Sleep(900 * time.Millisecond)
				return errBroken
			}
			return forward(ctx, m, out)
		})}))
		for range 30 {
			r.publish("bad")
		}
		pass(40 * time.Second)
		r.publish("a")
		pass(2 * time.Second)
		r.want("a")
	})
}

// Messages that crash each life as soon as they are tried must leave it time for the other lanes.
func TestAYoungLifeBeginsWithTheLanes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, agents.Options{}, 2)
		r.add(r.relay(agents.Spec{NewHandler: all(func(ctx context.Context, m *bus.Message, out *agents.Outbox) error {
			if key(m)[0] == 'b' {
				panic("poisoned")
			}
			time.Sleep(10 * time.Millisecond)
			return forward(ctx, m, out)
		})}))
		lanes := r.sup.Mailbox("relay", event.RawEvents).Lanes()
		r.publish("good")
		goods := 0
		if lanes[1].Len() == 1 {
			goods = 1
		}
		for i, n := 0, 0; n < 10; i++ {
			if k := fmt.Sprint("bad", i); laneOf(t, k) != goods {
				r.publish(k)
				n++
			}
		}
		for range 200 {
			r.publish("good")
		}
		r.start()
		pass(3 * time.Second)
		if n := len(r.got()); n < 80 {
			t.Fatalf("%d others in three seconds and %d lives", n, r.status().Incarnation)
		}
		pass(30 * time.Second)
		if n := len(r.got()); n != 201 || len(r.givenUp) == 0 {
			t.Fatalf("%d of 201 others, %d given up, %+v", n, len(r.givenUp), r.status())
		}
	})
}

// laneOf says which of two lanes a key goes to.
func laneOf(t *testing.T, key string) int {
	t.Helper()
	probe := bus.NewMemory(bus.MemoryOptions{Lanes: 2})
	defer probe.Close()
	m, err := probe.Mailbox(bus.MailboxOptions{Topic: event.RawEvents})
	if err != nil {
		t.Fatal(err)
	}
	if err := probe.Publish(ctx, bus.NewMessage(raw(key), time.Now())); err != nil {
		t.Fatal(err)
	}
	return m.Lanes()[1].Len()
}

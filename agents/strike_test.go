package agents_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"aura/agents"
	"aura/agents/bus"
	"aura/agents/event"
	"aura/agents/fault"
)

// failing fails on the keys in bad and passes everything else on.
func failing(bad map[string]error) handle {
	return func(ctx context.Context, m *bus.Message, out *agents.Outbox) error {
		if err := forward(ctx, m, out); err != nil {
			return err
		}
		return bad[key(m)]
	}
}

func TestThreeStrikesWithOthersInBetween(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, agents.Options{}, 1)
		r.start(r.relay(agents.Spec{NewHandler: all(failing(map[string]error{"bad": errBroken}))}))
		r.publish("a", "bad", "b", "bad2")
		pass(time.Millisecond)
		r.want("a", "b", "bad2")
		pass(150 * time.Millisecond) // second try; b came through in between
		r.publish("c")
		pass(250 * time.Millisecond) // third try
		if len(r.givenUp) != 1 || r.givenUp[0] != "bad: broken" {
			t.Fatalf("given up: %v", r.givenUp)
		}
		s := r.wantState(agents.Running)
		if s.Failed != 3 || s.Handled != 4 || s.Incarnation != 1 || s.Queue != 0 {
			t.Fatalf("%+v", s)
		}
	})
}

func TestAnAgentThatFinishesNothingIsAtFaultItself(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, agents.Options{}, 2)
		r.start(r.relay(agents.Spec{NewHandler: all(forward)}))
		r.inject(fault.Fault{Kind: fault.Error, TTL: 10 * time.Minute})
		var want []string
		for i := range 500 { // far more than fits aside
			want = append(want, fmt.Sprint("k", i))
		}
		r.publish(want...)
		pass(9 * time.Minute)
		if len(r.givenUp) != 0 || len(r.got()) != 0 {
			t.Fatalf("given up %v", r.givenUp)
		}
		if n := r.sup.Mailbox("relay", event.RawEvents).Depth(); n < 500-2*64 {
			t.Fatalf("%d of 500 are set aside: that is not bounded", 500-n)
		}
		if s := r.status(); s.Queue != 500 || s.Restarts != 0 || s.QueueAge < 9*time.Minute {
			t.Fatalf("%+v", s)
		}
		pass(time.Minute + 10*time.Second)
		if n := len(r.got()); n != 500 || len(r.givenUp) != 0 {
			t.Fatalf("%d of 500 came through, given up %v", n, r.givenUp)
		}
	})
}

func TestMorePoisonThanFitsAside(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, agents.Options{}, 1)
		bad := map[string]error{}
		var keys []string
		for i := range 300 {
			k := fmt.Sprint("bad", i)
			bad[k] = errBroken
			keys = append(keys, k)
		}
		r.start(r.relay(agents.Spec{
			Inputs:     []agents.Input{{Topic: event.RawEvents}, {Topic: event.FeaturesTopic}},
			NewHandler: all(failing(bad)),
		}))
		r.publish(keys...)
		for range 300 { // the other input shows that the agent is not at fault
			e := &event.Features{Subject: event.Subject{ID: "x", ApplicationID: "x"}}
			if err := r.bus.Publish(ctx, bus.NewMessage(e, time.Now())); err != nil {
				t.Fatal(err)
			}
			pass(time.Second)
		}
		seen := map[string]int{}
		for _, g := range r.givenUp {
			seen[g]++
		}
		if len(r.givenUp) != 300 || len(seen) != 300 {
			t.Fatalf("%d given up, %d different", len(r.givenUp), len(seen))
		}
	})
}

func TestNotReadyWaitsWithoutAStrike(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, agents.Options{}, 1)
		ready := time.Now().Add(5 * time.Minute)
		var calls atomic.Int64
		reason := func() error {
			if time.Now().Before(ready) {
				return fmt.Errorf("no model: %w", agents.ErrNotReady)
			}
			return nil
		}
		r.start(r.relay(agents.Spec{Ready: reason, NewHandler: all(func(ctx context.Context, m *bus.Message, out *agents.Outbox) error {
			calls.Add(1)
			if err := reason(); err != nil {
				return err
			}
			return forward(ctx, m, out)
		})}))
		r.publish("a", "b", "c")
		pass(4 * time.Minute)
		s := r.wantState(agents.Running)
		if s.Failed != 0 || s.Queue != 3 || s.NotReady == "" || len(r.givenUp) != 0 {
			t.Fatalf("%+v", s)
		}
		if n := calls.Load(); n > 3000 {
			t.Fatalf("%d calls in four minutes: it spins", n)
		}
		pass(2 * time.Minute)
		r.want("a", "b", "c")
	})
}

// broken is a lane whose messages can't be decoded.
type undecodable struct{ bus.Transport }

func (u undecodable) Mailbox(o bus.MailboxOptions) (bus.Mailbox, error) {
	m, err := u.Transport.Mailbox(o)
	return garbledBox{m}, err
}

type garbledBox struct{ bus.Mailbox }

func (b garbledBox) Lanes() (out []bus.Lane) {
	for _, l := range b.Mailbox.Lanes() {
		out = append(out, garbledLane{l})
	}
	return out
}

type garbledLane struct{ bus.Lane }

func (l garbledLane) Take(ctx context.Context, limit int) ([]*bus.Message, error) {
	batch, err := l.Lane.Take(ctx, limit)
	for _, m := range batch {
		if m.Event != nil && key(m) == "garbled" {
			m.Event, m.Payload, m.Err = nil, []byte("{"), errBroken
		}
	}
	return batch, err
}

func TestUndecodableIsGivenUpOnceAndTriedAgainOnlyIfThatFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, agents.Options{}, 1)
		sup, err := agents.New(agents.Options{Transport: undecodable{r.bus}, Incarnations: r.numbers})
		if err != nil {
			t.Fatal(err)
		}
		r.sup = sup
		refusals, calls := 4, 0
		r.start(r.relay(agents.Spec{
			NewHandler: all(forward),
			GiveUp: func(_ context.Context, m *bus.Message, cause error) error {
				calls++
				if m.Event != nil || !errors.Is(cause, errBroken) {
					t.Errorf("given up: %+v, %v", m, cause)
				}
				if calls <= refusals {
					return errors.New("the store is away")
				}
				return nil
			},
		}))
		r.publish("a", "garbled", "b")
		pass(time.Minute)
		r.want("a", "b")
		if s := r.status(); calls != 5 || s.Queue != 0 || s.Handled != 2 {
			t.Fatalf("GiveUp was called %d times, %+v", calls, s)
		}
	})
}

func TestAttemptCountsHandling(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, agents.Options{}, 1)
		attempts := map[string][]int{}
		r.add(r.relay(agents.Spec{NewHandler: all(func(_ context.Context, m *bus.Message, _ *agents.Outbox) error {
			attempts[key(m)] = append(attempts[key(m)], m.Attempt)
			if key(m) == "bad" && m.Attempt == 1 {
				panic("once")
			}
			return nil
		})}))
		r.publish("a", "bad", "b")
		r.start()
		pass(time.Second)
		if got := fmt.Sprint(attempts); got != "map[a:[1] b:[1] bad:[1 2]]" {
			t.Fatal(got)
		}
	})
}

package agents_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"aura/agents"
	"aura/agents/bus"
	"aura/agents/event"
)

// collector is a Finisher like the decision agent: Handle collects, Finish emits.
type collector struct {
	pending []event.Subject
	sizes   *[]int
	finish  func(pending []event.Subject) error
}

func (c *collector) Handle(_ context.Context, m *bus.Message, _ *agents.Outbox) error {
	e := m.Event.(*event.RawEvent)
	if e.ID == "fails" {
		return errBroken
	}
	c.pending = append(c.pending, e.Subject)
	return nil
}

func (c *collector) Finish(_ context.Context, out *agents.Outbox) error {
	pending := c.pending
	c.pending = nil
	*c.sizes = append(*c.sizes, len(pending))
	if c.finish != nil {
		if err := c.finish(pending); err != nil {
			return err
		}
	}
	for _, s := range pending {
		out.Emit(&event.Features{Subject: s})
	}
	return nil
}

func collectors(sizes *[]int, finish func([]event.Subject) error) func(agents.Life) agents.Handler {
	return func(agents.Life) agents.Handler { return &collector{sizes: sizes, finish: finish} }
}

func TestFinishOnceABatchAndBeforeAFailure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, agents.Options{}, 1)
		var sizes []int
		r.add(r.relay(agents.Spec{NewHandler: collectors(&sizes, nil)}))
		r.publish("a", "b", "c", "fails", "d")
		r.start()
		pass(time.Millisecond)
		r.want("a", "b", "c", "d")
		if fmt.Sprint(sizes) != "[3 1]" {
			t.Fatalf("finished batches of %v", sizes)
		}
	})
}

func TestFinishThatFailsIsTriedAgainWithoutAStrike(t *testing.T) {
	for _, cause := range []error{errBroken, fmt.Errorf("%w: %w", agents.ErrNotReady, errBroken)} {
		finishFails(t, cause)
	}
}

func finishFails(t *testing.T, cause error) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, agents.Options{}, 1)
		var sizes []int
		until := time.Now().Add(time.Minute)
		r.add(r.relay(agents.Spec{NewHandler: collectors(&sizes, func([]event.Subject) error {
			if time.Now().Before(until) {
				return cause
			}
			return nil
		})}))
		r.publish("a", "b", "c")
		r.start()
		pass(2 * time.Minute)
		if s, waits := r.status(), errors.Is(cause, agents.ErrNotReady); waits != (s.Failed == 0) {
			t.Errorf("%v: counted as a failure of the agent %d times", cause, s.Failed)
		}
		r.want("a", "b", "c")
		if len(r.givenUp) != 0 || len(sizes) > 1000 {
			t.Fatalf("given up %v, %d tries in a minute", r.givenUp, len(sizes))
		}
	})
}

func TestPanicInFinishIsNarrowedDown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, agents.Options{}, 1)
		var sizes []int
		r.add(r.relay(agents.Spec{NewHandler: collectors(&sizes, func(pending []event.Subject) error {
			for _, s := range pending {
				if s.ID == "bad" {
					panic("poisoned batch")
				}
			}
			return nil
		})}))
		r.publish("a", "b", "bad", "c", "d")
		r.start()
		for range 30 {
			pass(time.Second)
			r.publish("x")
		}
		pass(time.Second)
		if len(r.givenUp) != 1 || r.givenUp[0] != "bad: panic: poisoned batch" {
			t.Fatalf("given up: %v, %+v, %v", r.givenUp, r.status(), sizes)
		}
		if n := len(r.got()); n != 34 {
			t.Fatalf("%d of 34 others came through", n)
		}
		if s := r.wantState(agents.Running); s.Queue != 0 || s.Restarts > 8 {
			t.Fatalf("%+v", s)
		}
	})
}

func TestAfterAnUncleanExitLanesBeginOneByOne(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, agents.Options{AfterUncleanExit: true}, 1)
		var sizes []int
		r.add(r.relay(agents.Spec{NewHandler: collectors(&sizes, nil)}))
		r.publish("a", "b", "c")
		r.start()
		pass(time.Millisecond)
		for range 5 {
			r.publish("x")
		}
		pass(time.Millisecond)
		if len(sizes) < 4 || sizes[0] != 1 || sizes[1] != 1 || sizes[2] != 1 {
			t.Fatalf("batches of %v", sizes)
		}
		if n := len(r.got()); n != 8 {
			t.Fatalf("%d of 8 came through", n)
		}
	})
}

// A full lane downstream is backpressure: the agent waits, it is neither slow nor hung, and nothing is lost.
func TestBackpressureIsNoHang(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, agents.Options{}, 1)
		small, err := r.bus.Mailbox(bus.MailboxOptions{Topic: event.FeaturesTopic, Group: "small", Capacity: 2})
		if err != nil {
			t.Fatal(err)
		}
		r.add(r.relay(agents.Spec{NewHandler: all(forward)}))
		r.publish("a", "b", "c", "d", "e")
		r.start()
		pass(time.Minute)
		if s := r.wantState(agents.Running); s.Restarts != 0 || s.Failed != 0 {
			t.Fatalf("%+v", s)
		}
		var got []string
		for len(got) < 5 {
			for _, m := range drain(t, small) {
				got = append(got, key(m))
			}
			pass(time.Millisecond)
		}
		if fmt.Sprint(got) != "[a b c d e]" {
			t.Fatal(got)
		}
	})
}

func TestHeartbeatsCarryProgress(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, agents.Options{Instance: "box-1"}, 2)
		r.start(r.relay(agents.Spec{NewHandler: all(func(ctx context.Context, m *bus.Message, out *agents.Outbox) error {
			time.Sleep(3 * time.Millisecond)
			return forward(ctx, m, out)
		})}))
		for range 250 { // 5 s of 50/s
			r.publish("a")
			pass(20 * time.Millisecond)
		}
		pass(10 * time.Millisecond)
		beats := r.beatsSince()
		if len(beats) != 50 {
			t.Fatalf("%d beats in 5 s", len(beats))
		}
		var handled, timed int64
		for _, b := range beats {
			handled += b.Handled
			for i, n := range b.HandlerUS {
				timed += n
				if n > 0 && i != 11 { // [2048, 4096) us
					t.Fatalf("3 ms counted in bucket %d", i)
				}
			}
		}
		last := beats[49]
		if handled != 250 || timed != 250 || last.Watermark != 250 || last.State != "RUNNING" || last.Incarnation != 1 ||
			last.Agent != "relay" || last.Key() != "box-1" || last.SlotMS != 100 || last.Queue != 0 {
			t.Fatalf("handled %d, timed %d, %+v", handled, timed, last)
		}
		s := r.status()
		if s.Rate != 50 || s.P50 < 2*time.Millisecond || s.P99 > 4096*time.Microsecond || s.LastBeat.IsZero() {
			t.Fatalf("%+v", s)
		}
	})
}

// A message that hangs the Finish of its batch is found, struck each time, and in the end decided all the same.
func TestHangInFinishIsNarrowedDown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, agents.Options{}, 1)
		release := make(chan struct{})
		defer close(release)
		var sizes []int
		r.add(r.relay(agents.Spec{NewHandler: collectors(&sizes, func(pending []event.Subject) error {
			for _, s := range pending {
				if s.ID == "bad" {
					select { // the zombies return in time for the next ones to be allowed
					case <-time.After(2 * time.Second):
					case <-release:
					}
				}
			}
			return nil
		})}))
		r.publish("a", "bad", "b")
		r.start()
		for range 60 {
			r.publish("x")
			pass(time.Second)
		}
		if len(r.givenUp) != 1 || len(r.got()) != 62 {
			t.Fatalf("given up %v, %d of 62 others came through, %+v", r.givenUp, len(r.got()), r.status())
		}
		if s := r.wantState(agents.Running); s.Zombies != 0 || s.Refused < 3 {
			t.Fatalf("%+v", s)
		}
	})
}

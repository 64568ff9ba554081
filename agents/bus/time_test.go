package bus_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"aura/agents/bus"
	"aura/agents/event"
)

func update1(generation int) *bus.Message {
	return bus.NewMessage(&event.ConfigUpdate{Setting: "mode", Generation: int64(generation)}, time.Now())
}

// TestPublishWaits proves what the suite can only suspect: that a publisher waits, and what lets it go on.
func TestPublishWaits(t *testing.T) {
	for name, let := range map[string]func(bus.Mailbox, bus.Lane){
		"ack":          func(_ bus.Mailbox, l bus.Lane) { l.Ack(1) },
		"drop oldest":  func(b bus.Mailbox, _ bus.Lane) { b.SetOverflow(bus.DropOldest) },
		"close":        func(b bus.Mailbox, _ bus.Lane) { _ = b.Close() },
		"its deadline": func(bus.Mailbox, bus.Lane) { time.Sleep(time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := bus.NewMemory(bus.MemoryOptions{Lanes: 1})
				defer b.Close()
				box, err := b.Mailbox(bus.MailboxOptions{Topic: event.ConfigUpdates, Group: "g", Capacity: 2})
				if err != nil {
					t.Fatal(err)
				}
				lane := box.Lanes()[0]
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if err := b.Publish(ctx, update1(0), update1(1)); err != nil {
					t.Fatal(err)
				}
				if _, err := lane.Take(ctx, 1); err != nil {
					t.Fatal(err)
				}
				done := make(chan error, 1)
				go func() { done <- b.Publish(ctx, update1(2)) }()
				synctest.Wait()
				select {
				case err := <-done:
					t.Fatalf("publish into a full lane returned %v", err)
				default:
				}
				let(box, lane)
				synctest.Wait()
				err = <-done
				if name == "its deadline" {
					if !errors.Is(err, bus.ErrFull) || !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("error %v", err)
					}
				} else if err != nil {
					t.Errorf("error %v", err)
				}
			})
		})
	}
}

// TestNackDelay: a refused message comes again after the delay and not sooner, with nothing overtaking it; when its
// subscription ends meanwhile, the group gets it back.
func TestNackDelay(t *testing.T) {
	for name, transport := range inMemory() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := transport.make(bus.MemoryOptions{NackDelay: time.Second})
				defer b.Close()
				sub := b.GroupSubscriber("g")
				ctx, cancel := context.WithCancel(t.Context())
				in, err := sub.Subscribe(ctx, string(event.ConfigUpdates))
				if err != nil {
					t.Fatal(err)
				}
				if err := b.Publish(ctx, update1(0)); err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				for n := range 5 {
					m := <-in
					if waited := time.Since(start); waited != time.Duration(n)*time.Second {
						t.Fatalf("delivery %d after %v", n+1, waited)
					}
					if got := m.Metadata.Get(bus.HeaderAttempt); got != string(rune('1'+n)) {
						t.Errorf("attempt %q, want %d", got, n+1)
					}
					m.Nack()
					synctest.Wait()
					if m.Context().Err() == nil {
						t.Error("the context of a refused message lives on")
					}
				}
				cancel()
				if _, open := <-in; open {
					t.Fatal("an ended subscription got a message")
				}
				again, err := sub.Subscribe(t.Context(), string(event.ConfigUpdates))
				if err != nil {
					t.Fatal(err)
				}
				if m := <-again; m.Metadata.Get(bus.HeaderAttempt) != "6" || !m.Ack() {
					t.Errorf("the next subscription got %v", m.Metadata)
				}
				synctest.Wait()
			})
		})
	}
}

// TestGoChannelIsBounded: Watermill's channel would start goroutines without end for a mailbox that nobody reads. (Not in
// a synctest bubble: its senders wait on a mutex.)
func TestGoChannelIsBounded(t *testing.T) {
	b := bus.NewGoChannel(bus.MemoryOptions{Lanes: 1})
	defer b.Close()
	box, err := b.Mailbox(bus.MailboxOptions{Topic: event.ConfigUpdates, Group: "g", Capacity: 10})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	at, now := 0, ended()
	for at <= 1000 && ctx.Err() == nil {
		if err := b.Publish(now, update1(at)); err == nil {
			at++
		} else if !errors.Is(err, bus.ErrFull) {
			t.Fatal(err)
		} else if box.Depth() == 10 {
			break
		}
		runtime.Gosched() // the pump has not come round yet
	}
	if at < 10 || at > 20 { // ten in the lane, ten on their way
		t.Fatalf("%d published, %d in the mailbox", at, box.Depth())
	}
	box.SetOverflow(bus.DropOldest)
	for end := at + 1000; at < end; at++ { // each now makes the lane drop one
		if err := b.Publish(ctx, update1(at)); err != nil {
			t.Fatal(err)
		}
	}
	for box.Dropped() != int64(at-10) && ctx.Err() == nil {
		runtime.Gosched()
	}
	if box.Depth() != 10 || box.Dropped() != int64(at-10) {
		t.Errorf("depth %d, dropped %d of %d", box.Depth(), box.Dropped(), at)
	}
}

func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// TestPublisherGivesUp: Watermill's publisher has no context, so its wait is bounded by the transport.
func TestPublisherGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.NewMemory(bus.MemoryOptions{Lanes: 1, Capacity: 1, PublishWait: 3 * time.Second})
		defer b.Close()
		if _, err := b.Mailbox(bus.MailboxOptions{Topic: event.ConfigUpdates, Group: "g"}); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		w, err := bus.Encode(update1(0))
		if err != nil {
			t.Fatal(err)
		}
		err = b.Publisher().Publish(string(event.ConfigUpdates), w, w.Copy())
		if !errors.Is(err, bus.ErrFull) || time.Since(start) != 3*time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

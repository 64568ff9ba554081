package bustest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aura/agents/bus"
	"aura/agents/event"
)

// testHolds moves applications through three topics as agents do (publish downstream, then ack) while a sweeper asks
// what is held. An application that is neither held nor finished would be published again although it is in flight.
func testHolds(t *testing.T, open Open, f Features) {
	ctx, b := start(t, open)
	if _, ok := b.Holds(nil, event.RawEvents); ok != f.Holds {
		t.Fatalf("Holds says ok=%v", ok)
	}
	if !f.Holds {
		return
	}
	way := []event.Topic{event.RawEvents, event.FeaturesTopic, event.Predictions}
	var boxes []bus.Mailbox
	for _, topic := range way {
		boxes = append(boxes, mailbox(t, b, bus.MailboxOptions{Topic: topic, Group: "g", Capacity: 256}))
	}
	n := f.load(20_000)
	var begun, finished atomic.Int64
	done := make([]atomic.Bool, n)
	end, finish := context.WithCancel(ctx)
	defer finish()
	var movers sync.WaitGroup
	failed := make(chan error, 100)
	for i, box := range boxes {
		for _, l := range box.Lanes() {
			movers.Go(func() {
				if err := move(end, b, l, i, func(m *bus.Message) {
					done[index(m)].Store(true)
					if finished.Add(1) == int64(n) {
						finish()
					}
				}); err != nil {
					failed <- err
					finish()
				}
			})
		}
	}
	go func() {
		for i := range n {
			s := event.Subject{ID: fmt.Sprint(i), ApplicationID: fmt.Sprint(i)}
			if err := b.Publish(end, bus.NewMessage(&event.RawEvent{Subject: s}, time.Now())); err != nil {
				failed <- err
				finish()
				return
			}
			begun.Store(int64(i + 1))
		}
	}()
	asked := 0
	for end.Err() == nil {
		asked++
		hammer(t, b, way, done[:begun.Load()])
	}
	movers.Wait()
	select {
	case err := <-failed:
		t.Fatal(err)
	default:
	}
	if finished.Load() != int64(n) {
		t.Fatalf("%d of %d arrived", finished.Load(), n)
	}
	t.Logf("asked %d times", asked)
}

// index is the number of an application, which the subject carries as its id.
func index(m *bus.Message) (i int) {
	_, _ = fmt.Sscan(m.Key(), &i)
	return i
}

// move is an agent: it takes, publishes downstream and acks; the last one finishes.
func move(ctx context.Context, b bus.Transport, l bus.Lane, stage int, finished func(*bus.Message)) error {
	for {
		batch, err := l.Take(ctx, 16)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("stage %d: %w", stage, err)
		}
		var out []*bus.Message
		for _, m := range batch {
			s := event.Subject{ID: m.Key(), ApplicationID: m.Key()}
			switch stage {
			case 0:
				out = append(out, bus.NewMessage(&event.Features{Subject: s}, time.Now()))
			case 1:
				out = append(out, bus.NewMessage(&event.Prediction{Features: event.Features{Subject: s}}, time.Now()))
			default:
				finished(m)
			}
		}
		if err := b.Publish(ctx, out...); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("stage %d: %w", stage, err)
		}
		l.Ack(len(batch))
	}
}

// hammer asks for what is not finished, and then looks whether what was said not to be held has finished meanwhile.
func hammer(t *testing.T, b bus.Transport, way []event.Topic, done []atomic.Bool) {
	t.Helper()
	keys := map[string]bool{}
	var open []int
	for i := max(0, len(done)-2000); i < len(done); i++ {
		if !done[i].Load() {
			keys[fmt.Sprint(i)] = true
			open = append(open, i)
		}
	}
	held, ok := b.Holds(keys, way...)
	if !ok {
		t.Error("Holds can't see any more")
	}
	for _, i := range open {
		if !held[fmt.Sprint(i)] && !done[i].Load() {
			t.Fatalf("application %d is in flight, but not held", i)
		}
	}
}

func testHoldsPrivate(t *testing.T, open Open, f Features) {
	if !f.Holds {
		t.Skip("this transport can't see what it holds")
	}
	ctx, b := start(t, open)
	watcher := mailbox(t, b, bus.MailboxOptions{Topic: topic})
	box := mailbox(t, b, bus.MailboxOptions{Topic: topic, Group: "g"})
	publish(ctx, t, b, numbered("k", 0, 1)...)
	keys := map[string]bool{"k": true, "other": true}
	if held, _ := b.Holds(keys, topic); len(held) != 1 || !held["k"] {
		t.Errorf("waiting: %v", held)
	}
	lane := busy(ctx, t, box)
	take(ctx, t, lane, 1)
	if held, _ := b.Holds(keys, topic); !held["k"] {
		t.Errorf("taken: %v", held)
	}
	if held, _ := b.Holds(keys, event.RawEvents); len(held) != 0 {
		t.Errorf("another topic: %v", held)
	}
	lane.Ack(1)
	if held, _ := b.Holds(keys, topic); len(held) != 0 || watcher.Depth() != 1 {
		t.Errorf("acked, only a watcher (%d) has it: %v", watcher.Depth(), held)
	}
}

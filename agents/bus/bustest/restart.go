package bustest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"aura/agents/bus"
)

// testReadersReplaced replaces each lane's reader again and again under load. Each reader acks a part of what it took
// and leaves the rest. What was acked never comes again, and nothing is missing.
func testReadersReplaced(t *testing.T, open Open, f Features) {
	ctx, b := start(t, open)
	box := mailbox(t, b, bus.MailboxOptions{Topic: topic, Group: "g", Capacity: 100})
	perKey := f.load(1000)
	acked := newLedger(f.Ordered, 4*5*perKey)
	all, finish := context.WithCancel(ctx)
	defer finish()
	var lanes sync.WaitGroup
	failed := make(chan error, len(box.Lanes()))
	for i, l := range box.Lanes() {
		lanes.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 2))
			for all.Err() == nil {
				life := make(chan error)
				go func() { life <- oneLife(all, l, random, acked, finish) }()
				if err := <-life; err != nil {
					failed <- err
					return
				}
			}
		})
	}
	if err := publishers(ctx, b, 4, 5, perKey)(); err != nil {
		t.Fatal(err)
	}
	lanes.Wait()
	select {
	case err := <-failed:
		t.Fatal(err)
	default:
	}
	acked.check(t)
	if n := box.Depth(); n != 0 {
		t.Errorf("%d messages left", n)
	}
}

// oneLife reads a few batches; in the last one it stops half way, as a handler that panics does.
func oneLife(ctx context.Context, l bus.Lane, random *rand.Rand, acked *ledger, finish func()) error {
	for range random.IntN(4) {
		batch, err := l.Take(ctx, 1+random.IntN(30))
		if err != nil {
			if errors.Is(err, context.Canceled) {
				return nil
			}
			return fmt.Errorf("take: %w", err)
		}
		done := random.IntN(len(batch) + 1)
		enough := false
		for _, m := range batch[:done] {
			enough = acked.add(m)
		}
		l.Ack(done)
		if enough {
			finish()
		}
		if done < len(batch) {
			break
		}
	}
	l.Return()
	return nil
}

func testClose(t *testing.T, open Open, f Features) {
	ctx, b := start(t, open)
	box := mailbox(t, b, bus.MailboxOptions{Topic: topic, Group: "g", Capacity: 2})
	empty := mailbox(t, b, bus.MailboxOptions{Topic: topic + ".dlq", Group: "g"})
	results := make(chan error, 2)
	waiting := 1
	go func() {
		_, err := empty.Lanes()[0].Take(ctx, 1)
		results <- err
	}()
	publish(ctx, t, b, numbered("k", 0, 2)...)
	busy(ctx, t, box)
	if f.Bounded {
		waiting++
		go func() { results <- b.Publish(ctx, numbered("k", 2, 3)...) }()
	}
	for range 2 {
		if err := b.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
	}
	for range waiting {
		if err := <-results; !errors.Is(err, bus.ErrClosed) {
			t.Errorf("who waited got %v", err)
		}
	}
	if err := b.Publish(ctx, numbered("k", 3, 4)...); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("publish: %v", err)
	}
	if _, err := b.Mailbox(bus.MailboxOptions{Topic: topic, Group: "other"}); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("open mailbox: %v", err)
	}
	lane := box.Lanes()[0]
	if _, err := lane.Take(ctx, 1); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("take: %v", err)
	}
	lane.Ack(1)
	lane.Return() // a late reader does no harm
}

func testCloseMailbox(t *testing.T, open Open, f Features) {
	ctx, b := start(t, open)
	gone := mailbox(t, b, bus.MailboxOptions{Topic: topic, Capacity: 1})
	stays := mailbox(t, b, bus.MailboxOptions{Topic: topic, Group: "g"})
	publish(ctx, t, b, numbered("k", 0, 1)...)
	busy(ctx, t, gone)
	done := make(chan error)
	go func() { done <- b.Publish(ctx, numbered("k", 1, 2)...) }() // waits for the one that goes, where lanes are bounded
	for range 2 {
		if err := gone.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		t.Errorf("publish, while one of two mailboxes closed: %v", err)
	}
	if _, err := gone.Lanes()[0].Take(ctx, 1); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("take: %v", err)
	}
	if got := numbers(take(ctx, t, busy(ctx, t, stays), 2)); !same(got, []int{0, 1}, f.Ordered) {
		t.Errorf("the other mailbox got %v", got)
	}
}

// testComeAndGo opens and closes subscriptions while others publish and read: what a restart under load does to a bus.
func testComeAndGo(t *testing.T, open Open, f Features) {
	ctx, b := start(t, open)
	box := mailbox(t, b, bus.MailboxOptions{Topic: topic, Group: "g", Capacity: 16})
	perKey := f.load(1000)
	g := newLedger(f.Ordered, 4*5*perKey)
	read := reading(ctx, box, g.add)
	writing := publishers(ctx, b, 4, 5, perKey)
	done := make(chan error, 1)
	go func() { done <- writing() }()
	guests := 0
	for busy := true; busy; guests++ {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			busy = false
		default:
			guest := mailbox(t, b, bus.MailboxOptions{Topic: topic, Capacity: 1}) // soon full: it must hold nobody up once it is gone
			for _, l := range guest.Lanes() {
				_, _ = l.Take(ended(), 1)
			}
			if err := guest.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := read(); err != nil {
		t.Fatal(err)
	}
	g.check(t)
	t.Logf("%d subscriptions came and went", guests)
}

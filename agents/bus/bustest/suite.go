// Package bustest is the suite that every transport of the bus must pass: order by key, groups, redelivery, cursors,
// bounds, replaced readers, what Holds may say, and how things end. A transport that does not promise something says so
// in Features; what remains is tested all the same.
//
// It imports bus and event. Nothing in it waits by sleeping: readers block in Take, writers in Publish.
package bustest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"aura/agents/bus"
	"aura/agents/event"
)

// Features declares what a transport promises beyond delivery.
type Features struct {
	// Ordered: messages of one key arrive in the order of their publication.
	Ordered bool
	// Bounded: a lane's capacity holds at Publish itself, so that Block, DropOldest, Len and Dropped are exact at once.
	Bounded bool
	// Holds: Transport.Holds can see what is on its way.
	Holds bool
	// Slow transports (a broker, even a fake one) get a tenth of the load.
	Slow bool
}

func (f Features) load(n int) int {
	if f.Slow {
		return n / 10
	}
	return n
}

// Open makes an empty transport for one test. The suite closes it.
type Open func(testing.TB) bus.Transport

// patience is how long a test waits for what must happen; it only matters when the test fails.
const patience = 20 * time.Second

// topic carries the suite's events: small ones, with a key and a number.
const topic = event.ConfigUpdates

// Run runs the whole suite.
func Run(t *testing.T, open Open, f Features) {
	for name, test := range map[string]func(*testing.T, Open, Features){
		"order by key":            testOrder,
		"groups":                  testGroups,
		"private subscriptions":   testPrivate,
		"what travels":            testTravels,
		"messages of one's own":   testOwn,
		"undecodable":             testUndecodable,
		"cursor":                  testCursor,
		"redelivery":              testRedelivery,
		"new reader":              testNewReader,
		"depth and age":           testDepth,
		"block":                   testBlock,
		"drop oldest":             testDropOldest,
		"drop oldest spares":      testDropSparesTaken,
		"overflow while blocked":  testOverflowWhileBlocked,
		"partly published batch":  testPartlyPublished,
		"readers replaced":        testReadersReplaced,
		"come and go":             testComeAndGo,
		"holds":                   testHolds,
		"holds ignores observers": testHoldsPrivate,
		"close":                   testClose,
		"close mailbox":           testCloseMailbox,
		"model":                   testModel,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open, f)
		})
	}
}

// start opens a transport that is closed with the test, and a context that ends with it.
func start(t *testing.T, open Open) (context.Context, bus.Transport) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	b := open(t)
	t.Cleanup(func() {
		cancel()
		if err := b.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return ctx, b
}

func mailbox(t testing.TB, b bus.Transport, o bus.MailboxOptions) bus.Mailbox {
	t.Helper()
	box, err := b.Mailbox(o)
	if err != nil {
		t.Fatalf("open mailbox: %v", err)
	}
	return box
}

// numbered makes the messages from, from+1 ... to-1 of a key.
func numbered(key string, from, to int) []*bus.Message {
	var out []*bus.Message
	for i := from; i < to; i++ {
		out = append(out, bus.NewMessage(&event.ConfigUpdate{Setting: key, Generation: int64(i)}, time.Now()))
	}
	return out
}

func number(m *bus.Message) int { return int(m.Event.(*event.ConfigUpdate).Generation) }

func numbers(messages []*bus.Message) []int {
	out := make([]int, 0, len(messages))
	for _, m := range messages {
		out = append(out, number(m))
	}
	return out
}

func publish(ctx context.Context, t testing.TB, b bus.Transport, messages ...*bus.Message) {
	t.Helper()
	if err := b.Publish(ctx, messages...); err != nil {
		t.Fatalf("publish: %v", err)
	}
}

// busy returns the lane in which something waits, for tests that use one key.
func busy(ctx context.Context, t testing.TB, box bus.Mailbox) bus.Lane {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	found := make(chan bus.Lane, len(box.Lanes()))
	for _, l := range box.Lanes() {
		go func() {
			if _, err := l.Take(ctx, 1); err != nil {
				found <- nil
				return
			}
			l.Return()
			cancel()
			found <- l
		}()
	}
	var lane bus.Lane
	for range box.Lanes() {
		if l := <-found; l != nil {
			lane = l
		}
	}
	if lane == nil {
		t.Fatal("no lane got anything")
	}
	return lane
}

// take takes n messages in as many calls as it needs.
func take(ctx context.Context, t testing.TB, l bus.Lane, n int) []*bus.Message {
	t.Helper()
	var got []*bus.Message
	for len(got) < n {
		batch, err := l.Take(ctx, n-len(got))
		if err != nil {
			t.Fatalf("take %d of %d: %v", len(got)+1, n, err)
		}
		if len(batch) == 0 || len(got)+len(batch) > n {
			t.Fatalf("take gave %d messages, limit %d", len(batch), n-len(got))
		}
		got = append(got, batch...)
	}
	return got
}

// reading reads each lane of a mailbox in a goroutine, acking what handle has seen, until handle says it is enough or
// the context ends.
func reading(ctx context.Context, box bus.Mailbox, handle func(*bus.Message) (enough bool)) (wait func() error) {
	ctx, cancel := context.WithCancel(ctx)
	failed := make(chan error, len(box.Lanes()))
	for _, l := range box.Lanes() {
		go func() {
			failed <- func() error {
				for {
					batch, err := l.Take(ctx, 50)
					if err != nil {
						return err
					}
					for _, m := range batch {
						if handle(m) {
							cancel()
						}
					}
					l.Ack(len(batch))
				}
			}()
		}()
	}
	return func() error {
		defer cancel()
		for range box.Lanes() {
			if err := <-failed; ctx.Err() == nil || context.Cause(ctx) == context.DeadlineExceeded { //nolint:errorlint // a cause
				return fmt.Errorf("reader: %w", err)
			}
		}
		return nil
	}
}

package middleware_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"

	"aura/agents/bus"
	"aura/agents/bus/middleware"
	"aura/agents/event"
)

// TestChain: a handler that panics, times out and is fenced in turn. Each attempt is bounded and recovered, the message
// is observed once and ends as one dead letter; when the handler is fenced it is neither.
func TestChain(t *testing.T) {
	for _, fenced := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var letters []*event.DeadLetter
			var results []middleware.Result
			calls := 0
			h := middleware.Chain(middleware.Options{
				DeadLetter: &middleware.DeadLetters{Topic: event.ConfigUpdates, Send: func(_ context.Context, d *event.DeadLetter) error {
					letters = append(letters, d)
					return nil
				}},
				Observe: func(_ string, r middleware.Result, _ time.Duration) { results = append(results, r) },
				Retry:   &middleware.Backoff{Attempts: 3, First: time.Second, Max: time.Second},
				Timeout: time.Minute,
				Fence: func(context.Context) error {
					if fenced && calls == 2 {
						return errReplaced
					}
					return nil
				},
			})(func(m *message.Message) ([]*message.Message, error) {
				if calls++; calls == 1 {
					panic("boom")
				}
				return obedient(m)
			})
			start := time.Now()
			_, err := h(incoming(t.Context()))
			if fenced {
				if !errors.Is(err, middleware.ErrFenced) || calls != 2 || len(letters) != 0 || results[0] != middleware.Interrupted {
					t.Errorf("%d calls, %d letters, results %v: %v", calls, len(letters), results, err)
				}
				return
			}
			if err != nil || calls != 3 || time.Since(start) != 2*time.Minute+2*time.Second {
				t.Errorf("%d calls in %v: %v", calls, time.Since(start), err)
			}
			if len(letters) != 1 || !strings.Contains(letters[0].Error, "timed out") || len(results) != 1 || results[0] != middleware.Failed {
				t.Errorf("letters %v, results %v", letters, results)
			}
		})
	}
}

// TestChainInRouter runs the chain where it belongs: in Watermill's Router over the memory bus. A poisonous message ends
// as a dead letter and the next one is handled; closing the router in the middle of a message makes no dead letter.
func TestChainInRouter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bus.NewMemory(bus.MemoryOptions{})
		defer b.Close()
		dlq, err := b.Mailbox(bus.MailboxOptions{Topic: event.ConfigUpdates.DLQ(), Group: "g"})
		if err != nil {
			t.Fatal(err)
		}
		router, err := message.NewRouter(message.RouterConfig{CloseTimeout: time.Second}, watermill.NopLogger{})
		if err != nil {
			t.Fatal(err)
		}
		router.AddMiddleware(middleware.Chain(middleware.Options{
			DeadLetter: &middleware.DeadLetters{Topic: event.ConfigUpdates, Agent: "desired", Send: middleware.SendTo(b)},
			Retry:      &middleware.Backoff{Attempts: 3, First: time.Second, Max: time.Second},
		}))
		var handled []string
		hanging := make(chan struct{})
		router.AddConsumerHandler("desired", string(event.ConfigUpdates), b.GroupSubscriber("g"), func(m *message.Message) error {
			got := bus.Decode(event.ConfigUpdates, m)
			switch got.Key() {
			case "poison":
				panic("boom")
			case "hang":
				close(hanging)
				<-m.Context().Done()
				return errors.New("interrupted")
			}
			handled = append(handled, got.Key())
			return got.Err
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- router.Run(ctx) }()
		<-router.Running()
		publish := func(key string) {
			if err := b.Publish(ctx, bus.NewMessage(&event.ConfigUpdate{Setting: key}, time.Now())); err != nil {
				t.Error(err)
			}
		}
		publish("poison")
		publish("mode")
		time.Sleep(time.Minute)
		synctest.Wait()
		if dlq.Depth() != 1 || len(handled) != 1 {
			t.Errorf("%d dead letters, handled %v", dlq.Depth(), handled)
		}
		publish("hang")
		<-hanging
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if dlq.Depth() != 1 {
			t.Error("the shutdown made a dead letter")
		}
	})
}

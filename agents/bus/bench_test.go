package bus_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"

	"aura/agents/bus"
	"aura/agents/event"
)

// subject makes the subject of the i-th application of a benchmark.
func subject(i int) event.Subject {
	id := "018f0000-0000-7000-8000-" + fmt.Sprintf("%012d", i)
	return event.Subject{ID: id, ApplicationID: id}
}

// BenchmarkNewMessage is what each event costs before it is published: one allocation of the message, one of its id.
func BenchmarkNewMessage(b *testing.B) {
	e := &event.RawEvent{Subject: subject(1)}
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		_ = bus.NewMessage(e, now)
	}
}

// BenchmarkPublishTake publishes in batches of the given size to four lanes and reads them with one reader a lane.
func BenchmarkPublishTake(b *testing.B) {
	for _, batch := range []int{1, 16, 256} {
		b.Run("batch="+strconv.Itoa(batch), func(b *testing.B) {
			t := bus.NewMemory(bus.MemoryOptions{})
			defer t.Close()
			box, err := t.Mailbox(bus.MailboxOptions{Topic: event.RawEvents, Group: "g"})
			if err != nil {
				b.Fatal(err)
			}
			events := make([]event.Event, 1024)
			for i := range events {
				events[i] = &event.RawEvent{Subject: subject(i)}
			}
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			var readers, arrived sync.WaitGroup
			arrived.Add(b.N)
			for _, l := range box.Lanes() {
				readers.Go(func() {
					for {
						got, err := l.Take(ctx, 2000)
						if err != nil {
							return
						}
						l.Ack(len(got))
						arrived.Add(-len(got))
					}
				})
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < b.N; i += batch {
				n := min(batch, b.N-i)
				out := make([]*bus.Message, n)
				now := time.Now()
				for k := range out {
					out[k] = bus.NewMessage(events[(i+k)%len(events)], now)
				}
				if err := t.Publish(ctx, out...); err != nil {
					b.Fatal(err)
				}
			}
			arrived.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
			cancel()
			readers.Wait()
		})
	}
}

// inFlight is the window of the four-stage benchmarks, the same for both.
const inFlight = 512

// BenchmarkFourStages is the data path without work: raw-events -> features -> predictions -> decisions, a new event and
// a new id at each hop, one loop a lane, batches as they come.
func BenchmarkFourStages(b *testing.B) {
	t := bus.NewMemory(bus.MemoryOptions{})
	defer t.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	window := make(chan struct{}, inFlight)
	var loops, arrived sync.WaitGroup
	arrived.Add(b.N)
	stage := func(topic event.Topic, next func(event.Event) event.Event) {
		box, err := t.Mailbox(bus.MailboxOptions{Topic: topic, Group: "g"})
		if err != nil {
			b.Fatal(err)
		}
		for _, l := range box.Lanes() {
			loops.Go(func() { pass(ctx, t, l, next, func() { <-window; arrived.Done() }) })
		}
	}
	stage(event.RawEvents, func(e event.Event) event.Event {
		return &event.Features{Subject: e.(*event.RawEvent).Subject}
	})
	stage(event.FeaturesTopic, func(e event.Event) event.Event {
		return &event.Prediction{Features: *e.(*event.Features)}
	})
	stage(event.Predictions, func(e event.Event) event.Event {
		return &event.Decision{Subject: e.(*event.Prediction).Subject}
	})
	stage(event.Decisions, nil)
	subjects := make([]event.Subject, 1024)
	for i := range subjects {
		subjects[i] = subject(i)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		window <- struct{}{}
		if err := t.Publish(ctx, bus.NewMessage(&event.RawEvent{Subject: subjects[i%len(subjects)]}, time.Now())); err != nil {
			b.Fatal(err)
		}
	}
	arrived.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	cancel()
	loops.Wait()
}

// pass is one lane's loop: take what is there, publish the results together, ack.
func pass(ctx context.Context, t bus.Transport, l bus.Lane, next func(event.Event) event.Event, done func()) {
	for {
		batch, err := l.Take(ctx, 2000)
		if err != nil {
			return
		}
		if next == nil {
			for range batch {
				done()
			}
			l.Ack(len(batch))
			continue
		}
		out := make([]*bus.Message, len(batch))
		now := time.Now()
		for i, m := range batch {
			out[i] = bus.NewMessage(next(m.Event), now)
		}
		if err := t.Publish(ctx, out...); err != nil {
			return
		}
		l.Ack(len(batch))
	}
}

// BenchmarkFourStagesRouter is the peer: the same four stages as handlers of Watermill's Router over its GoChannel, a
// 256-byte payload that nobody encodes, a new id at each hop.
func BenchmarkFourStagesRouter(b *testing.B) {
	channel := gochannel.NewGoChannel(gochannel.Config{OutputChannelBuffer: 1024}, watermill.NopLogger{})
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	if err != nil {
		b.Fatal(err)
	}
	window := make(chan struct{}, inFlight)
	var arrived sync.WaitGroup
	arrived.Add(b.N)
	for i := range 3 {
		name := strconv.Itoa(i)
		router.AddHandler(name, name, channel, strconv.Itoa(i+1), channel, func(m *message.Message) ([]*message.Message, error) {
			return []*message.Message{message.NewMessage(watermill.NewUUID(), m.Payload)}, nil
		})
	}
	router.AddConsumerHandler("sink", "3", channel, func(*message.Message) error {
		<-window
		arrived.Done()
		return nil
	})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error)
	go func() { ended <- router.Run(ctx) }()
	<-router.Running()
	payload := make([]byte, 256)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		window <- struct{}{}
		if err := channel.Publish("0", message.NewMessage(watermill.NewUUID(), payload)); err != nil {
			b.Fatal(err)
		}
	}
	arrived.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	cancel()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
}

// BenchmarkHolds is the sweeper's question about 1,000 applications while 10,000 are on their way.
func BenchmarkHolds(b *testing.B) {
	t := bus.NewMemory(bus.MemoryOptions{})
	defer t.Close()
	if _, err := t.Mailbox(bus.MailboxOptions{Topic: event.RawEvents, Group: "g"}); err != nil {
		b.Fatal(err)
	}
	keys := map[string]bool{}
	for i := range 10_000 {
		e := &event.RawEvent{Subject: subject(i)}
		if err := t.Publish(context.Background(), bus.NewMessage(e, time.Now())); err != nil {
			b.Fatal(err)
		}
		if i%10 == 0 {
			keys[e.Key()] = true
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if held, ok := t.Holds(keys, event.RawEvents, event.FeaturesTopic, event.Predictions); !ok || len(held) != len(keys) {
			b.Fatal(len(held))
		}
	}
}

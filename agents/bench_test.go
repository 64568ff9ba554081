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
)

// BenchmarkPipeline sends applications through agents that only pass them on (raw-events, features, predictions,
// decisions), over the memory bus, without codec and store, heartbeats on. One op is one application through all hops.
func BenchmarkPipeline(b *testing.B) {
	for _, lanes := range []int{1, 4, 8} {
		b.Run(fmt.Sprintf("agents=4/lanes=%d", lanes), func(b *testing.B) { pipelineBench(b, lanes) })
	}
}

func pipelineBench(b *testing.B, lanes int) {
	transport := bus.NewMemory(bus.MemoryOptions{Lanes: lanes})
	defer transport.Close()
	sup, err := agents.New(agents.Options{Transport: transport, Incarnations: new(numbers)})
	if err != nil {
		b.Fatal(err)
	}
	var done atomic.Int64
	all4 := make(chan struct{})
	count := handle(func(context.Context, *bus.Message, *agents.Outbox) error {
		if done.Add(1) == int64(b.N) {
			close(all4)
		}
		return nil
	})
	for i, topic := range []event.Topic{event.RawEvents, event.FeaturesTopic, event.Predictions, event.Decisions} {
		h := handle(forward)
		if i == 3 {
			h = count
		}
		spec := agents.Spec{Name: string(topic), Inputs: []agents.Input{{Topic: topic}}, NewHandler: all(h)}
		if err := sup.Add(spec); err != nil {
			b.Fatal(err)
		}
	}
	if err := sup.Start(ctx); err != nil {
		b.Fatal(err)
	}
	events := make([]event.Event, 512)
	for i := range events {
		events[i] = raw(fmt.Sprint("application-", i))
	}
	b.ReportAllocs()
	b.ResetTimer()
	batch := make([]*bus.Message, 0, 64)
	for i := range b.N {
		batch = append(batch, bus.NewMessage(events[i%len(events)], time.Now()))
		if len(batch) == cap(batch) || i == b.N-1 {
			if err := transport.Publish(ctx, batch...); err != nil {
				b.Fatal(err)
			}
			batch = batch[:0]
		}
	}
	<-all4
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "applications/s")
	if err := sup.Stop(ctx); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkLoop is one agent that does nothing, fed from a lane that never runs dry: the supervisor's own cost of an
// event.
func BenchmarkLoop(b *testing.B) {
	transport := &endless{batch: make([]*bus.Message, 2000)}
	for i := range transport.batch {
		transport.batch[i] = bus.NewMessage(raw("a"), time.Now())
	}
	sup, err := agents.New(agents.Options{Transport: transport, Incarnations: new(numbers)})
	if err != nil {
		b.Fatal(err)
	}
	n, done := 0, make(chan struct{})
	nop := handle(func(context.Context, *bus.Message, *agents.Outbox) error {
		if n++; n == b.N {
			close(done)
		}
		return nil
	})
	if err := sup.Add(agents.Spec{Name: "a", Inputs: []agents.Input{{Topic: event.RawEvents}}, NewHandler: all(nop)}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	if err := sup.Start(ctx); err != nil {
		b.Fatal(err)
	}
	<-done
	b.StopTimer()
	if err := sup.Stop(ctx); err != nil {
		b.Fatal(err)
	}
}

// endless is a transport with one mailbox of one lane that is always full.
type endless struct {
	bus.Transport
	batch []*bus.Message
}

func (e *endless) Publish(context.Context, ...*bus.Message) error  { return nil }
func (e *endless) Mailbox(bus.MailboxOptions) (bus.Mailbox, error) { return endlessBox{e: e}, nil }

func (e *endless) Take(ctx context.Context, n int) ([]*bus.Message, error) {
	return e.batch[:n], ctx.Err()
}
func (e *endless) Ack(int)             {}
func (e *endless) Return()             {}
func (e *endless) Len() int            { return len(e.batch) }
func (e *endless) OldestAt() time.Time { return time.Time{} }

type endlessBox struct {
	bus.Mailbox
	e *endless
}

func (b endlessBox) Lanes() []bus.Lane { return []bus.Lane{b.e} }
func (b endlessBox) Depth() int        { return 0 }

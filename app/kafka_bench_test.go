//go:build linux

package app

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
	"time"

	"aura/agents"
	"aura/agents/bus"
	"aura/agents/bus/kafkatest"
	"aura/agents/decision"
	"aura/agents/desired"
	"aura/agents/event"
	"aura/agents/feature"
	"aura/agents/ingestion"
	"aura/agents/model"
	"aura/mlops/schema"
)

// BenchmarkKafka is the way of applications over a real broker, without a store: raw-events, features, predictions, decisions,
// each event a record of its own, JSON written and read at every hop, acks by all, and who reads the decisions. throughput
// finds all raw events in their topic when the clock starts and stops it with the last decision; rate publishes a thousand a
// second and takes the time of each but the first quarter from when it was due. It needs AURA_TEST_KAFKA=1; take -benchtime 600000x and 20000x.
func BenchmarkKafka(b *testing.B) {
	for _, partitions := range []int{12} {
		b.Run(fmt.Sprintf("throughput/partitions=%d", partitions), func(b *testing.B) { benchKafka(b, partitions, 0) })
		b.Run(fmt.Sprintf("rate=1000/partitions=%d", partitions), func(b *testing.B) { benchKafka(b, partitions, 1000) })
	}
}

func benchKafka(b *testing.B, partitions int, rate float64) {
	broker := kafkatest.Start(b, kafkatest.Quick)
	log, st, sch := slog.New(slog.DiscardHandler), &nowhere{}, schema.Builtin()
	o := bus.KafkaOptions{Brokers: []string{broker.Addr()}, Logger: log}
	if _, err := bus.EnsureTopics(o, bus.KafkaTopics{Partitions: partitions}); err != nil {
		b.Fatal(err)
	}
	transport, err := bus.NewKafka(o)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = transport.Close() }()
	view, err := desired.New(b.Context(), st, log)
	if err != nil {
		b.Fatal(err)
	}
	champion := model.NewChampion(oneModel{benchModel(b)}, view, log)
	champion.Follow(b.Context())
	tel := newTelemetry(newHub(), newObjective(nil, ingestion.NewWindow(1)))
	box, err := transport.Mailbox(bus.MailboxOptions{Topic: event.Decisions})
	if err != nil {
		b.Fatal(err)
	}
	rows := records(1)
	raw := func(i int, at time.Time) *bus.Message {
		id := fmt.Sprintf("A-%d", i)
		return bus.NewMessage(&event.RawEvent{Subject: event.Subject{ID: id, ApplicationID: id, AcceptedAt: at}, Features: rows[i%len(rows)]}, at)
	}
	if rate == 0 {
		prefill(b, transport, raw)
	}
	sup, err := agents.New(agents.Options{Transport: transport, Incarnations: st, Logger: log})
	if err != nil {
		b.Fatal(err)
	}
	for _, spec := range []agents.Spec{
		feature.Spec(feature.Options{Schema: sch}), model.Spec(model.Options{Schema: sch, Champion: champion, View: view}),
		decision.Spec(decision.Options{Schema: sch, Store: st, View: view, Now: now, Log: log, Observe: tel.decided}),
	} {
		if err := sup.Add(spec); err != nil {
			b.Fatal(err)
		}
	}
	if err := transport.Joined(b.Context()); err != nil {
		b.Fatal(err)
	}
	defer debug.SetGCPercent(debug.SetGCPercent(gcPercent)) // as the program has it
	b.ReportAllocs()
	b.ResetTimer()
	cpu := cpuTime()
	if err := sup.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	begun := time.Now()
	if rate > 0 {
		go func() {
			for i := range b.N {
				due := begun.Add(time.Duration(float64(i) / rate * float64(time.Second)))
				time.Sleep(time.Until(due))
				go func() {
					if err := transport.Publish(context.Background(), raw(i, due)); err != nil {
						b.Error(err)
					}
				}()
			}
		}()
	}
	took := decidedAll(b, box)
	b.StopTimer()
	b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(b.N), "cpu-us/event")
	b.ReportMetric(float64(b.N)/time.Since(begun).Seconds(), "events/s")
	if rate > 0 {
		took = took[len(took)/4:] // those before it warm the broker up
		slices.Sort(took)
		b.ReportMetric(took[len(took)/2].Seconds()*1e3, "p50-ms")
		b.ReportMetric(took[len(took)*99/100].Seconds()*1e3, "p99-ms")
	}
	if err := sup.Stop(context.Background()); err != nil {
		b.Error(err)
	}
}

// prefill puts b.N raw events into their topic.
func prefill(b *testing.B, t bus.Transport, raw func(int, time.Time) *bus.Message) {
	b.Helper()
	const batch = 2000
	for i := 0; i < b.N; i += batch {
		var messages []*bus.Message
		for j := i; j < min(i+batch, b.N); j++ {
			messages = append(messages, raw(j, time.Now()))
		}
		if err := t.Publish(b.Context(), messages...); err != nil {
			b.Fatal(err)
		}
	}
}

// decidedAll reads until there are b.N distinct decisions and returns how long each took from its acceptance.
func decidedAll(b *testing.B, box bus.Mailbox) []time.Duration {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	var mu sync.Mutex
	seen := make(map[string]bool, b.N)
	took := make([]time.Duration, 0, b.N)
	var readers sync.WaitGroup
	for _, l := range box.Lanes() {
		readers.Go(func() {
			for {
				batch, err := l.Take(ctx, 2000)
				if err != nil {
					return
				}
				at := time.Now()
				mu.Lock()
				for _, m := range batch {
					d := m.Event.(*event.Decision)
					if !seen[d.ID] {
						seen[d.ID] = true
						took = append(took, at.Sub(d.AcceptedAt))
					}
				}
				if len(seen) == b.N {
					cancel()
				}
				mu.Unlock()
				l.Ack(len(batch))
			}
		})
	}
	readers.Wait()
	return took
}

package bus_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kfake"

	"aura/agents/bus"
	"aura/agents/bus/bustest"
	"aura/agents/event"
)

// The Kafka lane is a spike: it proves that the contract of the bus fits a log with offsets, before the real transport
// comes. One consumer a partition, chosen by hand; a lane's acks are the group's committed offsets; a batch is one
// SendMessages. It runs against a broker in this process.

const spikePartitions = 3

// TestLanesKafka runs the lane suite. A topic keeps everything, so publishing knows no bounds here (the window above it
// does), and what lies beyond the fetched messages can't be looked into.
func TestLanesKafka(t *testing.T) {
	bustest.Run(t, func(t testing.TB) bus.Transport { return newKafka(t, newBroker(t)) },
		bustest.Features{Ordered: true, Slow: true})
}

// TestKafkaOffsets: what a process has acked stays acked for the next one, and nothing else does.
func TestKafkaOffsets(t *testing.T) {
	broker := newBroker(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	read := func(ack int) []int64 {
		k := newKafka(t, broker)
		defer func() { _ = k.Close() }()
		box, err := k.Mailbox(bus.MailboxOptions{Topic: event.ConfigUpdates, Group: "g"})
		if err != nil {
			t.Fatal(err)
		}
		if ack > 0 {
			for i := range 10 {
				e := &event.ConfigUpdate{Setting: "mode", Generation: int64(i)}
				if err := k.Publish(ctx, bus.NewMessage(e, time.Now())); err != nil {
					t.Fatal(err)
				}
			}
		}
		got := make(chan []int64, spikePartitions)
		ctx, cancel := context.WithCancel(ctx)
		for _, l := range box.Lanes() {
			go func() {
				defer cancel()
				var all []int64
				for len(all) < 10-max(0, 3-ack) {
					batch, err := l.Take(ctx, 10)
					if err != nil {
						break
					}
					for _, m := range batch {
						all = append(all, m.Event.(*event.ConfigUpdate).Generation)
					}
				}
				l.Ack(min(ack, len(all)))
				got <- all
			}()
		}
		var all []int64
		for range box.Lanes() {
			all = append(all, <-got...)
		}
		cancel()
		return all
	}
	if first := read(3); len(first) != 10 {
		t.Fatalf("the first process read %v", first)
	}
	if second := read(0); len(second) != 7 || second[0] != 3 {
		t.Fatalf("the second process read %v", second)
	}
}

func newBroker(t testing.TB) []string {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(spikePartitions,
		string(event.ConfigUpdates), string(event.ConfigUpdates.DLQ()), string(event.RawEvents)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster.ListenAddrs()
}

func spikeConfig() *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.V2_8_0_0
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Idempotent = true
	c.Net.MaxOpenRequests = 1
	c.Producer.Return.Successes = true
	c.Consumer.Return.Errors = false
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Offsets.AutoCommit.Enable = false
	c.Consumer.MaxWaitTime = 20 * time.Millisecond
	return c
}

// kafka is the transport of the spike. The control plane goes through watermill-kafka one day, so Subscriber is empty.
type kafka struct {
	brokers  []string
	client   sarama.Client
	producer sarama.SyncProducer

	mu     sync.Mutex
	closed bool
	boxes  []*kafkaMailbox
}

func newKafka(t testing.TB, brokers []string) *kafka {
	t.Helper()
	client, err := sarama.NewClient(brokers, spikeConfig())
	if err != nil {
		t.Fatal(err)
	}
	producer, err := sarama.NewSyncProducerFromClient(client)
	if err != nil {
		t.Fatal(err)
	}
	return &kafka{brokers: brokers, client: client, producer: producer}
}

func (k *kafka) Publish(_ context.Context, messages ...*bus.Message) error {
	var out []*sarama.ProducerMessage
	for _, m := range messages {
		if m.Event == nil {
			return errors.New("message without an event")
		}
		w, err := bus.Encode(m)
		if err != nil {
			return err
		}
		out = append(out, record(string(m.Event.Topic()), w))
	}
	return k.send(out)
}

func (k *kafka) send(out []*sarama.ProducerMessage) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return bus.ErrClosed
	}
	if err := k.producer.SendMessages(out); err != nil {
		return fmt.Errorf("kafka: publish: %w", err)
	}
	return nil
}

func record(topic string, w *message.Message) *sarama.ProducerMessage {
	r := &sarama.ProducerMessage{Topic: topic, Value: sarama.ByteEncoder(w.Payload)}
	if key := w.Metadata[bus.HeaderSubject]; key != "" {
		r.Key = sarama.StringEncoder(key)
	}
	for name, value := range w.Metadata {
		r.Headers = append(r.Headers, sarama.RecordHeader{Key: []byte(name), Value: []byte(value)})
	}
	return r
}

func (k *kafka) Mailbox(o bus.MailboxOptions) (bus.Mailbox, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return nil, bus.ErrClosed
	}
	for _, b := range k.boxes {
		if o.Group != "" && b.options.Topic == o.Topic && b.options.Group == o.Group {
			return b, nil
		}
	}
	b, err := openKafkaMailbox(k, o)
	if err != nil {
		return nil, err
	}
	k.boxes = append(k.boxes, b)
	return b, nil
}

func (*kafka) Holds(map[string]bool, ...event.Topic) (map[string]bool, bool) { return nil, false }

func (k *kafka) Publisher() message.Publisher { return kafkaPublisher{k} }

func (*kafka) Subscriber() message.Subscriber { return nil }

func (k *kafka) Close() error {
	k.mu.Lock()
	if k.closed {
		k.mu.Unlock()
		return nil
	}
	k.closed = true
	boxes := k.boxes
	k.mu.Unlock()
	var errs []error
	for _, b := range boxes {
		errs = append(errs, b.Close())
	}
	return errors.Join(append(errs, k.producer.Close(), k.client.Close())...)
}

type kafkaPublisher struct{ k *kafka }

func (p kafkaPublisher) Publish(topic string, messages ...*message.Message) error {
	var out []*sarama.ProducerMessage
	for _, m := range messages {
		out = append(out, record(topic, m))
	}
	return p.k.send(out)
}

func (kafkaPublisher) Close() error { return nil }

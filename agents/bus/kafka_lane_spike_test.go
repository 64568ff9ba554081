package bus_test

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"

	"aura/agents/bus"
	"aura/agents/event"
)

// kafkaMailbox has one lane a partition.
type kafkaMailbox struct {
	options  bus.MailboxOptions
	lanes    []bus.Lane
	client   sarama.Client
	consumer sarama.Consumer
	offsets  sarama.OffsetManager // nil for a private subscription
	once     sync.Once
	end      error
}

func openKafkaMailbox(k *kafka, o bus.MailboxOptions) (*kafkaMailbox, error) {
	// A client of its own: a fetch that waits on the broker holds up no publisher.
	client, err := sarama.NewClient(k.brokers, spikeConfig())
	if err != nil {
		return nil, err
	}
	b := &kafkaMailbox{options: o, client: client}
	if b.consumer, err = sarama.NewConsumerFromClient(client); err != nil {
		return nil, err
	}
	if o.Group != "" {
		if err := makeGroup(client, o.Group); err != nil {
			return nil, err
		}
		if b.offsets, err = sarama.NewOffsetManagerFromClient(o.Group, client); err != nil {
			return nil, err
		}
	}
	partitions, err := client.Partitions(string(o.Topic))
	if err != nil {
		return nil, err
	}
	for _, p := range partitions {
		l, err := b.openLane(p)
		if err != nil {
			return nil, err
		}
		b.lanes = append(b.lanes, l)
	}
	return b, nil
}

// makeGroup commits nothing: Kafka answers -1 for the offsets of a group it has never heard of, kfake an error.
func makeGroup(client sarama.Client, group string) error {
	broker, err := client.Coordinator(group)
	if err != nil {
		return err
	}
	_, err = broker.CommitOffset(&sarama.OffsetCommitRequest{Version: 2, ConsumerGroup: group, ConsumerGroupGeneration: -1})
	return err
}

func (b *kafkaMailbox) openLane(p int32) (*kafkaLane, error) {
	l := &kafkaLane{topic: b.options.Topic, reader: make(chan struct{}, 1), closed: make(chan struct{})}
	var err error
	if b.offsets == nil {
		l.next, err = b.client.GetOffset(string(l.topic), p, sarama.OffsetNewest)
	} else if l.offset, err = b.offsets.ManagePartition(string(l.topic), p); err == nil {
		l.next, _ = l.offset.NextOffset()
		l.commit = b.offsets.Commit
	}
	if err != nil {
		return nil, err
	}
	l.in, err = b.consumer.ConsumePartition(string(l.topic), p, l.next)
	return l, err
}

func (b *kafkaMailbox) Lanes() []bus.Lane { return b.lanes }

// SetOverflow has no meaning here: the topic keeps everything.
func (*kafkaMailbox) SetOverflow(bus.Overflow) {}

func (b *kafkaMailbox) Depth() int {
	n := 0
	for _, l := range b.lanes {
		n += l.Len()
	}
	return n
}

func (*kafkaMailbox) Dropped() int64 { return 0 }

func (b *kafkaMailbox) Close() error {
	b.once.Do(func() {
		var errs []error
		for _, l := range b.lanes {
			errs = append(errs, l.(*kafkaLane).close())
		}
		if b.offsets != nil {
			errs = append(errs, b.offsets.Close())
		}
		b.end = errors.Join(append(errs, b.consumer.Close(), b.client.Close())...)
	})
	return b.end
}

// fetched is a message with its place in the partition.
type fetched struct {
	m      *bus.Message
	offset int64
	at     time.Time
}

// kafkaLane is a partition: what was fetched and not taken, and what was taken and not acked.
type kafkaLane struct {
	topic  event.Topic
	in     sarama.PartitionConsumer
	offset sarama.PartitionOffsetManager // nil for a private subscription
	commit func()
	closed chan struct{}
	// reader lets one Take at a time wait for the partition.
	reader chan struct{}

	mu             sync.Mutex
	waiting, taken []fetched
	next           int64 // the offset that comes next from in
}

func (l *kafkaLane) Take(ctx context.Context, limit int) ([]*bus.Message, error) {
	select {
	case l.reader <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-l.closed:
		return nil, bus.ErrClosed
	}
	defer func() { <-l.reader }()
	for {
		select {
		case <-l.closed:
			return nil, bus.ErrClosed
		default:
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if batch := l.take(limit); len(batch) > 0 {
			return batch, nil
		}
		select {
		case r, ok := <-l.in.Messages():
			if !ok {
				return nil, bus.ErrClosed
			}
			l.keep(r, limit)
		case <-ctx.Done():
		case <-l.closed:
		}
	}
}

// keep adds a record and what else has been fetched, up to limit.
func (l *kafkaLane) keep(r *sarama.ConsumerMessage, limit int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		w := message.NewMessage("", r.Value)
		for _, h := range r.Headers {
			w.Metadata[string(h.Key)] = string(h.Value)
		}
		l.waiting = append(l.waiting, fetched{bus.Decode(l.topic, w), r.Offset, r.Timestamp})
		l.next = r.Offset + 1
		if len(l.waiting) >= limit {
			return
		}
		var ok bool
		select {
		case r, ok = <-l.in.Messages():
			if !ok {
				return
			}
		default:
			return
		}
	}
}

func (l *kafkaLane) take(limit int) []*bus.Message {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := min(limit, len(l.waiting))
	var batch []*bus.Message
	for _, f := range l.waiting[:n] {
		batch = append(batch, f.m)
	}
	l.taken = append(l.taken, l.waiting[:n]...)
	l.waiting = l.waiting[n:]
	return batch
}

func (l *kafkaLane) Ack(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n = min(n, len(l.taken)); n <= 0 {
		return
	}
	last := l.taken[n-1].offset
	l.taken = l.taken[n:]
	if l.offset != nil {
		l.offset.MarkOffset(last+1, "")
		l.commit()
	}
}

func (l *kafkaLane) Return() {
	l.mu.Lock()
	defer l.mu.Unlock()
	back := make([]fetched, 0, len(l.taken)+len(l.waiting))
	for _, f := range l.taken {
		again := *f.m
		f.m = &again
		back = append(back, f)
	}
	l.waiting, l.taken = append(back, l.waiting...), nil
}

// Len counts what was fetched and is not acked, and the rest of the partition as far as the last fetch could see it.
func (l *kafkaLane) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.taken) + len(l.waiting) + int(max(0, l.in.HighWaterMarkOffset()-max(l.next, 0)))
}

func (l *kafkaLane) OldestAt() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, list := range [][]fetched{l.taken, l.waiting} {
		if len(list) > 0 {
			return list[0].at
		}
	}
	return time.Time{}
}

func (l *kafkaLane) close() error {
	close(l.closed)
	if l.offset != nil {
		l.offset.AsyncClose() // its Close waits for the automatic commit, which is off; the manager's Close ends it
	}
	return l.in.Close()
}

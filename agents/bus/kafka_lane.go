package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"aura/agents/event"
)

// feedMost is how many records go into a lane under one lock.
const feedMost = 256

// kafkaLane is a partition that is read ahead. Its length counts what is still at the broker.
type kafkaLane struct {
	*lane
	topic event.Topic
	lazy  bool
	next  atomic.Int64 // offset of the record that comes next
	from  atomic.Pointer[partitionReader]
}

// partitionReader is what of Sarama's partition consumers and claims is needed here.
type partitionReader interface {
	Messages() <-chan *sarama.ConsumerMessage
	HighWaterMarkOffset() int64
}

// Len implements Lane.
func (l *kafkaLane) Len() int { return l.lane.Len() + l.remote() }

// remote counts what is known to be at the broker and was not read yet.
func (l *kafkaLane) remote() int {
	from := l.from.Load()
	if from == nil {
		return 0
	}
	next := l.next.Load()
	if next < 0 {
		return 0 // nothing has come yet
	}
	return int(max(0, (*from).HighWaterMarkOffset()-next))
}

// follow reads into the lane until ctx or the reader ends, or the lane is closed.
func (l *kafkaLane) follow(ctx context.Context, in partitionReader, next int64) {
	l.next.Store(next)
	l.from.Store(&in)
	defer l.from.Store(nil)
	batch := make([]entry, 0, feedMost)
	for {
		select {
		case r, ok := <-in.Messages():
			if !ok {
				return
			}
			batch = l.gather(append(batch[:0], l.arrival(r)), in)
		case <-ctx.Done():
			return
		}
		l.next.Store(batch[len(batch)-1].place + 1)
		if err := l.feed(ctx, batch); err != nil {
			return
		}
		clear(batch)
	}
}

// gather adds what is there already.
func (l *kafkaLane) gather(batch []entry, in partitionReader) []entry {
	for len(batch) < feedMost {
		select {
		case r, ok := <-in.Messages():
			if !ok {
				return batch
			}
			batch = append(batch, l.arrival(r))
		default:
			return batch
		}
	}
	return batch
}

// kafkaReader fills a private mailbox: every partition, from where it ended when the mailbox was opened.
type kafkaReader struct {
	client   sarama.Client // of its own: a fetch that waits at the broker holds up nobody else
	consumer sarama.Consumer
	cancel   context.CancelFunc
	running  sync.WaitGroup
}

func (k *Kafka) newReader(topic string, lanes []*kafkaLane) (*kafkaReader, error) {
	client, err := sarama.NewClient(k.options.Brokers, k.config)
	if err != nil {
		return nil, err
	}
	consumer, err := sarama.NewConsumerFromClient(client)
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	starts := make([]int64, len(lanes))
	for i := range lanes {
		if starts[i], err = k.endOf(context.Background(), client, topic, int32(i)); err != nil {
			return nil, errors.Join(fmt.Errorf("where %s/%d ends: %w", topic, i, err), consumer.Close(), client.Close())
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &kafkaReader{client: client, consumer: consumer, cancel: cancel}
	for i, l := range lanes {
		r.running.Go(func() { r.read(ctx, topic, int32(i), l, starts[i]) })
	}
	return r, nil
}

// leaderWithin is how long a partition may be without a leader before that is an error: one that was just created has none, on a
// busy broker for many seconds.
const leaderWithin = 30 * time.Second

// endOf asks where a partition ends, while the transport is open and ctx lives.
func (k *Kafka) endOf(ctx context.Context, client sarama.Client, topic string, partition int32) (int64, error) {
	for begun := time.Now(); ; {
		at, err := client.GetOffset(topic, partition, sarama.OffsetNewest)
		leaderless := errors.Is(err, sarama.ErrNotLeaderForPartition) || errors.Is(err, sarama.ErrLeaderNotAvailable) ||
			errors.Is(err, sarama.ErrOffsetNotAvailable) // one that has only just been chosen
		if !leaderless || time.Since(begun) > leaderWithin || k.boxes.closed.Load() {
			return at, err
		}
		if !sleep(ctx, 20*time.Millisecond) { // nothing tells when there is one
			return at, errors.Join(err, ctx.Err())
		}
		_ = client.RefreshMetadata(topic) // the next question says what is wrong
	}
}

// led waits until each partition of a topic has a leader.
func (k *Kafka) led(ctx context.Context, topic string) error {
	partitions, err := k.partitions(topic)
	if err != nil {
		return err
	}
	for _, p := range partitions {
		if _, err := k.endOf(ctx, k.client, topic, p); err != nil {
			return err
		}
	}
	return nil
}

// readerPause is how long a reader waits before it tries again.
const readerPause = 250 * time.Millisecond

// read follows one partition for as long as ctx lives, whatever becomes of the broker. Where the broker no longer has what
// comes next, it goes on with the oldest that there is.
func (r *kafkaReader) read(ctx context.Context, topic string, partition int32, l *kafkaLane, next int64) {
	for ctx.Err() == nil {
		in, err := r.consumer.ConsumePartition(topic, partition, next)
		switch {
		case errors.Is(err, sarama.ErrOffsetOutOfRange):
			next = sarama.OffsetOldest
		case err == nil:
			l.follow(ctx, in, next)
			_ = in.Close() // its errors are the broker's absence, which is seen by whoever publishes
			next = l.next.Load()
		}
		if !sleep(ctx, readerPause) {
			return
		}
	}
}

func (r *kafkaReader) close() {
	r.cancel()
	r.running.Wait()
	_ = r.consumer.Close()
	_ = r.client.Close()
}

package bus

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/IBM/sarama"
)

// producerRoom bounds how many records are on their way to the brokers; who publishes more waits.
const producerRoom = 1 << 14

// kafkaProducer sends the batches of all publishers through one asynchronous producer, which packs into a request what has
// gathered while the last one was under way.
type kafkaProducer struct {
	async  sarama.AsyncProducer
	flow   *flow
	ending chan struct{}
	idle   sync.WaitGroup // the two goroutines that hear of records

	mu     sync.RWMutex // held for reading by who hands over records
	closed bool
}

// kafkaBatch is what one call of send waits for.
type kafkaBatch struct {
	left atomic.Int64
	err  atomic.Pointer[error]
	done chan struct{}
}

func newKafkaProducer(client sarama.Client) (*kafkaProducer, error) {
	async, err := sarama.NewAsyncProducerFromClient(client)
	if err != nil {
		return nil, err
	}
	p := &kafkaProducer{async: async, flow: newFlow(producerRoom), ending: make(chan struct{})}
	p.idle.Go(func() {
		for r := range async.Successes() {
			p.finish(r, nil)
		}
	})
	p.idle.Go(func() {
		for e := range async.Errors() {
			p.finish(e.Msg, e.Err)
		}
	})
	return p, nil
}

func (p *kafkaProducer) finish(r *sarama.ProducerMessage, err error) {
	b := r.Metadata.(*kafkaBatch)
	p.flow.leave(1)
	if err != nil {
		b.err.CompareAndSwap(nil, &err)
	}
	if b.left.Add(-1) == 0 {
		close(b.done)
	}
}

// send returns when the brokers have all records, or with why they don't. When ctx ends first they may still get them.
func (p *kafkaProducer) send(ctx context.Context, records []*sarama.ProducerMessage) error {
	if len(records) == 0 {
		return nil
	}
	if err := p.flow.enter(ctx, len(records)); err != nil {
		return fmt.Errorf("%w: %d records are on their way to Kafka: %w", ErrFull, producerRoom, err)
	}
	b := &kafkaBatch{done: make(chan struct{})}
	b.left.Store(int64(len(records)))
	handed, err := p.hand(ctx, b, records)
	if err != nil {
		p.flow.leave(len(records) - handed)
		return err
	}
	select {
	case <-b.done:
	case <-ctx.Done():
		return fmt.Errorf("bus: Kafka has not confirmed %d of %d messages: %w", b.left.Load(), len(records), ctx.Err())
	}
	if failed := b.err.Load(); failed != nil {
		return fmt.Errorf("bus: publish on %s: %w", records[0].Topic, *failed)
	}
	return nil
}

// hand gives the records to the producer; with an error it says how many it took.
func (p *kafkaProducer) hand(ctx context.Context, b *kafkaBatch, records []*sarama.ProducerMessage) (int, error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return 0, ErrClosed
	}
	for i, r := range records {
		r.Metadata = b
		select {
		case p.async.Input() <- r:
		case <-ctx.Done():
			return i, fmt.Errorf("%w: Kafka's producer is busy: %w", ErrFull, ctx.Err())
		case <-p.ending:
			return i, ErrClosed
		}
	}
	return len(records), nil
}

// close flushes what is on its way, as long as the brokers take it.
func (p *kafkaProducer) close() error {
	close(p.ending)
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.flow.open()
	p.async.AsyncClose()
	p.idle.Wait()
	return nil
}

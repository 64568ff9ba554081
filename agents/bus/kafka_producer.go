package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
)

// producerRoom bounds how many records are on their way to the brokers; who publishes more waits.
const producerRoom = 1 << 14

// kafkaProducer sends the batches of all publishers through one asynchronous producer, which packs into a request what has
// gathered while the last one was under way. When the brokers were away it is replaced: Sarama's own would refuse everything
// for ten seconds after they are back.
type kafkaProducer struct {
	client sarama.Client
	log    *slog.Logger
	flow   *flow
	joined func(context.Context) error // waits for the process' groups
	life   context.Context             // ends with the producer
	end    context.CancelFunc
	tasks  sync.WaitGroup // who hears of records, and who renews

	mu     sync.RWMutex         // held for reading by who hands over records
	async  sarama.AsyncProducer // nil while the brokers are away
	closed bool
}

var errNoBroker = errors.New("bus: Kafka's brokers can't be reached")

// kafkaBatch is what one call of send waits for.
type kafkaBatch struct {
	left atomic.Int64
	err  atomic.Pointer[error]
	done chan struct{}
}

func newKafkaProducer(client sarama.Client, log *slog.Logger, joined func(context.Context) error) (*kafkaProducer, error) {
	async, err := sarama.NewAsyncProducerFromClient(client)
	for begun := time.Now(); errors.Is(err, sarama.ErrOffsetsLoadInProgress) && time.Since(begun) < leaderWithin; {
		time.Sleep(100 * time.Millisecond) // a broker that has just begun reads what its coordinator keeps; nothing tells the end
		async, err = sarama.NewAsyncProducerFromClient(client)
	}
	if err != nil {
		return nil, err
	}
	p := &kafkaProducer{client: client, log: log, flow: newFlow(producerRoom), joined: joined}
	p.life, p.end = context.WithCancel(context.Background())
	p.use(async)
	return p, nil
}

// use makes a producer the present one. mu must be held once others know of p.
func (p *kafkaProducer) use(async sarama.AsyncProducer) {
	p.async = async
	p.tasks.Go(func() {
		for r := range async.Successes() {
			p.finish(r, nil)
		}
	})
	p.tasks.Go(func() {
		var once sync.Once
		for e := range async.Errors() {
			p.finish(e.Msg, e.Err)
			if broken(e.Err) { // not here: who hands over records holds the lock, and may wait for this loop
				once.Do(func() { p.tasks.Go(func() { p.renew(async) }) })
			}
		}
	})
}

func (p *kafkaProducer) finish(r *sarama.ProducerMessage, err error) {
	b := r.Metadata.(*kafkaBatch)
	p.flow.leave(1)
	if err != nil {
		failed := err // err itself would be on the heap for every record
		b.err.CompareAndSwap(nil, &failed)
	}
	if b.left.Add(-1) == 0 {
		close(b.done)
	}
}

// broken reports whether a failure says that the brokers were not there, rather than what they think of a record.
func broken(err error) bool {
	var answer sarama.KError
	var ours sarama.ConfigurationError
	return !errors.As(err, &answer) && !errors.As(err, &ours)
}

// renew replaces a producer that failed, unless that has been done already. Until there is another one nobody is kept waiting:
// publishing fails at once.
func (p *kafkaProducer) renew(failed sarama.AsyncProducer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.async != failed || p.closed {
		return
	}
	p.log.Warn("Kafka's brokers can't be reached; they are tried until they can")
	p.async = nil
	failed.AsyncClose()
	p.tasks.Go(func() {
		for {
			async, err := sarama.NewAsyncProducerFromClient(p.client)
			if err == nil {
				p.awaitGroups()
			}
			p.mu.Lock()
			switch {
			case p.closed:
				p.mu.Unlock()
				if err == nil {
					_ = async.Close()
				}
				return
			case err == nil:
				p.use(async)
				p.log.Info("Kafka's brokers are back")
				p.mu.Unlock()
				return
			}
			p.mu.Unlock()
			sleep(p.life, readerPause)
		}
	})
}

// groupsWithin bounds how long publishing waits for the groups after an outage: others may keep them busy.
const groupsWithin = 10 * time.Second

func (p *kafkaProducer) awaitGroups() {
	ctx, cancel := context.WithTimeout(p.life, groupsWithin)
	defer cancel()
	if err := p.joined(ctx); err != nil {
		p.log.Warn("publishing goes on before all consumer groups are joined", "err", err)
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
	if err := p.lock(); err != nil {
		return 0, err
	}
	defer p.mu.RUnlock()
	for i, r := range records {
		r.Metadata = b
		select {
		case p.async.Input() <- r:
		case <-ctx.Done():
			return i, fmt.Errorf("%w: Kafka's producer is busy: %w", ErrFull, ctx.Err())
		case <-p.life.Done():
			return i, ErrClosed
		}
	}
	return len(records), nil
}

// lock holds mu for reading while there is a producer.
func (p *kafkaProducer) lock() error {
	p.mu.RLock()
	switch {
	case p.closed:
		p.mu.RUnlock()
		return ErrClosed
	case p.async == nil:
		p.mu.RUnlock()
		return errNoBroker
	}
	return nil
}

// close flushes what is on its way, as long as the brokers take it.
func (p *kafkaProducer) close() error {
	p.end()
	p.mu.Lock()
	p.closed = true
	if p.async != nil {
		p.async.AsyncClose()
	}
	p.mu.Unlock()
	p.flow.open()
	p.tasks.Wait()
	return nil
}

package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"
)

// kafkaViews makes Watermill's own Kafka publisher and subscribers, with settings that lose nothing, and ends them with the
// transport.
type kafkaViews struct {
	options KafkaOptions
	config  *sarama.Config
	// led waits until each partition of a topic has a leader: Watermill's subscriber fails where one hasn't yet.
	led func(ctx context.Context, topic string) error

	mu          sync.Mutex
	closed      bool
	publisher   *kafka.Publisher
	subscribers map[*kafkaSubscriber]bool
}

// uuidHeader carries the id of a message of Watermill's that is no CloudEvent.
const uuidHeader = kafka.UUIDHeaderKey

// kafkaMarshaler writes and reads Watermill's messages as the data path does. Reading never fails: Watermill would fetch a
// message that can't be read for ever.
type kafkaMarshaler struct{}

// Marshal implements kafka.Marshaler.
func (kafkaMarshaler) Marshal(topic string, m *message.Message) (*sarama.ProducerMessage, error) {
	r := &sarama.ProducerMessage{Topic: topic, Value: sarama.ByteEncoder(m.Payload)}
	if key := m.Metadata[HeaderSubject]; key != "" {
		r.Key = sarama.StringEncoder(key)
	}
	for name, value := range m.Metadata {
		r.Headers = append(r.Headers, sarama.RecordHeader{Key: []byte(name), Value: []byte(value)})
	}
	if m.Metadata[HeaderID] == "" && m.UUID != "" {
		r.Headers = append(r.Headers, sarama.RecordHeader{Key: []byte(uuidHeader), Value: []byte(m.UUID)})
	}
	return r, nil
}

// Unmarshal implements kafka.Unmarshaler.
func (kafkaMarshaler) Unmarshal(r *sarama.ConsumerMessage) (*message.Message, error) {
	m := message.NewMessage("", r.Value)
	m.Metadata = metadata(r)
	if m.UUID = m.Metadata[HeaderID]; m.UUID == "" {
		m.UUID = m.Metadata[uuidHeader]
	}
	if delete(m.Metadata, uuidHeader); m.UUID == "" {
		m.UUID = placeID(r)
	}
	return m, nil
}

// publisherOf returns the one publisher, which connects when it is first used.
func (v *kafkaViews) publisherOf() (*kafka.Publisher, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return nil, ErrClosed
	}
	if v.publisher == nil {
		p, err := kafka.NewPublisher(kafka.PublisherConfig{
			Brokers: v.options.Brokers, Marshaler: kafkaMarshaler{}, OverwriteSaramaConfig: v.config,
		}, Quiet(v.options.Logger))
		if err != nil {
			return nil, fmt.Errorf("bus: Kafka publisher: %w", err)
		}
		v.publisher = p
	}
	return v.publisher, nil
}

// kafkaPublisher belongs to the transport: its Close does nothing, see publisher.
type kafkaPublisher struct{ views *kafkaViews }

func (p kafkaPublisher) Publish(topic string, messages ...*message.Message) error {
	to, err := p.views.publisherOf()
	if err != nil {
		return err
	}
	return to.Publish(p.views.options.Prefix+topic, messages...)
}

func (kafkaPublisher) Close() error { return nil }

// subscriber makes a subscriber of a group; without one it sees what is published from its subscription on.
func (v *kafkaViews) subscriber(group string) *kafkaSubscriber {
	return &kafkaSubscriber{views: v, group: group}
}

// kafkaSubscriber connects when it first subscribes.
type kafkaSubscriber struct {
	views *kafkaViews
	group string

	mu     sync.Mutex
	closed bool
	inner  *kafka.Subscriber
}

// Subscribe implements message.Subscriber.
func (s *kafkaSubscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	inner, err := s.connect()
	if err != nil {
		return nil, err
	}
	topic = s.views.options.Prefix + topic
	if err := s.views.led(ctx, topic); err != nil {
		return nil, fmt.Errorf("bus: subscribe to %s: %w", topic, err)
	}
	return inner.Subscribe(ctx, topic)
}

func (s *kafkaSubscriber) connect() (*kafka.Subscriber, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || !s.views.register(s) {
		return nil, ErrClosed
	}
	if s.inner != nil {
		return s.inner, nil
	}
	c := *s.views.config
	group := s.group
	// Of a group Watermill reads them; of a subscription without one nobody does, and it would stop for ever after some.
	c.Consumer.Return.Errors = group != ""
	if group == "" {
		c.Consumer.Offsets.Initial = sarama.OffsetNewest
	} else {
		group = s.views.options.Prefix + group
	}
	inner, err := kafka.NewSubscriber(kafka.SubscriberConfig{
		Brokers: s.views.options.Brokers, Unmarshaler: kafkaMarshaler{}, OverwriteSaramaConfig: &c, ConsumerGroup: group,
	}, Quiet(s.views.options.Logger))
	if err != nil {
		return nil, fmt.Errorf("bus: Kafka subscriber: %w", err)
	}
	s.inner = inner
	return inner, nil
}

// Close implements message.Subscriber.
func (s *kafkaSubscriber) Close() error {
	s.mu.Lock()
	inner := s.inner
	s.closed = true
	s.mu.Unlock()
	s.views.forget(s)
	if inner == nil {
		return nil
	}
	return inner.Close()
}

func (v *kafkaViews) register(s *kafkaSubscriber) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return false
	}
	if v.subscribers == nil {
		v.subscribers = map[*kafkaSubscriber]bool{}
	}
	v.subscribers[s] = true
	return true
}

func (v *kafkaViews) forget(s *kafkaSubscriber) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.subscribers, s)
}

func (v *kafkaViews) close() error {
	v.mu.Lock()
	v.closed = true
	publisher, subscribers := v.publisher, v.subscribers
	v.subscribers = nil
	v.mu.Unlock()
	var errs []error
	for s := range subscribers {
		errs = append(errs, s.Close())
	}
	if publisher != nil {
		errs = append(errs, publisher.Close())
	}
	return errors.Join(errs...)
}

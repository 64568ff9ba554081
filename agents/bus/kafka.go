package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"

	"aura/agents/event"
)

// KafkaOptions configures the transport over Apache Kafka.
type KafkaOptions struct {
	// Brokers are host:port; one that answers is enough.
	Brokers []string
	// Prefix begins the names of all topics and groups on the broker, so that deployments can share one.
	Prefix string
	// Member is this process' lasting name in its groups: its next life takes its partitions over at once, without waiting
	// for the session of the last one to end. Empty: each life is a new member.
	Member string
	// Capacity bounds what a lane has read ahead, in messages (default 4096).
	Capacity int
	Security KafkaSecurity
	Logger   *slog.Logger
}

// Kafka is the transport over a Kafka broker. Values are plain JSON, metadata are CloudEvents' headers of its binary mode.
//
// The data path is on Sarama in batches. Each partition of a topic is a lane. A group's mailbox is a member of the
// consumer group of that name, whose partitions it reads ahead into bounded lanes; an ack marks the offset, which is
// committed each second and when partitions change hands. What is not acked then is delivered again, here or elsewhere; an
// ack that comes late does nothing. A private mailbox reads all partitions, from their ends at the time it was opened, and
// commits nothing. A full lane holds up its reader, never a publisher: the topic keeps what waits.
//
// The control plane is watermill-kafka as it comes (Publisher, Subscriber): one message in flight a partition, which is
// far too slow for the data path and right for the few messages that are there.
//
// Publish returns when the broker has everything (all replicas in sync). When the broker is away it fails, after a second or
// two of trying the first time and then at once; members, readers and the producer try by themselves until it is back. Nothing
// is published before this process is in its groups again, so that who hears its own messages may take it that all is heard.
type Kafka struct {
	options  KafkaOptions
	config   *sarama.Config
	client   sarama.Client // for metadata; nobody fetches on it
	producer *kafkaProducer
	boxes    *directory
	views    *kafkaViews

	mu     sync.Mutex
	groups map[string]*kafkaGroup
}

var _ Transport = (*Kafka)(nil)

// NewKafka connects to the brokers.
func NewKafka(o KafkaOptions) (*Kafka, error) {
	o.Capacity = cmp.Or(max(o.Capacity, 0), 4096)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler)).With("component", "kafka")
	config, err := o.sarama()
	if err != nil {
		return nil, err
	}
	if err := o.knock(config); err != nil {
		return nil, err
	}
	client, err := sarama.NewClient(o.Brokers, config)
	if err != nil {
		return nil, err
	}
	k := &Kafka{
		options: o, config: config, client: client, boxes: newDirectory(),
		views: &kafkaViews{options: o, config: config}, groups: map[string]*kafkaGroup{},
	}
	k.views.led = k.led
	if k.producer, err = newKafkaProducer(client, o.Logger, k.Joined); err != nil {
		return nil, errors.Join(fmt.Errorf("bus: Kafka producer: %w", err), client.Close())
	}
	return k, nil
}

// Publish implements Transport.
func (k *Kafka) Publish(ctx context.Context, messages ...*Message) error {
	if k.boxes.closed.Load() {
		return ErrClosed
	}
	records, err := records(k.options.Prefix, messages)
	if err != nil {
		return err
	}
	return k.producer.send(ctx, records)
}

// Mailbox implements Transport.
func (k *Kafka) Mailbox(o MailboxOptions) (Mailbox, error) {
	o.Capacity = cmp.Or(max(o.Capacity, 0), k.options.Capacity)
	if k.boxes.closed.Load() {
		return nil, fmt.Errorf("open mailbox %s of group %q: %w", o.Topic, o.Group, ErrClosed)
	}
	partitions, err := k.partitions(k.options.Prefix + string(o.Topic))
	if errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
		return nil, fmt.Errorf("open mailbox %s of group %q: the broker has no topic %s%s", o.Topic, o.Group, k.options.Prefix, o.Topic)
	}
	if err != nil {
		return nil, fmt.Errorf("open mailbox %s of group %q: %w", o.Topic, o.Group, err)
	}
	box, err := k.boxes.open(o, len(partitions), k.begin)
	if err != nil {
		return nil, fmt.Errorf("open mailbox %s of group %q: %w", o.Topic, o.Group, err)
	}
	return box, nil
}

// partitions asks for a topic's partitions. One that was just created is not known to a busy broker at once.
func (k *Kafka) partitions(topic string) ([]int32, error) {
	for begun := time.Now(); ; {
		list, err := k.client.Partitions(topic) // it asks several times by itself
		if !errors.Is(err, sarama.ErrUnknownTopicOrPartition) || time.Since(begun) > topicWithin || k.boxes.closed.Load() {
			return list, err
		}
	}
}

// topicWithin is how long a topic may be unknown before it counts as missing.
const topicWithin = 5 * time.Second

// begin starts reading into a new mailbox; closing the mailbox stops it.
func (k *Kafka) begin(b *mailbox) error {
	lanes := make([]*kafkaLane, len(b.lanes))
	for i, l := range b.lanes {
		lanes[i] = &kafkaLane{lane: l, topic: b.topic, lazy: b.lazy}
		b.views[i] = lanes[i]
	}
	topic, end := k.options.Prefix+string(b.topic), b.end
	if b.group == "" {
		r, err := k.newReader(topic, lanes)
		if err != nil {
			return err
		}
		b.end = func() { end(); r.close() }
		return nil
	}
	g := k.group(b.group)
	g.add(topic, lanes)
	b.end = func() { end(); g.remove(topic) }
	return nil
}

// group finds or makes the membership in a group.
func (k *Kafka) group(name string) *kafkaGroup {
	k.mu.Lock()
	defer k.mu.Unlock()
	g := k.groups[name]
	if g == nil {
		g = newKafkaGroup(k, name)
		k.groups[name] = g
	}
	return g
}

// Joined waits until this process is in each of its groups, and so until what they read has leaders: what is published before
// has to wait until then.
func (k *Kafka) Joined(ctx context.Context) error {
	for _, g := range k.memberships() {
		if err := g.await(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (k *Kafka) memberships() []*kafkaGroup {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Collect(maps.Values(k.groups))
}

// Holds implements Transport: what lies in the topics can't be looked into.
func (*Kafka) Holds(map[string]bool, ...event.Topic) (map[string]bool, bool) { return nil, false }

// Publisher implements Transport.
func (k *Kafka) Publisher() message.Publisher { return kafkaPublisher{k.views} }

// Subscriber implements Transport.
func (k *Kafka) Subscriber() message.Subscriber { return k.views.subscriber("") }

// GroupSubscriber is Watermill's view of a consumer group.
func (k *Kafka) GroupSubscriber(group string) message.Subscriber { return k.views.subscriber(group) }

// Close implements Transport. Members leave their groups after what was acked is committed.
func (k *Kafka) Close() error {
	k.mu.Lock()
	groups := k.groups
	k.groups = map[string]*kafkaGroup{}
	k.mu.Unlock()
	for _, g := range groups {
		g.end()
	}
	if !k.boxes.close() {
		return nil
	}
	errs := []error{k.views.close()}
	for _, g := range groups {
		<-g.done
	}
	return errors.Join(append(errs, k.producer.close(), k.client.Close())...)
}

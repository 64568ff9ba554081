package bus

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
)

// kafkaGroup is this process' membership in one consumer group, for all topics that it reads there: one member, so that a
// further topic costs a new assignment and not a wait for the other members' heartbeats.
type kafkaGroup struct {
	kafka *Kafka
	name  string // on the broker
	root  context.Context
	end   context.CancelFunc
	done  chan struct{}
	away  atomic.Bool     // since the last session the group could not be joined
	led   map[string]bool // by topic on the broker: it had leaders once; run's own

	mu      sync.Mutex
	lanes   map[string][]*kafkaLane // by topic on the broker
	change  context.CancelFunc      // ends the session under way
	changed chan struct{}           // has a token when lanes were changed
	joined  chan struct{}           // closed while there is a session for all lanes
}

func newKafkaGroup(k *Kafka, name string) *kafkaGroup {
	g := &kafkaGroup{
		kafka: k, name: k.options.Prefix + name, done: make(chan struct{}), joined: make(chan struct{}),
		led: map[string]bool{}, lanes: map[string][]*kafkaLane{}, change: func() {}, changed: make(chan struct{}, 1),
	}
	g.root, g.end = context.WithCancel(context.Background())
	go g.run()
	return g
}

// add has the group read one more topic.
func (g *kafkaGroup) add(topic string, lanes []*kafkaLane) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lanes[topic] = lanes
	g.again()
}

// remove has the group read a topic no more.
func (g *kafkaGroup) remove(topic string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.lanes, topic)
	g.again()
}

// again ends the session, so that the next one has the present topics. mu must be held.
func (g *kafkaGroup) again() {
	g.change()
	g.unjoin()
	select {
	case g.changed <- struct{}{}:
	default:
	}
}

// subscription returns the topics to read and a context that ends when they change.
func (g *kafkaGroup) subscription() (context.Context, []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.changed:
	default:
	}
	ctx, cancel := context.WithCancel(g.root)
	g.change = cancel
	return ctx, slices.Sorted(maps.Keys(g.lanes))
}

func (g *kafkaGroup) lane(topic string, partition int32) *kafkaLane {
	g.mu.Lock()
	defer g.mu.Unlock()
	lanes := g.lanes[topic]
	if int(partition) >= len(lanes) {
		return nil
	}
	return lanes[partition]
}

// groupPause is how long a member waits before it joins again after a failure.
const groupPause = 250 * time.Millisecond

// run is a member's life: session after session, until the end. An absent broker is waited for.
func (g *kafkaGroup) run() {
	defer close(g.done)
	var member sarama.ConsumerGroup
	defer func() {
		if member != nil {
			_ = member.Close()
			g.leave()
		}
	}()
	for g.root.Err() == nil {
		ctx, topics := g.subscription()
		if len(topics) == 0 {
			select {
			case <-g.changed:
			case <-g.root.Done():
			}
			continue
		}
		g.awaitLeaders(ctx, topics)
		var err error
		if member == nil {
			member, err = sarama.NewConsumerGroup(g.kafka.options.Brokers, g.name, g.config())
		}
		if err == nil {
			err = member.Consume(ctx, topics, g)
		}
		if err != nil && ctx.Err() == nil {
			if !g.away.Swap(true) {
				g.kafka.options.Logger.Warn("a consumer group can't be joined; it is tried until it can", "group", g.name, "err", err)
			}
			sleep(ctx, groupPause)
		}
	}
}

// awaitLeaders waits until what was never read here can be: of topics that were just created, a session would get one partition
// after the other, each after another fetch, and the first applications would wait for the last of them. What else is wrong shows
// when the group is joined.
func (g *kafkaGroup) awaitLeaders(ctx context.Context, topics []string) {
	for _, topic := range topics {
		if g.led[topic] || ctx.Err() != nil {
			continue
		}
		if err := g.kafka.led(ctx, topic); err == nil {
			g.led[topic] = true
		}
	}
}

// leave takes a member with a lasting name out of the group, so that others needn't wait for its session to end: Sarama
// leaves it there, for a next life that may not come soon.
func (g *kafkaGroup) leave() {
	if g.kafka.options.Member == "" || g.away.Load() {
		return
	}
	admin, err := sarama.NewClusterAdminFromClient(g.kafka.client) // Close ends the client after the groups
	if err == nil {
		_, err = admin.RemoveMemberFromConsumerGroup(g.name, []string{g.kafka.options.Member})
	}
	if err != nil { // the session's end does it
		g.kafka.options.Logger.Debug("a consumer group was not left", "group", g.name, "err", err)
	}
}

// config gives the member its lasting name.
func (g *kafkaGroup) config() *sarama.Config {
	c := *g.kafka.config
	c.Consumer.Group.InstanceId = g.kafka.options.Member
	return &c
}

// Setup implements sarama.ConsumerGroupHandler.
func (g *kafkaGroup) Setup(sarama.ConsumerGroupSession) error {
	g.mu.Lock()
	if len(g.changed) == 0 && !g.isJoined() { // else the next session has all topics
		close(g.joined)
	}
	g.mu.Unlock()
	if g.away.Swap(false) {
		g.kafka.options.Logger.Info("a consumer group was joined again", "group", g.name)
	}
	return nil
}

// Cleanup implements sarama.ConsumerGroupHandler.
func (g *kafkaGroup) Cleanup(sarama.ConsumerGroupSession) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.unjoin()
	return nil
}

// unjoin has whoever comes from now on wait for another session. mu must be held.
func (g *kafkaGroup) unjoin() {
	if g.isJoined() { // who waits already waits on
		g.joined = make(chan struct{})
	}
}

// isJoined reports whether there is a session. mu must be held.
func (g *kafkaGroup) isJoined() bool {
	select {
	case <-g.joined:
		return true
	default:
		return false
	}
}

// await waits until the group is joined for all that it reads.
func (g *kafkaGroup) await(ctx context.Context) error {
	g.mu.Lock()
	joined, idle := g.joined, len(g.lanes) == 0
	g.mu.Unlock()
	if idle {
		return nil
	}
	select {
	case <-joined:
		return nil
	case <-g.done:
		return ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("bus: consumer group %s is not joined: %w", g.name, ctx.Err())
	}
}

// ConsumeClaim implements sarama.ConsumerGroupHandler: it fills a partition's lane while the partition is this member's.
func (g *kafkaGroup) ConsumeClaim(s sarama.ConsumerGroupSession, c sarama.ConsumerGroupClaim) error {
	topic, partition := c.Topic(), c.Partition()
	l := g.lane(topic, partition)
	if l == nil {
		g.kafka.options.Logger.Error("a partition is not read: the topic has got more of them; start the process again",
			"group", g.name, "topic", topic, "partition", partition)
		<-s.Context().Done()
		return nil
	}
	l.attach(func(place int64) { s.MarkOffset(topic, partition, place+1, "") })
	defer l.detach()
	l.follow(s.Context(), c, c.InitialOffset())
	return nil
}

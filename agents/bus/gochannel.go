package bus

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"

	"aura/agents/event"
)

// GoChannel is Watermill's own in-memory Pub/Sub behind the same contract. It always encodes. Each mailbox is one
// subscription, and a pump that fills bounded lanes from it, so groups and restarts work as on the other transports;
// but Watermill's channel gives no order, not even for one key, forgets what is on its way when it or a mailbox closes,
// and can't be looked into (Holds says so). The end-to-end rule makes that harmless: it is the transport that proves it.
//
// Watermill's channel itself is unbounded (two goroutines a message): what is on its way to a mailbox is therefore
// counted, and Publish waits while that is more than a lane's capacity.
type GoChannel struct {
	options MemoryOptions
	channel *gochannel.GoChannel
	boxes   *directory
	subs    *subscribers
}

var _ Transport = (*GoChannel)(nil)

// NewGoChannel makes an empty bus; each mailbox has one goroutine until it or the bus is closed.
func NewGoChannel(o MemoryOptions) *GoChannel {
	o = o.withDefaults()
	g := &GoChannel{
		options: o,
		channel: gochannel.NewGoChannel(gochannel.Config{}, watermill.NopLogger{}),
		boxes:   newDirectory(),
	}
	g.subs = newSubscribers(o, g.openFor)
	return g
}

// Publish implements Transport. It returns when Watermill's channel has the messages, not when the mailboxes have.
func (g *GoChannel) Publish(ctx context.Context, messages ...*Message) error {
	for _, m := range messages {
		if m.Event == nil {
			return errNoEvent
		}
		w, err := Encode(m)
		if err != nil {
			return err
		}
		if err := g.publish(ctx, m.Event.Topic(), []*message.Message{w}); err != nil {
			return err
		}
	}
	return nil
}

func (g *GoChannel) publish(ctx context.Context, topic event.Topic, messages []*message.Message) error {
	if g.boxes.closed.Load() {
		return ErrClosed
	}
	boxes := g.boxes.of(topic)
	for i, b := range boxes {
		if err := b.flow.enter(ctx, len(messages)); err != nil {
			leave(boxes[:i], len(messages))
			return fmt.Errorf("%w: topic %s, group %q: %w", ErrFull, topic, b.group, err)
		}
	}
	if err := g.channel.Publish(string(topic), messages...); err != nil {
		leave(boxes, len(messages))
		if g.boxes.closed.Load() {
			return ErrClosed
		}
		return fmt.Errorf("publish on %s: %w", topic, err)
	}
	return nil
}

func leave(boxes []*mailbox, n int) {
	for _, b := range boxes {
		b.flow.leave(n)
	}
}

// Mailbox implements Transport.
func (g *GoChannel) Mailbox(o MailboxOptions) (Mailbox, error) {
	o.Capacity = cmp.Or(max(o.Capacity, 0), g.options.Capacity)
	box, err := g.boxes.open(o, g.options.Lanes, g.begin(o.Capacity))
	if err != nil {
		return nil, fmt.Errorf("open mailbox %s of group %q: %w", o.Topic, o.Group, err)
	}
	return box, nil
}

func (g *GoChannel) openFor(topic event.Topic, group string) (*mailbox, error) {
	lanes := g.options.Lanes
	if group == "" {
		lanes = 1
	}
	o := MailboxOptions{Topic: topic, Group: group, Capacity: g.options.Capacity}
	return g.boxes.open(o, lanes, g.begin(o.Capacity))
}

// begin subscribes a new mailbox and starts its pump; closing the mailbox stops both.
func (g *GoChannel) begin(capacity int) func(*mailbox) error {
	return func(b *mailbox) error {
		ctx, cancel := context.WithCancel(context.Background())
		in, err := g.channel.Subscribe(ctx, string(b.topic))
		if err != nil {
			cancel()
			return fmt.Errorf("subscribe: %w", err)
		}
		b.flow = newFlow(capacity)
		done := make(chan struct{})
		go func() {
			defer close(done)
			pump(ctx, b, in)
		}()
		end := b.end
		b.end = func() {
			end()
			cancel()
			<-done
			b.flow.open()
		}
		return nil
	}
}

// pump moves messages into the mailbox's lanes until the subscription ends. A message is acked to Watermill's channel
// once it is in its lane, which holds it from then on.
func pump(ctx context.Context, b *mailbox, in <-chan *message.Message) {
	s := new(scratch)
	one := make([]*Message, 1)
	for w := range in {
		one[0] = Decode(b.topic, w)
		s.hash(one)
		if err := b.add(ctx, one, s, time.Now().UnixNano()); err != nil {
			return // the mailbox is closing; Watermill discards what is on its way
		}
		w.Ack()
		b.flow.leave(1)
	}
}

// Holds implements Transport: what is on its way in Watermill's channel can't be seen.
func (*GoChannel) Holds(map[string]bool, ...event.Topic) (map[string]bool, bool) { return nil, false }

// Publisher implements Transport.
func (g *GoChannel) Publisher() message.Publisher {
	return publisher{wait: g.options.PublishWait, publish: g.publish}
}

// Subscriber implements Transport.
func (g *GoChannel) Subscriber() message.Subscriber { return g.subs.subscriber("") }

// GroupSubscriber is Watermill's view of a group's mailboxes, see Memory.GroupSubscriber.
func (g *GoChannel) GroupSubscriber(group string) message.Subscriber { return g.subs.subscriber(group) }

// Close implements Transport.
func (g *GoChannel) Close() error {
	g.boxes.close()
	g.subs.close()
	return g.channel.Close()
}

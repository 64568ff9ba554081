package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"aura/agents/event"
)

// errNoEvent is a mistake of the caller: a message's topic is its event's.
var errNoEvent = errors.New("bus: message without an event")

// MemoryOptions configures the transports that live in this process.
type MemoryOptions struct {
	// Lanes of each mailbox (default 4), at most 1024; Capacity of each lane in messages (default 4096).
	Lanes, Capacity int
	// NackDelay is how long Watermill's subscribers wait before a refused message is delivered again (default 100 ms).
	NackDelay time.Duration
	// PublishWait bounds how long Watermill's publisher, which has no context, waits for room (default 5 s).
	PublishWait time.Duration
	Logger      *slog.Logger
}

func (o MemoryOptions) withDefaults() MemoryOptions {
	o.Lanes = min(cmp.Or(max(o.Lanes, 0), 4), 1024)
	o.Capacity = cmp.Or(max(o.Capacity, 0), 4096)
	o.NackDelay = cmp.Or(o.NackDelay, 100*time.Millisecond)
	o.PublishWait = cmp.Or(o.PublishWait, 5*time.Second)
	o.Logger = cmp.Or(o.Logger, slog.Default())
	return o
}

// Memory is the default transport: bounded lanes in this process, ordered by key, with consumer groups and visible
// lag. The typed event travels, its payload is encoded only for who asks. What is published while a topic has no
// mailbox is gone.
type Memory struct {
	options MemoryOptions
	boxes   *directory
	subs    *subscribers
}

var _ Transport = (*Memory)(nil)

// NewMemory makes an empty bus. It has no goroutines of its own; each Watermill subscription has one a lane.
func NewMemory(o MemoryOptions) *Memory {
	o = o.withDefaults()
	b := &Memory{options: o, boxes: newDirectory()}
	b.subs = newSubscribers(o, b.openFor)
	return b
}

// Publish implements Transport. A batch is appended under one lock a lane.
func (b *Memory) Publish(ctx context.Context, messages ...*Message) error {
	for len(messages) > 0 {
		if messages[0].Event == nil {
			return errNoEvent
		}
		topic := messages[0].Event.Topic()
		n := 1
		for n < len(messages) && messages[n].Event != nil && messages[n].Event.Topic() == topic {
			n++
		}
		if err := b.publish(ctx, topic, messages[:n]); err != nil {
			return err
		}
		messages = messages[n:]
	}
	return nil
}

// publish appends messages of one topic to its mailboxes. All but the last mailbox get copies; the last one gets the
// originals, because from then on its reader may write to them.
func (b *Memory) publish(ctx context.Context, topic event.Topic, messages []*Message) error {
	if b.boxes.closed.Load() {
		return ErrClosed
	}
	boxes := b.boxes.of(topic)
	if len(boxes) == 0 {
		return nil
	}
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	s.hash(messages)
	at := time.Now().UnixNano()
	for i, box := range boxes {
		own := messages
		if i < len(boxes)-1 {
			own = copies(messages)
		}
		err := box.add(ctx, own, s, at)
		if err == errLaneClosed { //nolint:errorlint // never wrapped
			if b.boxes.closed.Load() {
				return ErrClosed
			}
			continue // this mailbox went away meanwhile, the others did not
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func copies(messages []*Message) []*Message {
	values := make([]Message, len(messages))
	own := make([]*Message, len(messages))
	for i, m := range messages {
		values[i] = *m
		own[i] = &values[i]
	}
	return own
}

// Mailbox implements Transport. A mailbox that is found again keeps the options it was opened with.
func (b *Memory) Mailbox(o MailboxOptions) (Mailbox, error) {
	o.Capacity = cmp.Or(max(o.Capacity, 0), b.options.Capacity)
	box, err := b.boxes.open(o, b.options.Lanes, nil)
	if err != nil {
		return nil, fmt.Errorf("open mailbox %s of group %q: %w", o.Topic, o.Group, err)
	}
	return box, nil
}

// openFor opens the mailbox of a Watermill subscription: a private one has a single lane, so the topic's order.
func (b *Memory) openFor(topic event.Topic, group string) (*mailbox, error) {
	lanes := b.options.Lanes
	if group == "" {
		lanes = 1
	}
	return b.boxes.open(MailboxOptions{Topic: topic, Group: group, Capacity: b.options.Capacity}, lanes, nil)
}

// Holds implements Transport: a look at every group's mailbox of the topics, one lane after the other. Private
// subscriptions don't count, they only watch. A topic may be given twice, where messages can also move back to it.
func (b *Memory) Holds(keys map[string]bool, upstreamFirst ...event.Topic) (map[string]bool, bool) {
	held := map[string]bool{}
	var found []*Message
	for _, topic := range upstreamFirst {
		for _, box := range b.boxes.of(topic) {
			if box.group == "" {
				continue
			}
			for _, l := range box.lanes {
				found = l.snapshot(found[:0])
				for _, m := range found {
					if k := m.Key(); keys[k] {
						held[k] = true
					}
				}
			}
		}
	}
	return held, true
}

// Publisher implements Transport.
func (b *Memory) Publisher() message.Publisher {
	return publisher{wait: b.options.PublishWait, publish: func(ctx context.Context, topic event.Topic, m []*message.Message) error {
		messages := make([]*Message, len(m))
		for i := range m {
			messages[i] = Decode(topic, m[i])
		}
		return b.publish(ctx, topic, messages)
	}}
}

// Subscriber implements Transport.
func (b *Memory) Subscriber() message.Subscriber { return b.subs.subscriber("") }

// GroupSubscriber is Watermill's view of a group's mailboxes: subscriptions of one group share the messages, and what
// one of them has not acked goes back when it ends.
func (b *Memory) GroupSubscriber(group string) message.Subscriber { return b.subs.subscriber(group) }

// Close implements Transport. It returns after the last goroutine of a subscription is gone.
func (b *Memory) Close() error {
	b.boxes.close()
	b.subs.close()
	return nil
}

// Package bus moves events between agents: one contract, several transports.
//
// The data path (applications on their way to a decision) uses Transport.Publish and Mailbox: batches, lanes, explicit
// acknowledgement. The control plane uses Watermill's Publisher and Subscriber, which every transport offers over the
// same topics (on Kafka that is watermill-kafka; the data path uses the Sarama client underneath it). Order: messages of one key stay in one lane and are delivered in the order of their publication, each
// time from the oldest that is not acknowledged. Delivery is at least once while the process lives; no transport
// promises more, and nothing above it relies on more (the store knows what is accepted and undecided).
//
// The package imports event, nothing else of ours. New transports must pass the lane suite (bus/bustest) and Watermill's own
// suite.
package bus

import (
	"context"
	"errors"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"aura/agents/event"
)

// Errors of a transport. ErrFull is a refusal (try later), ErrClosed the end of the transport.
var (
	ErrFull   = errors.New("bus: lane is full")
	ErrClosed = errors.New("bus: closed")
)

// Message is an event with what travels beside it. It is published once and immutable from then on, but for Attempt.
// Each mailbox has a Message of its own (Event and Payload are shared), and so has each delivery after a Return: a
// handler that still holds a returned message shares nothing that changes with the next one.
type Message struct {
	// ID identifies the message (time-ordered UUIDv7), Time is when it was made.
	ID   string
	Time time.Time
	// TraceParent is the W3C trace context, empty if there is none.
	TraceParent string
	// Event is the typed value; nil where the payload could not be decoded, and then Err says why.
	Event event.Event
	// Payload is the encoded value; nil on a transport that had no need to encode.
	Payload []byte
	Err     error
	// Arrived is when the message came into this process, where that is not when it was published; else zero.
	Arrived time.Time
	// Attempt counts deliveries of this message to a handler in this process, from 1. The lane's reader increments it
	// just before it calls the handler, never the lane: what was taken in a batch and returned unhandled is no attempt.
	// It survives Return, not the process.
	Attempt int

	// key orders a message whose Event is nil; headers is metadata of a foreign publisher that we only pass on.
	key     string
	headers message.Metadata
	// sealed is what Open needs to decode the payload, nil where that is done.
	sealed *sealed
}

type sealed struct {
	topic event.Topic
	typ   string
}

// Open decodes a message of a Lazy mailbox; of any other it does nothing.
func (m *Message) Open() {
	if s := m.sealed; s != nil {
		m.sealed = nil
		m.decode(s.topic, s.typ)
	}
}

// Key orders the message within its topic; messages without a key (foreign ones) keep the topic's order.
func (m *Message) Key() string {
	if m.Event != nil && m.Event.Key() != "" {
		return m.Event.Key()
	}
	return m.key
}

// Overflow says what a full lane does with one message more.
type Overflow int

const (
	// Block makes Publish wait for room until its context ends, then fail with ErrFull.
	Block Overflow = iota
	// DropOldest makes room by dropping (and counting) the oldest message that no one has taken.
	DropOldest
)

// MailboxOptions describes a subscription.
type MailboxOptions struct {
	// Topic and Group: each message of the topic goes to each group once. An empty Group is a private
	// subscription that sees every message published after its creation.
	Topic event.Topic
	Group string
	// Capacity bounds each lane, in messages; 0 for the transport's default.
	Capacity int
	Overflow Overflow
	// Lazy leaves it to the reader to decode, where a transport has to: most of the messages are dropped unread. Their Event
	// is nil until Open is called.
	Lazy bool
}

// Mailbox is a group's subscription. It outlives the agents that read it and fills while there are none.
type Mailbox interface {
	Lanes() []Lane
	// SetOverflow changes what full lanes do, at once, also for a Publish that waits.
	SetOverflow(Overflow)
	// Depth counts messages not acknowledged, over all lanes; Dropped those that DropOldest gave up.
	Depth() int
	Dropped() int64
	// Close ends the subscription; lanes' Take then returns ErrClosed.
	Close() error
}

// Lane is one ordered queue of a mailbox. One reader at a time: Take, then Ack and Return for what was taken.
// Lanes may be read by a new reader while an old one still holds messages, after Return.
type Lane interface {
	// Take waits for at least one message and returns what is there now, at most limit, oldest first, without
	// removing it. Messages taken before and neither acked nor returned are not taken again.
	Take(ctx context.Context, limit int) ([]*Message, error)
	// Ack removes the n oldest taken messages.
	Ack(n int)
	// Return puts every taken, not acked message back at the head, in order.
	Return()
	// Len counts messages not acknowledged; OldestAt is when the oldest of them was published (zero if none).
	Len() int
	OldestAt() time.Time
}

// Transport is a bus.
type Transport interface {
	// Publish appends the messages to every mailbox of their events' topics, in order, and returns when all have them
	// (memory), or the broker has them (Kafka). On an error some may have been published.
	Publish(ctx context.Context, messages ...*Message) error
	// Mailbox opens (or finds again) a group's subscription.
	Mailbox(MailboxOptions) (Mailbox, error)
	// Holds reports which of the keys a mailbox of the given topics and groups still holds. Topics must be given in the
	// order messages travel, so that one that moves on meanwhile is seen. ok is false where the transport can't see it.
	Holds(keys map[string]bool, upstreamFirst ...event.Topic) (held map[string]bool, ok bool)
	// Publisher and Subscriber are Watermill's view of the same topics. Subscriber has no group: every subscription
	// sees every message. Closing them does not close the transport.
	Publisher() message.Publisher
	Subscriber() message.Subscriber
	// Close ends all mailboxes and subscriptions. It is idempotent.
	Close() error
}

// NewMessage wraps an event for publication.
func NewMessage(e event.Event, now time.Time) *Message {
	return &Message{ID: newID(), Time: now, Event: e}
}

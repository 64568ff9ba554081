package middleware

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"aura/agents/bus"
	"aura/agents/event"
)

// DeadLetters moves what can't be processed out of the way: to <topic>.dlq, with the reason, and acks it.
type DeadLetters struct {
	// Topic is where the messages come from, Agent who could not process them.
	Topic event.Topic
	Agent string
	// Send publishes a dead letter; it returns when that is safe. See SendTo.
	Send func(context.Context, *event.DeadLetter) error
	// Now is the clock, nil for time.Now.
	Now func() time.Time
}

// SendTo publishes dead letters on a bus.
func SendTo(b bus.Transport) func(context.Context, *event.DeadLetter) error {
	return func(ctx context.Context, d *event.DeadLetter) error { return b.Publish(ctx, bus.NewMessage(d, d.At)) }
}

// Middleware takes a message whose handler failed, but never one whose handler was refused or interrupted: a shutdown
// says nothing about the message. If the dead letter can't be sent the message is nacked, so that it isn't lost.
func (d *DeadLetters) Middleware(h message.HandlerFunc) message.HandlerFunc {
	return func(m *message.Message) ([]*message.Message, error) {
		out, err := h(m)
		if err == nil || ends(m, err) {
			return out, err
		}
		now := time.Now
		if d.Now != nil {
			now = d.Now
		}
		letter := &event.DeadLetter{
			From: d.Topic, ID: id(m), Subject: m.Metadata.Get(bus.HeaderSubject), Agent: d.Agent,
			Error: err.Error(), At: now().UTC(), Payload: m.Payload,
		}
		if sent := d.Send(m.Context(), letter); sent != nil {
			return nil, errors.Join(err, fmt.Errorf("send to %s: %w", d.Topic.DLQ(), sent))
		}
		return nil, nil
	}
}

func id(m *message.Message) string {
	if id := m.Metadata.Get(bus.HeaderID); id != "" {
		return id
	}
	return m.UUID
}

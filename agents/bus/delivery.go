package bus

import (
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// delivery carries one lane's messages to one Watermill subscription, one at a time.
type delivery struct {
	lane    *lane
	turn    chan struct{}
	out     chan<- *message.Message
	options MemoryOptions
}

// run ends with ctx or with the lane.
func (d delivery) run(ctx context.Context) {
	for d.next(ctx) {
	}
}

// next waits for its turn at the lane, delivers one message until it is acked, and gives the turn away.
func (d delivery) next(ctx context.Context) bool {
	select {
	case d.turn <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	defer func() { <-d.turn }()
	batch, err := d.lane.Take(ctx, 1)
	if err != nil {
		return false
	}
	for {
		acked, ok := d.offer(ctx, batch[0])
		if acked {
			d.lane.Ack(1)
			return true
		}
		if !ok || !sleep(ctx, d.options.NackDelay) {
			d.lane.Return()
			return false
		}
	}
}

// offer delivers the message once. ok is false when the subscription has ended.
func (d delivery) offer(ctx context.Context, m *Message) (acked, ok bool) {
	m.Attempt++
	w, err := Encode(m)
	if err != nil {
		// It would fail each time, so it is given up; whoever published it broke the contract of its type.
		d.options.Logger.Error("message dropped: it can't be encoded", "id", m.ID, "error", err)
		return true, true
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w.SetContext(ctx)
	select {
	case d.out <- w:
	case <-ctx.Done():
		return false, false
	}
	select {
	case <-w.Acked():
		return true, true
	case <-w.Nacked():
		return false, true
	case <-ctx.Done():
		// An ack that came together with the end counts.
		select {
		case <-w.Acked():
			return true, true
		default:
			return false, false
		}
	}
}

// sleep reports false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

package bus

import (
	"context"
	"fmt"
	"sync"

	"aura/agents/event"
)

// mailbox is a subscription whose lanes live in memory. Memory fills it from Publish, GoChannel from a pump.
type mailbox struct {
	topic event.Topic
	group string
	lazy  bool
	lanes []*lane
	views []Lane
	// flow counts what is on its way to this mailbox, on transports that can have something there.
	flow *flow

	once sync.Once
	// end takes the mailbox out of its transport; it is called once, before the lanes close.
	end func()
}

func newMailbox(o MailboxOptions, lanes int) *mailbox {
	b := &mailbox{topic: o.Topic, group: o.Group, lazy: o.Lazy}
	for range lanes {
		l := newLane(o.Capacity, o.Overflow)
		b.lanes = append(b.lanes, l)
		b.views = append(b.views, l)
	}
	return b
}

// Lanes implements Mailbox.
func (b *mailbox) Lanes() []Lane { return b.views }

// SetOverflow implements Mailbox.
func (b *mailbox) SetOverflow(o Overflow) {
	for _, l := range b.lanes {
		l.setOverflow(o)
	}
}

// Depth implements Mailbox.
func (b *mailbox) Depth() int {
	n := 0
	for _, l := range b.views {
		n += l.Len()
	}
	return n
}

// Dropped implements Mailbox.
func (b *mailbox) Dropped() int64 {
	var n int64
	for _, l := range b.lanes {
		n += l.droppedCount()
	}
	return n
}

// Close implements Mailbox. It is idempotent.
func (b *mailbox) Close() error {
	b.once.Do(func() {
		if b.end != nil {
			b.end()
		}
		for _, l := range b.lanes {
			l.close()
		}
	})
	return nil
}

// add appends messages in their order, each to the lane of its key, under one lock a lane.
func (b *mailbox) add(ctx context.Context, messages []*Message, s *scratch, at int64) error {
	if len(b.lanes) == 1 {
		return b.named(0, b.lanes[0].add(ctx, messages, nil, 0, at))
	}
	count := uint32(len(b.lanes))
	if len(messages) == 1 {
		i := s.hashes[0] % count
		return b.named(int(i), b.lanes[i].add(ctx, messages, nil, 0, at))
	}
	used := s.assign(count)
	for i, l := range b.lanes {
		if !used[i] {
			continue
		}
		if err := l.add(ctx, messages, s.lanes, uint16(i), at); err != nil {
			return b.named(i, err)
		}
	}
	return nil
}

// named turns a lane's refusal into ErrFull with the place where it happened.
func (b *mailbox) named(lane int, err error) error {
	if err == nil || err == errLaneClosed { //nolint:errorlint // never wrapped, and this is the hot path
		return err
	}
	return fmt.Errorf("%w: topic %s, group %q, lane %d: %w", ErrFull, b.topic, b.group, lane, err)
}

// scratch is what one Publish needs to spread its messages over lanes.
type scratch struct {
	hashes []uint32
	lanes  []uint16
	used   []bool
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// hash computes the hash of each message's key.
func (s *scratch) hash(messages []*Message) {
	s.hashes = s.hashes[:0]
	for _, m := range messages {
		s.hashes = append(s.hashes, hashKey(m.Key()))
	}
}

// assign computes each message's lane of count, and which lanes get any.
func (s *scratch) assign(count uint32) []bool {
	s.lanes = s.lanes[:0]
	s.used = append(s.used[:0], make([]bool, count)...)
	for _, h := range s.hashes {
		i := h % count
		s.lanes = append(s.lanes, uint16(i))
		s.used[i] = true
	}
	return s.used
}

// hashKey is FNV-1a (32 bits): stable over processes, so that a lane's number means the same in every log. A message
// without a key goes to lane 0.
func hashKey(key string) uint32 {
	if key == "" {
		return 0
	}
	h := uint32(2166136261)
	for i := range len(key) {
		h = (h ^ uint32(key[i])) * 16777619
	}
	return h
}

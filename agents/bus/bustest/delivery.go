package bustest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"aura/agents/bus"
	"aura/agents/event"
)

// same compares, as sets where order is not promised.
func same(got, want []int, ordered bool) bool {
	if !ordered {
		got, want = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	}
	return slices.Equal(got, want)
}

func testTravels(t *testing.T, open Open, _ Features) {
	ctx, b := start(t, open)
	box := mailbox(t, b, bus.MailboxOptions{Topic: topic, Group: "g"})
	sent := bus.NewMessage(&event.ConfigUpdate{Setting: "mode", Generation: 7}, time.Now())
	sent.TraceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	id, at := sent.ID, sent.Time
	publish(ctx, t, b, sent)
	got := take(ctx, t, busy(ctx, t, box), 1)[0]
	if got.ID != id || !got.Time.Equal(at) || got.TraceParent != sent.TraceParent || got.Attempt != 0 || got.Err != nil {
		t.Errorf("got %+v", got)
	}
	if e, ok := got.Event.(*event.ConfigUpdate); !ok || *e != (event.ConfigUpdate{Setting: "mode", Generation: 7}) {
		t.Errorf("event %#v", got.Event)
	}
	payload, err := got.Encoded()
	if want := `{"setting":"mode","generation":7}`; err != nil || string(payload) != want {
		t.Errorf("payload %s (%v), want %s", payload, err, want)
	}
	if err := b.Publish(ctx, &bus.Message{ID: id}); err == nil {
		t.Error("a message without an event was published")
	}
}

// testOwn: each mailbox delivers a message of its own, since its reader counts attempts in it.
func testOwn(t *testing.T, open Open, f Features) {
	if !f.Bounded {
		t.Skip("what waits where can't be seen at once on this transport")
	}
	ctx, b := start(t, open)
	boxes := []bus.Mailbox{
		mailbox(t, b, bus.MailboxOptions{Topic: topic, Group: "one"}),
		mailbox(t, b, bus.MailboxOptions{Topic: topic, Group: "two"}),
		mailbox(t, b, bus.MailboxOptions{Topic: topic}),
	}
	publish(ctx, t, b, numbered("k", 0, 1)...)
	seen := map[*bus.Message]bool{}
	for _, box := range boxes {
		for _, l := range box.Lanes() {
			if l.Len() > 0 {
				seen[take(ctx, t, l, 1)[0]] = true
			}
		}
	}
	if len(seen) != len(boxes) {
		t.Errorf("%d mailboxes share %d messages", len(boxes), len(seen))
	}
}

func testUndecodable(t *testing.T, open Open, _ Features) {
	ctx, b := start(t, open)
	box := mailbox(t, b, bus.MailboxOptions{Topic: topic, Group: "g"})
	if err := b.Publisher().Publish(string(topic), message.NewMessage("bad", []byte(`{"setting":`))); err != nil {
		t.Fatal(err)
	}
	lane := busy(ctx, t, box)
	m := take(ctx, t, lane, 1)[0]
	var cause *bus.DecodeError
	if m.Event != nil || string(m.Payload) != `{"setting":` || !errors.As(m.Err, &cause) || cause.Topic != topic {
		t.Fatalf("got %+v", m)
	}
	lane.Ack(1)
	if n := box.Depth(); n != 0 {
		t.Errorf("depth %d after ack", n)
	}
}

func testCursor(t *testing.T, open Open, f Features) {
	ctx, b := start(t, open)
	box := mailbox(t, b, bus.MailboxOptions{Topic: topic, Group: "g"})
	publish(ctx, t, b, numbered("k", 0, 10)...)
	lane := busy(ctx, t, box)
	first := numbers(take(ctx, t, lane, 6))
	second := numbers(take(ctx, t, lane, 2))
	if both := slices.Concat(first, second); !same(both, []int{0, 1, 2, 3, 4, 5, 6, 7}, f.Ordered) && f.Ordered || len(both) != 8 {
		t.Fatalf("took %v, then %v", first, second)
	}
	lane.Ack(4) // the fifth failed
	lane.Return()
	got := numbers(take(ctx, t, lane, 6))
	if !slices.Equal(got[:4], slices.Concat(first, second)[4:]) {
		t.Fatalf("after 4 acks of %v %v and a return: %v", first, second, got)
	}
	lane.Ack(6)
	if all := slices.Concat(first[:4], got); !same(all, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, f.Ordered) {
		t.Fatalf("all together: %v", all)
	}
	if lane.Len() != 0 || box.Depth() != 0 {
		t.Errorf("%d left in the lane, %d in the mailbox", lane.Len(), box.Depth())
	}
	lane.Ack(3)
	lane.Return() // harmless with nothing taken
}

func testRedelivery(t *testing.T, open Open, _ Features) {
	ctx, b := start(t, open)
	box := mailbox(t, b, bus.MailboxOptions{Topic: topic, Group: "g"})
	publish(ctx, t, b, numbered("k", 0, 1)...)
	lane := busy(ctx, t, box)
	var held *bus.Message
	for attempt := 1; attempt <= 3; attempt++ {
		m := take(ctx, t, lane, 1)[0]
		if m == held {
			t.Fatal("who holds a returned message shares it with the next reader")
		}
		if m.Attempt++; m.Attempt != attempt {
			t.Fatalf("attempt %d, want %d", m.Attempt, attempt)
		}
		held = m
		lane.Return()
	}
}

func testNewReader(t *testing.T, open Open, f Features) {
	ctx, b := start(t, open)
	box := mailbox(t, b, bus.MailboxOptions{Topic: topic, Group: "g"})
	publish(ctx, t, b, numbered("k", 0, 5)...)
	lane := busy(ctx, t, box)
	old := numbers(take(ctx, t, lane, 5))

	// The old reader waits for more while it is replaced: what comes then must not go to it.
	life, end := context.WithCancel(ctx)
	gone := make(chan error)
	go func() {
		_, err := lane.Take(life, 1)
		gone <- err
	}()
	end()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Fatalf("take of an ended reader: %v", err)
	}
	lane.Return()
	if got, err := lane.Take(life, 1); err == nil {
		t.Fatalf("an ended reader took %v", numbers(got))
	}
	publish(ctx, t, b, numbered("k", 5, 6)...)
	got := numbers(take(ctx, t, lane, 6))
	if !slices.Equal(got[:5], old) && f.Ordered || !same(got, []int{0, 1, 2, 3, 4, 5}, f.Ordered) {
		t.Fatalf("the new reader got %v, the old one had %v", got, old)
	}
}

func testDepth(t *testing.T, open Open, _ Features) {
	ctx, b := start(t, open)
	box := mailbox(t, b, bus.MailboxOptions{Topic: topic, Group: "g"})
	for _, l := range box.Lanes() {
		if l.Len() != 0 || !l.OldestAt().IsZero() {
			t.Fatalf("empty lane: %d messages, oldest %v", l.Len(), l.OldestAt())
		}
	}
	before := time.Now().Add(-time.Millisecond) // a broker keeps milliseconds
	publish(ctx, t, b, numbered("k", 0, 2)...)
	lane := busy(ctx, t, box)
	take(ctx, t, lane, 2)
	after := time.Now()
	if lane.Len() != 2 || box.Depth() != 2 {
		t.Errorf("taken messages count: lane %d, mailbox %d", lane.Len(), box.Depth())
	}
	oldest := lane.OldestAt()
	if oldest.Before(before) || oldest.After(after) {
		t.Errorf("oldest at %v, published between %v and %v", oldest, before, after)
	}
	lane.Ack(1)
	if lane.Len() != 1 || lane.OldestAt().Before(oldest) {
		t.Errorf("after one ack: %d, oldest %v (was %v)", lane.Len(), lane.OldestAt(), oldest)
	}
	lane.Ack(1)
	if lane.Len() != 0 || !lane.OldestAt().IsZero() {
		t.Errorf("after all acks: %d, oldest %v", lane.Len(), lane.OldestAt())
	}
}

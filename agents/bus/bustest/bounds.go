package bustest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"aura/agents/bus"
)

// ended is a context that waits for nothing.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func bounded(t *testing.T, f Features) {
	t.Helper()
	if !f.Bounded {
		t.Skip("Publish does not know the lanes' bounds on this transport")
	}
}

func testBlock(t *testing.T, open Open, f Features) {
	bounded(t, f)
	ctx, b := start(t, open)
	box := mailbox(t, b, bus.MailboxOptions{Topic: topic, Group: "g", Capacity: 3})
	publish(ctx, t, b, numbered("k", 0, 3)...)
	err := b.Publish(ended(), numbered("k", 3, 4)...)
	if !errors.Is(err, bus.ErrFull) || !errors.Is(err, context.Canceled) {
		t.Fatalf("publish into a full lane: %v", err)
	}
	lane := busy(ctx, t, box)
	take(ctx, t, lane, 2)
	if err := b.Publish(ended(), numbered("k", 3, 4)...); !errors.Is(err, bus.ErrFull) {
		t.Fatalf("taking makes no room, but publish said: %v", err)
	}
	done := make(chan error)
	go func() { done <- b.Publish(ctx, numbered("k", 3, 5)...) }()
	lane.Ack(2)
	if err := <-done; err != nil {
		t.Fatalf("publish with room: %v", err)
	}
	if got := numbers(take(ctx, t, lane, 3)); !slices.Equal(got, []int{2, 3, 4}) {
		t.Errorf("got %v", got)
	}
}

func testDropOldest(t *testing.T, open Open, f Features) {
	bounded(t, f)
	ctx, b := start(t, open)
	box := mailbox(t, b, bus.MailboxOptions{Topic: topic, Group: "g", Capacity: 4, Overflow: bus.DropOldest})
	publish(ctx, t, b, numbered("k", 0, 10)...)
	if box.Dropped() != 6 || box.Depth() != 4 {
		t.Errorf("dropped %d, kept %d", box.Dropped(), box.Depth())
	}
	if got := numbers(take(ctx, t, busy(ctx, t, box), 4)); !slices.Equal(got, []int{6, 7, 8, 9}) {
		t.Errorf("kept %v", got)
	}
}

func testDropSparesTaken(t *testing.T, open Open, f Features) {
	bounded(t, f)
	ctx, b := start(t, open)
	box := mailbox(t, b, bus.MailboxOptions{Topic: topic, Group: "g", Capacity: 4, Overflow: bus.DropOldest})
	publish(ctx, t, b, numbered("k", 0, 4)...)
	lane := busy(ctx, t, box)
	take(ctx, t, lane, 3)
	publish(ctx, t, b, numbered("k", 4, 6)...)
	take(ctx, t, lane, 1)
	publish(ctx, t, b, numbered("k", 6, 7)...) // all are taken: the new one is the oldest that no one has
	lane.Return()
	if got := numbers(take(ctx, t, lane, 4)); !slices.Equal(got, []int{0, 1, 2, 5}) || box.Dropped() != 3 {
		t.Errorf("kept %v, dropped %d", got, box.Dropped())
	}
}

func testOverflowWhileBlocked(t *testing.T, open Open, f Features) {
	bounded(t, f)
	ctx, b := start(t, open)
	box := mailbox(t, b, bus.MailboxOptions{Topic: topic, Group: "g", Capacity: 2})
	publish(ctx, t, b, numbered("k", 0, 2)...)
	done := make(chan error)
	go func() { done <- b.Publish(ctx, numbered("k", 2, 5)...) }()
	box.SetOverflow(bus.DropOldest)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	box.SetOverflow(bus.Block)
	if err := b.Publish(ended(), numbered("k", 5, 6)...); !errors.Is(err, bus.ErrFull) {
		t.Errorf("publish after the switch back: %v", err)
	}
	if got := numbers(take(ctx, t, busy(ctx, t, box), 2)); !slices.Equal(got, []int{3, 4}) || box.Dropped() != 3 {
		t.Errorf("kept %v, dropped %d", got, box.Dropped())
	}
}

func testPartlyPublished(t *testing.T, open Open, f Features) {
	bounded(t, f)
	ctx, b := start(t, open)
	box := mailbox(t, b, bus.MailboxOptions{Topic: topic, Group: "g", Capacity: 3})
	if err := b.Publish(ended(), numbered("k", 0, 5)...); !errors.Is(err, bus.ErrFull) {
		t.Fatalf("a batch larger than the lane: %v", err)
	}
	lane := busy(ctx, t, box)
	done := make(chan error)
	go func() { done <- b.Publish(ctx, numbered("k", 0, 5)...) }() // whoever publishes tries all of it again
	var got []int
	for len(got) < 8 {
		batch := take(ctx, t, lane, 1)
		got = append(got, numbers(batch)...)
		lane.Ack(1)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, []int{0, 1, 2, 0, 1, 2, 3, 4}) {
		t.Errorf("got %v", got)
	}
}

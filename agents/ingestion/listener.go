package ingestion

import (
	"context"
	"errors"
	"log/slog"

	"aura/agents/bus"
	"aura/agents/event"
)

// Listen tells the window of every decision on the bus until ctx ends. The mailbox must be private to this process and
// opened before anything is published; it may drop when full, for the sweeper finds what was missed.
func Listen(ctx context.Context, decisions bus.Mailbox, w *Window, log *slog.Logger) {
	done := make(chan struct{})
	lanes := decisions.Lanes()
	for _, l := range lanes {
		go func() {
			defer func() { done <- struct{}{} }()
			listenLane(ctx, l, w, log)
		}()
	}
	for range lanes {
		<-done
	}
}

func listenLane(ctx context.Context, l bus.Lane, w *Window, log *slog.Logger) {
	const limit = 1024
	decided := make([]*event.Decision, 0, limit)
	for {
		batch, err := l.Take(ctx, limit)
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, bus.ErrClosed) {
				log.Error("decisions can no longer be heard on this lane", "err", err)
			}
			return
		}
		decided = decided[:0]
		for _, m := range batch {
			if d, ok := m.Event.(*event.Decision); ok {
				decided = append(decided, d)
			}
		}
		w.Decided(decided...)
		l.Ack(len(batch))
	}
}

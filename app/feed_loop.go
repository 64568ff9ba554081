package app

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"aura/agents/bus"
	"aura/agents/event"
	"aura/web"
)

// followLoop tells the live event streams the steps of incidents and the alerts as they come over the bus. Nothing depends
// on it: what a slow reader misses is dropped.
func followLoop(t bus.Transport, hub *web.Hub, log *slog.Logger) func(context.Context) {
	return func(ctx context.Context) {
		var readers sync.WaitGroup
		for _, topic := range []event.Topic{event.IncidentLog, event.Alerts} {
			box, err := t.Mailbox(bus.MailboxOptions{Topic: topic, Overflow: bus.DropOldest})
			if err != nil {
				log.Error("the event streams don't show incidents", "topic", topic, "err", err)
				continue
			}
			for _, lane := range box.Lanes() {
				readers.Go(func() { publishLane(ctx, lane, hub, log) })
			}
		}
		readers.Wait()
	}
}

func publishLane(ctx context.Context, lane bus.Lane, hub *web.Hub, log *slog.Logger) {
	const limit = 256
	for {
		batch, err := lane.Take(ctx, limit)
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, bus.ErrClosed) {
				log.Error("the event streams no longer show incidents of this lane", "err", err)
			}
			return
		}
		for _, m := range batch {
			switch e := m.Event.(type) {
			case *event.IncidentEntry:
				hub.Publish("incident", e)
			case *event.Alert:
				hub.Publish("alert", e)
			}
		}
		lane.Ack(len(batch))
	}
}

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

// followLoop tells the live event streams the steps of incidents and the alerts as they come over the bus, and hear the alerts:
// it says whether they are of who monitors now. What a slow reader misses is dropped, and said again.
func followLoop(t bus.Transport, hub *web.Hub, hear func(*event.Alert) bool, log *slog.Logger) func(context.Context) {
	return func(ctx context.Context) {
		var readers sync.WaitGroup
		for _, topic := range []event.Topic{event.IncidentLog, event.Alerts} {
			box, err := t.Mailbox(bus.MailboxOptions{Topic: topic, Overflow: bus.DropOldest})
			if err != nil {
				log.Error("the event streams don't show incidents", "topic", topic, "err", err)
				continue
			}
			for _, lane := range box.Lanes() {
				readers.Go(func() { publishLane(ctx, lane, hub, hear, log) })
			}
		}
		readers.Wait()
	}
}

func publishLane(ctx context.Context, lane bus.Lane, hub *web.Hub, hear func(*event.Alert) bool, log *slog.Logger) {
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
				if hear(e) {
					hub.Publish("alert", e)
				}
			}
		}
		lane.Ack(len(batch))
	}
}

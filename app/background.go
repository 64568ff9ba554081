package app

import (
	"context"
	"log/slog"
	"time"

	"aura/agents/bus"
	"aura/agents/event"
	"aura/agents/ingestion"
	"aura/app/config"
	"aura/store"
)

// listen is the window's ear on the decisions. Its mailbox is opened here, before anything is published.
func (p parts) listen(log *slog.Logger) func(context.Context) {
	box, err := p.Transport.Mailbox(bus.MailboxOptions{Topic: event.Decisions, Overflow: bus.DropOldest})
	return func(ctx context.Context) {
		if err != nil {
			log.Error("decisions can't be heard; clients learn of them by asking again", "err", err)
			return
		}
		ingestion.Listen(ctx, box, p.Window, log)
	}
}

// announceOutcomes sees to it that no joined outcome goes unannounced. Its mailbox is opened here, before anything is published.
func (p parts) announceOutcomes(log *slog.Logger) func(context.Context) {
	box, err := p.Transport.Mailbox(bus.MailboxOptions{Topic: event.FeedbackTopic, Overflow: bus.DropOldest})
	outcomes := ingestion.NewOutcomes(ingestion.OutcomesOptions{Intake: p.Intake, Store: p.Store, Leads: p.Leaders.of(leadOutcomes), Log: log.With("component", "outcomes")})
	return func(ctx context.Context) {
		if err != nil {
			log.Error("outcomes can't be heard; what is lost of their announcements stays lost until the next start", "err", err)
			return
		}
		outcomes.Run(ctx, box)
	}
}

// joinWithin is how long a start waits for Kafka's groups; a group that others are in may take a session's time.
const joinWithin = 15 * time.Second

// joined waits, on a bus with groups to be joined, until that is done: else the first applications would be late for no other
// reason.
func (p parts) joined(log *slog.Logger) func(context.Context) error {
	return func(ctx context.Context) error {
		t, ok := p.Transport.(interface {
			Joined(ctx context.Context) error
		})
		if !ok {
			return nil
		}
		within, cancel := context.WithTimeout(ctx, joinWithin)
		defer cancel()
		if err := t.Joined(within); err != nil && ctx.Err() == nil {
			log.Warn("the start goes on before all consumer groups are joined; applications wait for them", "err", err)
		}
		return ctx.Err()
	}
}

// topics takes applications and outcomes from the topics of users' own producers, where there are any.
func (p parts) topics() Step {
	if p.Topics == nil {
		return Step{}
	}
	return loop("intake by topics", p.Topics.Run)
}

// purge deletes by age: what the simulator made soon, everything else late.
func (p parts) purge(cfg config.Config, log *slog.Logger) func(context.Context) {
	leads := p.Leaders.of(leadPurge)
	policy := store.Policy{Simulated: cfg.Retention.Simulated, Others: cfg.Retention.Applications}
	return every(cfg.Retention.Every, func(ctx context.Context) {
		for more := leads == nil || leads(ctx); more && ctx.Err() == nil; {
			purged, err := p.Store.Purge(ctx, p.Now(), policy)
			if err != nil {
				if ctx.Err() == nil {
					log.Warn("old applications could not be deleted; trying again later", "err", err)
				}
				return
			}
			if purged.Applications > 0 {
				log.Info("old applications deleted", "n", purged.Applications)
			}
			more = purged.More
		}
	})
}

// every calls f each interval until its context ends.
func every(interval time.Duration, f func(context.Context)) func(context.Context) {
	return func(ctx context.Context) {
		t := time.NewTicker(interval)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
				f(ctx)
			}
		}
	}
}

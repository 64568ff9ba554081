package ingestion

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"aura/agents/announce"
	"aura/agents/bus"
	"aura/agents/event"
	"aura/store"
)

// Outcome is what somebody says became of an application.
type Outcome struct {
	ApplicationID string
	Outcome       event.Outcome
	ObservedAt    time.Time
}

// clocksApart is how far the clock of who observed an outcome may be ahead of ours.
const clocksApart = 5 * time.Minute

// CheckObservedAt refuses a time before 1970 or after now: nothing was observed then, most often it is in another unit.
func CheckObservedAt(at, now time.Time) error {
	if at.Before(time.Unix(0, 0)) || at.After(now.Add(clocksApart)) {
		return fmt.Errorf("observed_at is from 1970 to now, not %s", at.UTC().Format(time.RFC3339))
	}
	return nil
}

// Feedback commits outcomes and publishes those that took effect: joined to their decision, each once. The results
// say what became of each, in order.
func (in *Intake) Feedback(ctx context.Context, outcomes ...Outcome) ([]store.FeedbackResult, error) {
	rows := make([]store.Feedback, len(outcomes))
	now := in.Now()
	for i, o := range outcomes {
		rows[i] = store.Feedback{
			ApplicationID: o.ApplicationID, Outcome: store.Outcome(o.Outcome),
			ObservedAt: o.ObservedAt, ReceivedAt: now,
		}
	}
	// A client that leaves doesn't undo the commit, and only its answer says what is to be published.
	results, err := in.Store.AddFeedback(context.WithoutCancel(ctx), rows)
	if err != nil {
		return nil, fmt.Errorf("ingestion: commit feedback: %w", err)
	}
	var messages []*bus.Message
	for _, r := range results {
		in.Counter.Feedback(string(r.Kind))
		if r.Kind == store.Joined {
			in.counts.outcome(r.Feedback)
			messages = append(messages, bus.NewMessage(announce.Feedback(r.Feedback), now))
		}
	}
	if len(messages) == 0 {
		return results, nil
	}
	// What isn't announced in time is stored as such and announced later.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), in.PublishWithin)
	defer cancel()
	if err := in.Publisher.Publish(ctx, messages...); err != nil {
		in.unannounced.Say(in.Log, slog.LevelWarn, "outcomes are stored but could not be announced", "n", len(messages), "err", err)
	}
	return results, nil
}

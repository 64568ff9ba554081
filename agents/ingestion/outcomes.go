package ingestion

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"aura/agents/announce"
	"aura/agents/bus"
	"aura/agents/event"
	"aura/store"
	"aura/store/complaint"
)

// Unannounced is what Outcomes needs of the store.
type Unannounced interface {
	// Unannounced lists joined outcomes that nobody has called announced, oldest first.
	Unannounced(ctx context.Context, limit int) ([]store.Feedback, error)
	// Announced notes that those of the given applications (our ids) were.
	Announced(ctx context.Context, ids []string) error
}

// OutcomesOptions of the care for announcements.
type OutcomesOptions struct {
	Intake *Intake
	Store  Unannounced
	// Leads reports whether this process is the one of its deployment that looks after announcements; nil for always.
	Leads func(ctx context.Context) bool
	Log   *slog.Logger
}

// Outcomes sees to it that each joined outcome is announced at least once, whoever dies between its commit and its
// publication. Whoever publishes one, this process hears it, and notes it in the store a moment later, many in one write.
// What is still not noted after the sweeper's first age is published again. Who consumes feedback knows it by its application:
// an outcome may come twice around a crash.
//
// What an earlier process left is counted for monitoring as well, since the counts died with it; what was noted had a beat's
// time to be reported before. Of several processes one looks after announcements, and can't tell whose counts died.
type Outcomes struct {
	OutcomesOptions

	failing complaint.Log

	mu          sync.Mutex
	heard, ripe map[string]bool // by our id: heard since the last note, and in the one before

	seen  map[string]bool // unannounced at the last look
	first bool            // that look was the first: what it saw is of an earlier process
}

const (
	// noteEvery is how often what was heard is noted, the time after. It is longer than a beat.
	noteEvery = 500 * time.Millisecond
	// maxHeard bounds what waits to be noted while the store is away: the rest is announced once more.
	maxHeard = 20_000
	// againPage bounds what is published again at one look.
	againPage = 2000
	// lastNote bounds the note at the end.
	lastNote = time.Second
)

// NewOutcomes makes it; Run does the work.
func NewOutcomes(o OutcomesOptions) *Outcomes {
	return &Outcomes{OutcomesOptions: o, heard: map[string]bool{}, ripe: map[string]bool{}}
}

// Run hears feedback, notes it and publishes again what nobody heard, until ctx ends; then it notes what it has heard. The
// mailbox must be private to this process and opened before anything is published; it may drop when full.
func (o *Outcomes) Run(ctx context.Context, feedback bus.Mailbox) {
	var lanes sync.WaitGroup
	for _, l := range feedback.Lanes() {
		lanes.Go(func() { o.listen(ctx, l) })
	}
	note := time.NewTicker(noteEvery)
	defer note.Stop()
	look := time.NewTicker(o.Intake.SweepAfter)
	defer look.Stop()
	o.report(ctx, o.again(ctx))
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastNote)
			defer cancel()
			lanes.Wait()
			o.report(last, o.note(last))
			o.report(last, o.note(last)) // and what was heard since
			return
		case <-note.C:
			o.report(ctx, o.note(ctx))
		case <-look.C:
			o.report(ctx, o.again(ctx))
		}
	}
}

func (o *Outcomes) report(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		o.failing.Say(o.Log, slog.LevelWarn, "the announcements of outcomes can't be looked after; trying again", "err", err)
	}
}

func (o *Outcomes) listen(ctx context.Context, l bus.Lane) {
	const limit = 1024
	for {
		batch, err := l.Take(ctx, limit)
		if err != nil {
			return // the end of ctx or of the bus; what isn't heard is announced again
		}
		o.mu.Lock()
		for _, m := range batch {
			if f, ok := m.Event.(*event.Feedback); ok && len(o.heard) < maxHeard {
				o.heard[f.ID] = true
			}
		}
		o.mu.Unlock()
		l.Ack(len(batch))
	}
}

// note tells the store what was heard before the last note.
func (o *Outcomes) note(ctx context.Context) error {
	if !o.leads(ctx) {
		o.mu.Lock()
		defer o.mu.Unlock()
		clear(o.heard)
		clear(o.ripe)
		return nil
	}
	o.mu.Lock()
	ids := make([]string, 0, len(o.ripe))
	for id := range o.ripe {
		ids = append(ids, id)
	}
	o.mu.Unlock()
	if len(ids) > 0 {
		if err := o.Store.Announced(ctx, ids); err != nil {
			return err
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ripe, o.heard = o.heard, map[string]bool{}
	return nil
}

// again publishes what was unannounced at the last look and still is.
func (o *Outcomes) again(ctx context.Context) error {
	if !o.leads(ctx) {
		o.seen = nil
		return nil
	}
	left, err := o.Store.Unannounced(ctx, againPage)
	if err != nil {
		return fmt.Errorf("ingestion: %w", err)
	}
	before, earlier := o.seen, o.first
	o.first = before == nil
	o.seen = make(map[string]bool, len(left))
	var messages []*bus.Message
	var lost []store.Feedback
	for _, f := range left {
		o.seen[f.Decision.ID] = true
		if before[f.Decision.ID] && !o.waits(f.Decision.ID) {
			lost = append(lost, f)
			messages = append(messages, bus.NewMessage(announce.Feedback(f), o.Intake.Now()))
		}
	}
	if len(lost) == 0 {
		return nil
	}
	o.Log.Info("outcomes whose announcement was lost are announced again", "n", len(lost))
	if earlier && o.Leads == nil {
		for _, f := range lost {
			o.Intake.counts.outcome(f)
		}
	}
	if err := o.Intake.Publisher.Publish(ctx, messages...); err != nil {
		return fmt.Errorf("ingestion: announce %d outcomes again: %w", len(messages), err)
	}
	return nil
}

func (o *Outcomes) leads(ctx context.Context) bool { return o.Leads == nil || o.Leads(ctx) }

// waits reports that it was heard and is only not noted yet.
func (o *Outcomes) waits(id string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.heard[id] || o.ripe[id]
}

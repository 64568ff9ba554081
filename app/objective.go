package app

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"aura/agents/ingestion"
	"aura/store"
	"aura/web/api"
)

// sloTarget is the share of decisions that shall be in time.
const sloTarget = .999

// objective counts by minute how many decisions were in time. The counts are rows, written each few seconds and at the
// end, so that they outlive the process and the applications; what a kill takes is those few seconds. What is late and not
// decided yet is added where the counts are read: in an outage nothing else would show it.
type objective struct {
	store interface {
		AddObjective(ctx context.Context, minutes []store.ObjectiveMinute) error
		Objective(ctx context.Context, since time.Time) (store.ObjectiveMinute, error)
	}

	window *ingestion.Window // of those that are not decided yet

	// mu lets nobody read between the mark on an application in the window and its count.
	mu sync.Mutex
	// unsaved are the minutes since the last save, by their begin.
	unsaved map[int64]*store.ObjectiveMinute
	// saving lets nobody read between what is taken from unsaved and its commit.
	saving sync.Mutex
}

func newObjective(s *store.Store, w *ingestion.Window) *objective {
	return &objective{store: s, window: w}
}

// saveObjective is how often the minutes are written.
const saveObjective = 5 * time.Second

// observe counts one decision. It is called on the decision agent's lanes.
func (o *objective) observe(id string, at time.Time, inTime bool) {
	n := int64(0)
	if inTime {
		n = 1
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.window.Counted(id)
	o.addLocked(store.ObjectiveMinute{Minute: at, Decided: 1, InTime: n})
}

// addLocked adds to the unsaved minutes. mu is held.
func (o *objective) addLocked(m store.ObjectiveMinute) {
	begin := m.Minute.Unix() / 60 * 60
	sum := o.unsaved[begin]
	if sum == nil {
		if o.unsaved == nil {
			o.unsaved = map[int64]*store.ObjectiveMinute{}
		}
		sum = &store.ObjectiveMinute{Minute: time.Unix(begin, 0).UTC()}
		o.unsaved[begin] = sum
	}
	sum.Decided, sum.InTime = sum.Decided+m.Decided, sum.InTime+m.InTime
}

// save writes what was counted since the last time; what can't be written is kept.
func (o *objective) save(ctx context.Context) error {
	o.saving.Lock()
	defer o.saving.Unlock()
	o.mu.Lock()
	taken := make([]store.ObjectiveMinute, 0, len(o.unsaved))
	for _, m := range o.unsaved {
		taken = append(taken, *m)
	}
	o.unsaved = nil
	o.mu.Unlock()
	err := o.store.AddObjective(ctx, taken)
	if err != nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		for _, m := range taken {
			o.addLocked(m)
		}
	}
	return err
}

// over is how many decisions since a time were in time. Applications that are late and undecided are none that were.
func (o *objective) over(ctx context.Context, since time.Time) (api.SLO, error) {
	o.saving.Lock()
	defer o.saving.Unlock()
	sum, err := o.store.Objective(ctx, since)
	if err != nil {
		return api.SLO{}, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for begin, m := range o.unsaved {
		if begin < since.Unix()/60*60 {
			continue
		}
		sum.Decided, sum.InTime = sum.Decided+m.Decided, sum.InTime+m.InTime
		if sum.Minute.IsZero() || m.Minute.Before(sum.Minute) {
			sum.Minute = m.Minute
		}
	}
	late, oldest := o.window.Late(now().Add(-latencyObjective))
	if sum.Minute.IsZero() && late > 0 {
		sum.Minute = oldest.Truncate(time.Minute)
	}
	return api.SLO{
		Share: shareOf(sum.InTime, sum.Decided+late), Undecided: late, LimitMS: millis(latencyObjective), Target: sloTarget, From: sum.Minute,
	}, nil
}

// step saves at the end, when nothing is decided any more.
func (o *objective) step() Step { return Step{Name: "objective", Stop: o.save} }

func (o *objective) loop(log *slog.Logger) Step {
	return loop("objective by minute", every(saveObjective, func(ctx context.Context) {
		if err := o.save(ctx); err != nil && ctx.Err() == nil {
			log.Warn("how many decisions were in time could not be saved; trying again", "err", err)
		}
	}))
}

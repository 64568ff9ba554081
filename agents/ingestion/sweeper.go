package ingestion

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"aura/agents/announce"
	"aura/agents/bus"
	"aura/agents/event"
	"aura/store"
	"aura/store/complaint"
)

// Backlog is what the sweeper needs of the store.
type Backlog interface {
	// Undecided lists accepted applications without a decision, by id, after the given one.
	Undecided(ctx context.Context, afterID, lastID string, limit int) ([]store.Application, error)
	// Decisions reads those of the given applications that are decided.
	Decisions(ctx context.Context, ids []string) ([]store.Decision, error)
	// Floor is an id below which everything is decided; RaiseFloor moves it up, to most at most.
	Floor(ctx context.Context) (string, error)
	RaiseFloor(ctx context.Context, most string) (string, error)
}

// Holder sees what the bus still holds; bus.Transport implements it.
type Holder interface {
	Holds(keys map[string]bool, upstreamFirst ...event.Topic) (held map[string]bool, ok bool)
}

// SweeperOptions of a sweeper.
type SweeperOptions struct {
	Intake  *Intake
	Backlog Backlog
	Holder  Holder
	// Leads reports whether this process is the one of its deployment that takes on applications nobody follows; nil for always.
	Leads func(ctx context.Context) bool
	// MaxDelay bounds the doubling; Tick is how often the window is looked at.
	MaxDelay time.Duration
	Tick     time.Duration
	Log      *slog.Logger
}

// Sweeper publishes again what was accepted and is undecided and what nothing on the bus holds.
type Sweeper struct {
	SweeperOptions
	recovered chan struct{}
	kicked    chan struct{}
	failing   complaint.Log
}

// NewSweeper makes a sweeper.
func NewSweeper(o SweeperOptions) *Sweeper {
	return &Sweeper{SweeperOptions: o, recovered: make(chan struct{}), kicked: make(chan struct{}, 1)}
}

const (
	// page is how many undecided applications are read at once after a start, or published.
	page = 500
	// floorLag keeps the floor below applications whose commit is still under way.
	floorLag   = time.Minute
	floorEvery = 10 * time.Second
)

// Run recovers the backlog of an earlier process through the window, if this is the process that does so, then sweeps until ctx
// ends.
func (s *Sweeper) Run(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.recoverLoop(ctx)
	}()
	defer func() { <-done }()
	tick := time.NewTicker(s.Tick)
	defer tick.Stop()
	floor := time.NewTicker(floorEvery)
	defer floor.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.kicked:
			s.all(ctx)
		case <-tick.C:
			s.report(ctx, s.Sweep(ctx, time.Now())) // monotonic: a clock that is set back puts nothing off
		case <-floor.C:
			s.report(ctx, s.raiseFloor(ctx))
		}
	}
}

func (s *Sweeper) report(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		s.failing.Say(s.Log, slog.LevelWarn, "sweep failed; it is repeated", "err", err)
	}
}

// Recovered is closed when the backlog of the earlier process is in the window or decided.
func (s *Sweeper) Recovered() <-chan struct{} { return s.recovered }

func (s *Sweeper) recoverLoop(ctx context.Context) {
	defer close(s.recovered)
	if !s.leads(ctx) {
		return // whoever leads takes on what is left of this process' earlier life, once it is old enough
	}
	n, err := 0, errors.New("not yet")
	for err != nil && ctx.Err() == nil {
		var k int
		k, err = s.adopt(ctx, "", true)
		n += k
		if err != nil {
			s.report(ctx, err)
			select {
			case <-time.After(s.Tick):
			case <-ctx.Done():
			}
		}
	}
	if n > 0 {
		s.Log.Info("applications of an earlier run are on their way again", "n", n)
	}
}

func (s *Sweeper) leads(ctx context.Context) bool { return s.Leads == nil || s.Leads(ctx) }

// adopt takes every committed, undecided application with an id up to last ("": any) that the window doesn't have into it, page
// by page. It waits for room, or else ends where half of the window is taken: they may be in another process' window.
func (s *Sweeper) adopt(ctx context.Context, last string, wait bool) (n int, err error) {
	after, err := s.Backlog.Floor(ctx)
	if err != nil {
		return 0, fmt.Errorf("ingestion: read the floor: %w", err)
	}
	for {
		rows, err := s.Backlog.Undecided(ctx, after, last, page)
		if err != nil {
			return n, fmt.Errorf("ingestion: read the backlog: %w", err)
		}
		for _, a := range rows {
			if s.Intake.Window.holds(a.ID) {
				continue
			}
			if !wait && s.Intake.Window.crowded() {
				return n, nil
			}
			if err := s.adoptOne(ctx, a); err != nil {
				return n, err
			}
			n++
		}
		if len(rows) < page {
			return n, nil
		}
		after = rows[len(rows)-1].ID
	}
}

func (s *Sweeper) adoptOne(ctx context.Context, a store.Application) error {
	in := s.Intake
	if err := in.Window.reserve(ctx, 1, true); err != nil {
		return err
	}
	e := &event.RawEvent{Subject: announce.Subject(a)}
	if err := e.Features.UnmarshalJSON(a.Features); err != nil {
		// Only a damaged row can be here; the feature agent refuses it and it is referred to a person.
		s.Log.Error("a stored application can't be read", "id", a.ID, "err", err)
	}
	now := time.Now()
	if adopted, _ := in.Window.track(e, traceParent(e.TraceID), now.Add(in.SweepAfter), in.SweepAfter, false); adopted {
		s.publish(ctx, e)
	}
	return nil
}

// Sweep looks at what is due: what was never published is published; what waits is published again unless the bus
// still holds it or it is decided already.
func (s *Sweeper) Sweep(ctx context.Context, now time.Time) error {
	waiting, unpublished := s.Intake.Window.due(now)
	if len(unpublished) > 0 && s.publish(ctx, unpublished...) {
		s.Intake.Window.reset(now, s.Intake.SweepAfter)
	}
	if len(waiting) == 0 {
		return nil
	}
	lost, err := s.settle(ctx, waiting)
	if err != nil {
		return err
	}
	lost = s.notHeld(now, lost)
	if len(lost) > 0 && s.publish(ctx, lost...) {
		s.Log.Info("undecided applications that nothing held were published again", "n", len(lost))
	}
	return nil
}

// Kick makes Run publish every undecided application again at once, held or not: the way they must take has changed.
// It doesn't block, for its caller may be a lane that those applications have to pass.
func (s *Sweeper) Kick() {
	select {
	case s.kicked <- struct{}{}:
	default: // one is on its way already
	}
}

func (s *Sweeper) all(ctx context.Context) {
	waiting, unpublished := s.Intake.Window.due(time.Time{})
	s.publish(ctx, append(waiting, unpublished...)...)
}

// settle tells the window about those that are decided (their announcement was lost) and returns the others.
func (s *Sweeper) settle(ctx context.Context, events []*event.RawEvent) ([]*event.RawEvent, error) {
	ids := make([]string, len(events))
	byID := make(map[string]*event.RawEvent, len(events))
	for i, e := range events {
		ids[i], byID[e.ID] = e.ID, e
	}
	decided, err := s.Backlog.Decisions(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("ingestion: read decisions: %w", err)
	}
	for _, d := range decided {
		s.Intake.Window.Decided(announce.Decision(d))
		delete(byID, d.ID)
	}
	left := make([]*event.RawEvent, 0, len(byID))
	for _, e := range events {
		if byID[e.ID] != nil {
			left = append(left, e)
		}
	}
	return left, nil
}

// notHeld drops those that the bus still holds, or may hold where that can't be seen, and sets when each is looked at next.
func (s *Sweeper) notHeld(now time.Time, events []*event.RawEvent) []*event.RawEvent {
	keys := make(map[string]bool, len(events))
	for _, e := range events {
		keys[e.ApplicationID] = true
	}
	held, ok := s.Holder.Holds(keys, event.RawEvents, event.FeaturesTopic, event.Predictions, event.FeaturesTopic)
	lost := events[:0:0]
	for _, e := range events {
		isHeld := held[e.ApplicationID]
		if !ok { // behind a backlog, more of the same would only make it longer
			isHeld = s.Intake.Window.inLine(now, e.ID, s.Intake.SweepAfter)
		}
		s.Intake.Window.postpone(now, !isHeld, s.MaxDelay, e.ID)
		if !isHeld {
			lost = append(lost, e)
		}
	}
	return lost
}

// publish sends applications on their way again, page by page, and reports whether the bus took them all. A page that it didn't
// take, or not all of, ends it: only that one will be sent once more.
func (s *Sweeper) publish(ctx context.Context, events ...*event.RawEvent) bool {
	for some := range slices.Chunk(events, page) {
		if !s.publishPage(ctx, some) {
			return false
		}
	}
	return true
}

func (s *Sweeper) publishPage(ctx context.Context, events []*event.RawEvent) bool {
	messages := make([]*bus.Message, len(events))
	ids := make([]string, len(events))
	for i, e := range events {
		again := *e
		again.Again = true
		messages[i] = bus.NewMessage(&again, s.Intake.Now())
		messages[i].TraceParent = cmp.Or(s.Intake.Window.traceParent(e.ID), traceParent(e.TraceID))
		ids[i] = e.ID
	}
	if err := s.Intake.Publisher.Publish(ctx, messages...); err != nil {
		s.report(ctx, fmt.Errorf("ingestion: publish %d applications again: %w", len(events), err))
		return false
	}
	s.Intake.Window.published(ids...)
	return true
}

// raiseFloor notes below which id everything is decided, so that the next start needn't look there. What is old enough
// not to be under way and still undecided was committed by a call that never learnt it: it is adopted.
func (s *Sweeper) raiseFloor(ctx context.Context) error {
	select {
	case <-s.recovered:
	default:
		return nil
	}
	if !s.leads(ctx) {
		return nil
	}
	old := idAt(s.Intake.Now().Add(-floorLag))
	n, err := s.adopt(ctx, old, false)
	if err != nil {
		return err
	}
	if n > 0 {
		s.Log.Warn("committed applications that nobody followed are on their way", "n", n)
	}
	_, err = s.Backlog.RaiseFloor(ctx, old)
	return err
}

// idAt is the least id (UUIDv7) that could have been made at t.
func idAt(t time.Time) string {
	h := fmt.Sprintf("%012x", t.UnixMilli())
	return h[:8] + "-" + h[8:12] + "-7000-8000-000000000000"
}

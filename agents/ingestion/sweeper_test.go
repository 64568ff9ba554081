package ingestion

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"aura/agents/bus"
	"aura/agents/event"
	"aura/mlops/schema"
	"aura/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// backlog is a store with committed applications, some decided.
type backlog struct {
	mu        sync.Mutex
	undecided []store.Application
	decided   map[string]store.Decision
	floor     string
}

func (b *backlog) Accept(context.Context, []store.Application) ([]store.AcceptResult, error) {
	return nil, errors.New("not in this test")
}

func (b *backlog) AddFeedback(context.Context, []store.Feedback) ([]store.FeedbackResult, error) {
	return nil, errors.New("not in this test")
}

func (b *backlog) Undecided(_ context.Context, after, last string, limit int) ([]store.Application, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []store.Application
	for _, a := range b.undecided {
		if a.ID > after && (last == "" || a.ID <= last) && len(out) < limit {
			out = append(out, a)
		}
	}
	return out, nil
}

func (b *backlog) Decisions(_ context.Context, ids []string) ([]store.Decision, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []store.Decision
	for _, id := range ids {
		if d, ok := b.decided[id]; ok {
			out = append(out, d)
		}
	}
	return out, nil
}

func (b *backlog) Floor(context.Context) (string, error) { return b.floor, nil }

func (b *backlog) RaiseFloor(_ context.Context, most string) (string, error) {
	b.floor = most
	return most, nil
}

// road is a bus that remembers what was published, holds some of it, and may be out of order.
type road struct {
	mu    sync.Mutex
	sent  []string
	again []bool
	held  map[string]bool
	blind bool
	err   error
	takes int // how many more calls succeed, if err is nil; 0: all
}

func (r *road) Publish(_ context.Context, messages ...*bus.Message) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return r.err
	}
	if r.takes > 0 {
		if r.takes--; r.takes == 0 {
			r.err = bus.ErrFull
		}
	}
	for _, m := range messages {
		e := m.Event.(*event.RawEvent)
		r.sent, r.again = append(r.sent, e.ID), append(r.again, e.Again)
	}
	return nil
}

func (r *road) Holds(keys map[string]bool, _ ...event.Topic) (map[string]bool, bool) {
	out := map[string]bool{}
	for k := range keys {
		if r.held[k] {
			out[k] = true
		}
	}
	return out, !r.blind
}

func (r *road) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.sent
	r.sent = nil
	slices.Sort(out)
	return out
}

type nobody struct{}

func (nobody) Accepted(string, int)   {}
func (nobody) Refused(string, string) {}
func (nobody) Feedback(string)        {}

func sweeper(b *backlog, r *road) *Sweeper {
	log := slog.New(slog.DiscardHandler)
	in := New(Options{
		Schema: schema.Builtin(), Store: b, Publisher: r, Window: NewWindow(100), Counter: nobody{},
		Now: time.Now, Log: log, SweepAfter: 5 * time.Second,
	})
	return NewSweeper(SweeperOptions{Intake: in, Backlog: b, Holder: r, MaxDelay: time.Minute, Tick: 250 * time.Millisecond, Log: log})
}

// put places an application in the window as Submit does, published or not.
func (s *Sweeper) put(id string, now time.Time, published bool) {
	_ = s.Intake.Window.TryReserve(1)
	s.Intake.Window.track(raw(id), "", now.Add(s.Intake.SweepAfter), s.Intake.SweepAfter, false)
	if published {
		s.Intake.Window.published(id)
	}
}

func want(t *testing.T, what string, got []string, ids ...string) {
	t.Helper()
	if !slices.Equal(got, ids) {
		t.Errorf("%s: published again %v, want %v", what, got, ids)
	}
}

func TestSweepPublishesWhatNothingHolds(t *testing.T) {
	b := &backlog{decided: map[string]store.Decision{"decided": {ID: "decided", ApplicationID: "decided"}}}
	r := &road{held: map[string]bool{"held": true}}
	s := sweeper(b, r)
	defer func() { _ = s.Intake.Close() }()
	now := time.Now()
	for _, id := range []string{"held", "lost", "decided"} {
		s.put(id, now, true)
	}
	sweep := func(after time.Duration) []string {
		if err := s.Sweep(t.Context(), now.Add(after)); err != nil {
			t.Fatal(err)
		}
		return r.take()
	}
	want(t, "too young", sweep(4*time.Second))
	want(t, "due", sweep(6*time.Second), "lost")
	if s.Intake.Window.holds("decided") {
		t.Error("a decided application whose announcement was lost stays in the window")
	}
	want(t, "its delay has doubled", sweep(12*time.Second))
	want(t, "due again", sweep(17*time.Second), "lost")
	if slices.Contains(r.again, false) {
		t.Error("what is published again must say so: it counts nowhere")
	}
}

func TestSweepGoesByAgeWhereTheBusCantBeSeen(t *testing.T) {
	r := &road{held: map[string]bool{"a": true}, blind: true}
	s := sweeper(&backlog{}, r)
	defer func() { _ = s.Intake.Close() }()
	now := time.Now()
	s.put("a", now, true)
	if err := s.Sweep(t.Context(), now.Add(6*time.Second)); err != nil {
		t.Fatal(err)
	}
	want(t, "blind", r.take(), "a")
}

// TestALongLineIsNotMadeLonger: where nobody can look into the bus, what waits behind others that are being decided isn't published
// again; what is missing once later ones are decided is, and all of it once nothing moves.
func TestALongLineIsNotMadeLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &road{blind: true}
		s := sweeper(&backlog{}, r)
		defer func() { _ = s.Intake.Close() }()
		sweep := func() []string {
			if err := s.Sweep(t.Context(), time.Now()); err != nil {
				t.Fatal(err)
			}
			got := r.take()
			slices.Sort(got)
			return got
		}
		decide := func(id string) { s.Intake.Window.Decided(&event.Decision{Subject: event.Subject{ID: id}}) }
		for _, id := range []string{"a", "b", "c", "d"} {
			s.put(id, time.Now(), true)
		}
		time.Sleep(6 * time.Second)
		decide("a")
		want(t, "b, c and d stand behind a", sweep())
		time.Sleep(time.Second)
		s.put("late", time.Now(), true)
		time.Sleep(4 * time.Second)
		decide("b")
		want(t, "the line moves", sweep())
		time.Sleep(5 * time.Second)
		decide("late")
		want(t, "c and d are missing in it", sweep(), "c", "d")
		decide("c")
		time.Sleep(10 * time.Second)
		want(t, "nothing moves", sweep(), "d")
	})
}

func TestWhatWasNeverPublishedIsPublishedAtOnce(t *testing.T) {
	r := &road{err: bus.ErrFull}
	s := sweeper(&backlog{}, r)
	defer func() { _ = s.Intake.Close() }()
	now := time.Now()
	s.put("a", now, false)
	if err := s.Sweep(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	want(t, "the bus is full", r.take())
	r.err = nil
	if err := s.Sweep(t.Context(), now.Add(250*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	want(t, "the bus has room", r.take(), "a")
	if err := s.Sweep(t.Context(), now.Add(500*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	want(t, "it is on its way", r.take())
}

// TestABacklogGoesByPages: what a bus that fails again has taken of a backlog isn't sent once more, and who came first goes first.
func TestABacklogGoesByPages(t *testing.T) {
	r := &road{err: bus.ErrFull}
	s := sweeper(&backlog{}, r)
	defer func() { _ = s.Intake.Close() }()
	s.Intake.Window.size = 3 * page
	now := time.Now()
	var all []string
	for i := range 2*page + 10 {
		all = append(all, fmt.Sprintf("id-%04d", i))
		s.put(all[i], now, false)
	}
	sweep := func() []string {
		if err := s.Sweep(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		return r.take()
	}
	want(t, "the bus is full", sweep())
	r.err, r.takes = nil, 1
	want(t, "it takes one page", sweep(), all[:page]...)
	r.err, r.takes = nil, 0
	want(t, "it takes the rest", sweep(), all[page:]...)
	want(t, "all are on their way", sweep())
}

func TestStartTakesUpTheBacklogAboveTheFloor(t *testing.T) {
	b := &backlog{floor: "id-0010"}
	for i := range 1200 { // more than two pages
		b.undecided = append(b.undecided, store.Application{ID: fmt.Sprintf("id-%04d", i), Features: []byte(`{}`)})
	}
	r := &road{}
	s := sweeper(b, r)
	defer func() { _ = s.Intake.Close() }()
	s.Intake.Window.size = 2000
	n, err := s.adopt(t.Context(), "", true)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.take(); n != 1189 || len(got) != 1189 || got[0] != "id-0011" {
		t.Errorf("%d adopted, %d published, first %s; want 1189 from id-0011", n, len(got), got[0])
	}
	if n, err = s.adopt(t.Context(), "", true); err != nil || n != 0 {
		t.Errorf("adopted %d once more (%v)", n, err)
	}
}

// TestOneProcessTakesOnOrphans: of several processes only the one that leads takes on what nobody follows, never so much that its
// own work has no room, and what is left with them doesn't hold up a drain.
func TestOneProcessTakesOnOrphans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backlog{}
		old, young := time.Now().Add(-2*floorLag), time.Now()
		for i := range 80 {
			b.undecided = append(b.undecided, store.Application{ID: idAt(old)[:34] + fmt.Sprintf("%02d", i), Features: []byte(`{}`)})
		}
		b.undecided = append(b.undecided, store.Application{ID: idAt(young), Features: []byte(`{}`)})
		r, leads := &road{}, atomic.Bool{}
		s := sweeper(b, r)
		s.Leads = func(context.Context) bool { return leads.Load() }
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); s.Run(ctx) }()
		defer func() { cancel(); <-done; _ = s.Intake.Close() }()
		time.Sleep(2*floorEvery + time.Second)
		want(t, "another process leads", r.take())
		if err := s.Drain(ctx); err != nil || len(r.take()) > 0 {
			t.Errorf("a drain with nothing of its own: %v", err)
		}
		leads.Store(true)
		time.Sleep(floorEvery)
		if got := r.take(); len(got) != s.Intake.Window.size/2 {
			t.Errorf("%d taken on, want half of the window's %d places", len(got), s.Intake.Window.size)
		}
	})
}

func TestIDAtSortsBetweenIDs(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_000)
	before, after := idAt(at), idAt(at.Add(time.Millisecond))
	if before >= after || len(before) != 36 || before[14] != '7' {
		t.Errorf("%s and %s", before, after)
	}
}

package ingestion

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"aura/agents/bus"
	"aura/store"
)

// draining runs a sweeper's drain in fake time, and lets do change what it waits for meanwhile.
func draining(t *testing.T, b *backlog, within time.Duration, before, during func(*Sweeper)) (left int, took time.Duration, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := sweeper(b, &road{})
		defer func() { _ = s.Intake.Close() }()
		before(s)
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		begun := time.Now()
		done := make(chan struct{})
		go func() {
			defer close(done)
			err = s.Drain(ctx)
			left = s.Intake.Window.Pending()
			took = time.Since(begun)
		}()
		synctest.Wait()
		during(s)
		<-done
	})
	return left, took, err
}

// decideAll plays the agents: whatever was published is decided.
func decideAll(s *Sweeper, b *backlog) {
	b.mu.Lock()
	rows := b.undecided
	b.undecided = nil
	b.mu.Unlock()
	for _, a := range rows {
		s.Intake.Window.Decided(decided(a.ID))
	}
}

// TestADrainWaitsForWhatMayBeCommitted: an application that waits for its commit has a sender no more, and nobody would know
// of it once the drain has ended.
func TestADrainWaitsForWhatMayBeCommitted(t *testing.T) {
	for _, c := range []struct {
		name string
		ends func(w *Window)
	}{
		{"committed and decided", func(w *Window) {
			w.track(raw("a"), "", time.Now().Add(time.Hour), time.Hour, false)
			time.Sleep(time.Second)
			w.Decided(decided("a"))
		}},
		{"refused by the store", func(w *Window) { w.Release(1) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			left, took, err := draining(t, &backlog{}, time.Minute,
				func(s *Sweeper) { _ = s.Intake.Window.TryReserve(1) },
				func(s *Sweeper) { time.Sleep(3 * time.Second); c.ends(s.Intake.Window) })
			if left != 0 || err != nil || took < 3*time.Second {
				t.Errorf("%d left after %s, %v", left, took, err)
			}
		})
	}
}

// TestADrainAsksTheStore: what is committed and nobody's (the answer got lost, the earlier process' backlog is not taken up
// yet) is decided too.
func TestADrainAsksTheStore(t *testing.T) {
	b := &backlog{}
	left, took, err := draining(t, b, time.Minute, func(*Sweeper) {
		b.undecided = []store.Application{{ID: idAt(time.Now().Add(-time.Hour)), Features: []byte(`{}`)}}
	}, func(s *Sweeper) {
		time.Sleep(2 * time.Second)
		decideAll(s, b)
	})
	if left != 0 || err != nil || took < 2*time.Second {
		t.Errorf("%d left after %s, %v", left, took, err)
	}
}

// TestWhatIsLeftIsCounted where it is kept: the window may not have heard of the last decisions, and knows nothing of a backlog
// that it had no room for.
func TestWhatIsLeftIsCounted(t *testing.T) {
	b := &backlog{}
	s := sweeper(b, &road{})
	defer func() { _ = s.Intake.Close() }()
	s.put("a", time.Now(), true)
	for n := range page + 1 {
		b.undecided = append(b.undecided, store.Application{ID: idAt(time.UnixMilli(int64(n)))})
	}
	if n, err := s.Left(t.Context()); n != page+1 || err != nil {
		t.Errorf("%d left, %v", n, err)
	}
	b.undecided = nil
	if n, err := s.Left(t.Context()); n != 0 || err != nil {
		t.Errorf("%d left, %v", n, err)
	}
}

// TestADrainEndsWithItsTime, and says so.
func TestADrainEndsWithItsTime(t *testing.T) {
	left, took, err := draining(t, &backlog{}, 8*time.Second, func(s *Sweeper) {
		s.put("a", time.Now(), true)
		_ = s.Intake.Window.TryReserve(1)
	}, func(*Sweeper) {})
	if left != 2 || !errors.Is(err, context.DeadlineExceeded) || took != 8*time.Second {
		t.Errorf("%d left after %s, %v", left, took, err)
	}
}

// TestADrainShutsTheDoor: what comes later is refused, also what waits for room already.
func TestADrainShutsTheDoor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sweeper(&backlog{}, &road{err: bus.ErrFull})
		defer func() { _ = s.Intake.Close() }()
		w := s.Intake.Window
		if err := w.TryReserve(w.size); err != nil {
			t.Fatal(err)
		}
		waiting := make(chan error, 1)
		go func() {
			_, err := s.Intake.Submit(t.Context(), true, false, Application{})
			waiting <- err
		}()
		synctest.Wait()
		w.Shut()
		if err := <-waiting; !errors.Is(err, ErrStopping) {
			t.Errorf("who waited was told %v", err)
		}
		if _, err := s.Intake.Submit(t.Context(), false, false, Application{}); !errors.Is(err, ErrStopping) {
			t.Errorf("who came later was told %v", err)
		}
		w.Release(w.size)
		if err := w.reserve(t.Context(), 1, true); err != nil {
			t.Errorf("a committed one finds no room: %v", err)
		}
	})
}

// TestADrainLooksAfterWhatIsLost at once, however far its delay has doubled.
func TestADrainLooksAfterWhatIsLost(t *testing.T) {
	w := NewWindow(1)
	_ = w.TryReserve(1)
	now := time.Now()
	w.track(raw("a"), "", now.Add(time.Minute), time.Minute, false)
	w.published("a")
	s := sweeper(&backlog{}, &road{})
	defer func() { _ = s.Intake.Close() }()
	s.Intake.Window = w
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Drain(ctx); err == nil || w.Pending() != 1 {
		t.Fatalf("%d left, %v", w.Pending(), err)
	}
	if waiting, _ := w.due(now.Add(2 * drainSweep)); len(waiting) != 1 {
		t.Error("a drain leaves an application alone for a minute")
	}
}

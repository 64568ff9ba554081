package desired

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aura/store"
)

// rows are the store's: what the next read returns. The lock is for the test that changes them while the poll reads.
type rows struct {
	mu    sync.Mutex
	state store.State
	err   error
	reads int
}

func (r *rows) Desired(context.Context) (store.State, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reads++
	return r.state, r.err
}

// at is a state by its two generations.
func at(mode store.Mode, modeGeneration int64, champion int, championGeneration int64) store.State {
	var s store.State
	s.Mode, s.ModeGeneration, s.Champion, s.ChampionGeneration = mode, modeGeneration, champion, championGeneration
	return s
}

func newView(t *testing.T, r *rows) *View {
	t.Helper()
	v, err := New(t.Context(), r, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestAViewIsNeverEmpty(t *testing.T) {
	broken := errors.New("no disk")
	if _, err := New(t.Context(), &rows{err: broken}, slog.New(slog.DiscardHandler)); !errors.Is(err, broken) {
		t.Errorf("made without a state: %v", err)
	}
	v := newView(t, &rows{state: at(store.ModeSafe, 3, 2, 5)})
	if s := v.Current(); s.Mode != "SAFE_MODE" || s.ModeGeneration != 3 || s.Champion != 2 || s.ChampionGeneration != 5 {
		t.Errorf("%+v", s)
	}
}

// TestGenerationsOnlyRise: a read that was overtaken by a later change must not bring the old state back.
func TestGenerationsOnlyRise(t *testing.T) {
	withReference := at(store.ModeModel, 2, 1, 2)
	withReference.Reference = "model-1"
	for _, test := range []struct {
		name string
		next store.State
		told bool
	}{
		{"the same", at(store.ModeModel, 2, 1, 2), false},
		{"a new mode", at(store.ModeSafe, 3, 1, 2), true},
		{"a new champion", at(store.ModeModel, 2, 2, 3), true},
		{"the same champion put in charge again", at(store.ModeModel, 2, 1, 3), true},
		{"a new reference, which has no generation here", withReference, true},
		{"an older mode", at(store.ModeSafe, 1, 1, 2), false},
		{"a newer champion read with an older mode", at(store.ModeModel, 1, 2, 3), false},
	} {
		r := &rows{state: at(store.ModeModel, 2, 1, 2)}
		v := newView(t, r)
		first, calls := v.Current(), 0
		v.OnChange(func(_ context.Context, before, after State) {
			calls++
			if before != first || after != v.Current() {
				t.Errorf("%s: told of %+v to %+v while the view shows %+v", test.name, before, after, v.Current())
			}
		})
		r.state = test.next
		if err := v.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if (calls == 1) != test.told || (v.Current() != first) != test.told {
			t.Errorf("%s: %d calls, the view moved: %v; want told: %v", test.name, calls, v.Current() != first, test.told)
		}
	}
}

// TestEverybodyHasHeardWhenRefreshReturns: that is what an answered change rests on.
func TestEverybodyHasHeardWhenRefreshReturns(t *testing.T) {
	r := &rows{state: at(store.ModeModel, 1, 1, 1)}
	v := newView(t, r)
	var order []int
	for i := range 3 {
		v.OnChange(func(context.Context, State, State) { order = append(order, i) })
	}
	r.state = at(store.ModeSafe, 2, 1, 1)
	if err := v.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(order) != 3 || order[0] != 0 || order[2] != 2 {
		t.Errorf("hooks ran in the order %v", order)
	}
}

// TestAStoreThatFailsLeavesTheLastState: and the poll finds the change once it answers again.
func TestAStoreThatFailsLeavesTheLastState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rows{state: at(store.ModeModel, 1, 1, 1)}
		v := newView(t, r)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		r.err, r.state = errors.New("no disk"), at(store.ModeSafe, 2, 1, 1)
		go func() { defer close(ended); v.Run(ctx, time.Second) }()
		time.Sleep(3500 * time.Millisecond)
		synctest.Wait()
		r.mu.Lock()
		if s := v.Current(); s.Mode != "MODEL" || r.reads != 4 {
			t.Errorf("%+v after %d reads, of which 3 failed", s, r.reads)
		}
		r.err = nil
		r.mu.Unlock()
		time.Sleep(time.Second)
		synctest.Wait()
		if s := v.Current(); s.Mode != "SAFE_MODE" {
			t.Errorf("%+v a second after the store answers", s)
		}
		cancel()
		<-ended
	})
}

package app

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"aura/agents/fault"
	"aura/app/config"
	"aura/store"
)

// TestAFaultDoesNotHoldUpTheEnd: injected faults end before what is accepted is waited for, so that a stop takes as long as the
// work does, and leaves nothing.
func TestAFaultDoesNotHoldUpTheEnd(t *testing.T) {
	virtually(t, func(c *config.Config) { c.Governance.Profile = "off" }, func(w *world) {
		w.inject(fault.Fault{Target: "model", Kind: fault.Latency, Delay: 30 * time.Second, Share: 1, TTL: 5 * time.Minute})
		if !w.waitFor(5*time.Second, func() bool { return w.parts.Window.Undecided() > 100 }) {
			w.t.Fatal("nothing waits")
		}
		begun := time.Now()
		if err := w.Stop(context.WithoutCancel(w.t.Context())); err != nil {
			w.t.Error(err)
		}
		if took, left := time.Since(begun), w.parts.Window.Pending(); took > time.Second || left != 0 {
			w.t.Errorf("stopped after %s with %d undecided", took, left)
		}
	})
}

// TestWhatIsLeftIsTold as it is once nobody decides any more.
func TestWhatIsLeftIsTold(t *testing.T) {
	virtually(t, func(c *config.Config) { c.Governance.Profile = "off" }, func(w *world) {
		w.inject(fault.Fault{Target: "model", Kind: fault.Latency, Delay: 30 * time.Second, Share: 1, TTL: 5 * time.Minute})
		if !w.waitFor(5*time.Second, func() bool { return w.parts.Window.Undecided() > 100 }) {
			w.t.Fatal("nothing waits")
		}
		if err := w.parts.Supervisor.Stop(context.WithoutCancel(w.t.Context())); err != nil {
			w.t.Fatal(err)
		}
		if err := w.Stop(context.WithoutCancel(w.t.Context())); err != nil {
			w.t.Error(err)
		}
		s, err := store.Open(w.t.Context(), store.Options{Dir: w.cfg.Data.Dir, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			w.t.Fatal(err)
		}
		defer s.Close(w.t.Context())
		left, err := s.Undecided(w.t.Context(), "", "", 10_000)
		if want := fmt.Sprintf("the next start takes them up\" n=%d\n", len(left)); err != nil || len(left) == 0 || !strings.Contains(w.log.String(), want) {
			w.t.Errorf("no %q, %v", want, err)
		}
	})
}

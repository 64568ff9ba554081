package healing

import (
	"errors"
	"testing"
	"time"

	"aura/healing/incident"
	"aura/store"
)

// TestAClockMovedByAnHour: nothing is healed because the clock was set, and an approval that has expired stays so when it is
// set back.
func TestAClockMovedByAnHour(t *testing.T) {
	for name, jump := range map[string]time.Duration{"forward": time.Hour, "back": -time.Hour} {
		t.Run("a healthy service, "+name, func(t *testing.T) {
			run(t, func(w *world) {
				w.begin()
				w.pass(5 * time.Second)
				w.jump.Store(int64(jump))
				w.pass(30 * time.Second)
				w.jump.Store(0)
				w.pass(30 * time.Second)
				w.untouched()
				if in, opened := w.incident(); opened {
					w.t.Errorf("an incident: %s %s", in.Kind, in.State)
				}
			})
		})
		t.Run("safe mode stands, "+name, func(t *testing.T) {
			run(t, func(w *world) {
				w.begin()
				w.breakModel(true)
				w.until(incident.Degraded, 20*time.Second)
				w.jump.Store(int64(jump))
				w.pass(30 * time.Second)
				if w.mode() != store.ModeSafe || w.modeChanges() != 1 {
					w.t.Errorf("mode %s, %d changes while the model is ill", w.mode(), w.modeChanges())
				}
				w.breakModel(false)
				if jump < 0 { // the executor believes nothing that may be of the time before, until the process is started again
					w.pass(30 * time.Second)
					w.begin()
				}
				w.until(incident.Resolved, 2*time.Minute)
				w.audited()
			})
		})
	}
	t.Run("an approval that waits", func(t *testing.T) {
		run(t, func(w *world) {
			var asked []store.PolicyRequest
			w.govern = func(w *world, r store.PolicyRequest) { // supervised: each waits for a person, as long as it may
				d := store.PolicyDecision{RequestID: r.ID, Verdict: store.AGLEscalated, Rule: "supervised", By: "governance", DecidedAt: w.clock(), ExpiresAt: r.ExpiresAt}
				switch {
				case r.Status == store.RequestPending:
					asked = append(asked, r)
				case w.clock().Before(r.ExpiresAt):
					return
				default:
					d.Verdict, d.Rule, d.ExpiresAt = store.AGLDenied, "expired", time.Time{}
				}
				if _, err := w.store.DecideRequest(w.t.Context(), d); err != nil {
					w.t.Fatal(err)
				}
			}
			w.begin()
			w.breakModel(true)
			w.until(incident.AwaitingApproval, 10*time.Second)
			w.jump.Store(int64(time.Hour))
			w.pass(5 * time.Second)
			w.jump.Store(0)
			w.pass(5 * time.Second)
			first := asked[0]
			_, err := w.store.DecideRequest(w.t.Context(), store.PolicyDecision{
				RequestID: first.ID, Verdict: store.AGLApproved, Rule: "person", By: "ann", Envelope: w.envelope(first, nil), DecidedAt: w.clock(),
				ExpiresAt: w.clock().Add(time.Minute),
			})
			var late *store.Refused
			if !errors.As(err, &late) || late.Code != store.CodeLate {
				w.t.Errorf("an approval that had expired was revived: %v", err)
			}
			w.pass(10 * time.Second)
			w.untouched()
			w.audited()
		})
	})
}

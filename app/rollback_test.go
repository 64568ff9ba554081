package app

import (
	"errors"
	"strings"
	"testing"
	"time"

	"aura/agents/fault"
	"aura/healing/incident"
	"aura/web/api"
)

// TestNobodyRollsBackToWhatHealingTookAway: the version before is the bad one that healing has just rolled back from, and
// whoever wants that one names it.
func TestNobodyRollsBackToWhatHealingTookAway(t *testing.T) {
	virtually(t, nil, func(w *world) {
		t, ctx := w.t, w.t.Context()
		models := newModels(w.parts.Registry, w.parts.View, w.parts.Champion, w.parts.Control, w.parts.Store, w.parts.Fleet)
		w.inject(fault.Fault{Target: "model", Kind: fault.BadModel, Share: 1, TTL: 5 * time.Minute})
		if _, none, err := models.champions(ctx); err != nil || none.Refused != "" {
			t.Errorf("a rollback from the bad model is refused: %+v, %v", none, err)
		}
		if !w.waitFor(time.Minute, func() bool {
			list := w.incidents()
			return len(list) > 0 && list[0].State == incident.Resolved
		}) {
			t.Fatalf("not healed:\n%s", story(w.incidents(), w.begun))
		}
		_, to, err := models.champions(ctx)
		if err != nil || to.Version != 2 || !strings.Contains(to.Refused, "INC-") || !strings.Contains(to.Refused, "aura model promote 2") {
			t.Errorf("%+v, %v", to, err)
		}
		var refused *api.Refusal
		if _, err := models.Rollback(ctx, api.Change{By: "ann", Reason: "complaints"}); !errors.As(err, &refused) || refused.Code != api.Conflict || refused.Detail != to.Refused {
			t.Errorf("%v", err)
		}
		if s, err := models.Promote(ctx, 2, api.Change{By: "ann", Reason: "I mean it"}); err != nil || s.Version != 2 {
			t.Fatalf("%+v, %v", s, err)
		}
		if s, err := models.Rollback(ctx, api.Change{By: "ann", Reason: "I don't"}); err != nil || s.Version != 1 {
			t.Errorf("%+v, %v", s, err)
		}
		if s, err := models.Rollback(ctx, api.Change{By: "ann", Reason: "a rollback can be taken back"}); err != nil || s.Version != 2 {
			t.Errorf("%+v, %v", s, err)
		}
	}, inBursts())
}

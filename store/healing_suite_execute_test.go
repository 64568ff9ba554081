package store

import (
	"encoding/json"
	"errors"
	"testing"

	"aura/mlops/registry"
)

func proof(id string, epoch int64) ActionProof {
	return ActionProof{ActionID: id, Nonce: "n-" + id, Epoch: epoch, By: "healing"}
}

func testActionTakesEffectOnce(t *testing.T, s *Store) {
	ctx, epoch := t.Context(), healer(t, s)
	save(t, s, epoch, incident("i1", "f", 1), IncidentWrites{Actions: []ActionRow{action("a1", "i1")}})
	if _, err := s.Executed(ctx, "a1"); !errors.Is(err, ErrNotFound) {
		t.Fatalf("got %v", err)
	}
	e, err := s.SetModeByAction(ctx, proof("a1", epoch), ModeSafe, "latency")
	must(t, err)
	st, err := s.Desired(ctx)
	must(t, err)
	equal(t, "effect", e, Effect{
		ActionID: "a1", Setting: SettingMode, Value: "SAFE_MODE", Previous: "MODEL", Generation: 2, Change: e.Change, Era: st.Era, At: e.At,
	})
	a, err := s.Action(ctx, "a1")
	must(t, err)
	equal(t, "executed_at", a.ExecutedAt, e.At)

	_, err = s.SetMode(ctx, ModeModel, "ann", "back")
	must(t, err)
	again, err := s.SetModeByAction(ctx, proof("a1", epoch), ModeSafe, "latency")
	must(t, err)
	recorded := e
	recorded.Repeated = true
	equal(t, "the recorded effect", again, recorded)
	equal(t, "nothing changed", generations(t, s).Mode, ModeModel)
	stored, err := s.Executed(ctx, "a1")
	must(t, err)
	equal(t, "read", stored, e)
}

func testActionsOfEachKind(t *testing.T, s *Store) {
	ctx, epoch := t.Context(), healer(t, s)
	for n := 1; n <= 2; n++ {
		_, err := s.CreateVersion(ctx, version(n))
		must(t, err)
	}
	_, err := s.SetAliases(ctx, map[string]int{registry.Champion: 2, registry.Previous: 1}, nil, "ann", "start")
	must(t, err)
	e, err := s.SetAliasesByAction(ctx, proof("a1", epoch), map[string]int{registry.Champion: 1, registry.Previous: 2}, "worse")
	must(t, err)
	equal(t, "rollback", []any{e.Setting, e.Value, e.Previous, e.Generation}, []any{"champion", "1", "2", int64(2)})
	equal(t, "aliases before", string(e.Detail), `{"aliases_before":{"champion":2,"previous":1}}`)
	al, err := s.Aliases(ctx)
	must(t, err)
	equal(t, "aliases", al, map[string]int{"champion": 1, "previous": 2})
	replaced, err := s.Replaced(ctx, 2)
	must(t, err)
	equal(t, "replaced", []any{replaced.Value, replaced.ActionID, replaced.Reason}, []any{"1", "a1", "worse"})
	replaced, err = s.Replaced(ctx, 1)
	must(t, err)
	equal(t, "never replaced", replaced, (*ConfigChange)(nil))
	_, err = s.SetAliasesByAction(ctx, proof("a2", epoch), map[string]int{registry.Champion: 7}, "")
	code(t, err, CodeUnknownVersion)

	must(t, s.PutReference(ctx, Reference{ID: "ref1", Rows: 10, Document: json.RawMessage(`{}`), By: "aura"}))
	e, err = s.SetReferenceByAction(ctx, proof("a3", epoch), "ref1", "new population")
	must(t, err)
	equal(t, "reference", []any{e.Value, e.Previous}, []any{"ref1", ""})
	_, err = s.SetReferenceByAction(ctx, proof("a4", epoch), "ref2", "")
	code(t, err, CodeUnknownReference)

	e, err = s.BumpAgentByAction(ctx, proof("a5", epoch), "model", "p1", 4, "hung")
	must(t, err)
	equal(t, "agent", []any{e.Setting, e.Value}, []any{"agent.model/p1", "4"})
	e, err = s.BumpAgentByAction(ctx, proof("a6", epoch), "model", "p1", 3, "hung")
	must(t, err)
	equal(t, "never lower", []any{e.Value, e.Generation}, []any{"4", int64(1)})

	era, err := s.Desired(ctx)
	must(t, err)
	e, err = s.RecordAction(ctx, proof("a7", epoch), json.RawMessage(`{"run":1}`))
	must(t, err)
	equal(t, "no setting", e, Effect{ActionID: "a7", Era: era.Era, At: e.At, Detail: json.RawMessage(`{"run":1}`)})
	e, err = s.RecordAction(ctx, proof("a7", epoch), json.RawMessage(`{"run":2}`))
	must(t, err)
	equal(t, "once", []any{string(e.Detail), e.Repeated}, []any{`{"run":1}`, true})
}

func testActionRefused(t *testing.T, s *Store) {
	ctx, epoch := t.Context(), healer(t, s)
	_, err := s.SetModeByAction(ctx, proof("a1", epoch+1), ModeSafe, "")
	code(t, err, CodeStaleEpoch)
	_, err = s.SetModeByAction(ctx, ActionProof{ActionID: "a1", Epoch: epoch, By: "healing"}, ModeSafe, "")
	code(t, err, CodeInvalid)
	_, err = s.SetModeByAction(ctx, proof("a1", epoch), "NO_MODE", "")
	code(t, err, CodeInvalid)
	_, err = s.SetModeByAction(ctx, proof("a1", epoch), ModeSafe, "")
	must(t, err)
	replay := proof("a2", epoch)
	replay.Nonce = "n-a1"
	_, err = s.SetModeByAction(ctx, replay, ModeModel, "")
	code(t, err, CodeReplayed)
	equal(t, "still", generations(t, s).Mode, ModeSafe)

	_, err = s.Hold(ctx, SettingMode, true, "ann", "mine")
	must(t, err)
	_, err = s.SetModeByAction(ctx, proof("a3", epoch), ModeModel, "")
	code(t, err, CodeHeld)
	if _, err := s.Executed(ctx, "a3"); !errors.Is(err, ErrNotFound) {
		t.Fatalf("a refused action is recorded as executed: %v", err)
	}
	_, err = s.Hold(ctx, SettingMode, false, "ann", "yours")
	must(t, err)
	_, err = s.SetModeByAction(ctx, proof("a3", epoch), ModeModel, "") // its nonce is still good
	must(t, err)

	_, err = s.CreateVersion(ctx, version(1))
	must(t, err)
	_, err = s.Hold(ctx, SettingChampion, true, "ann", "pinned")
	must(t, err)
	_, err = s.SetAliasesByAction(ctx, proof("a4", epoch), map[string]int{registry.Champion: 1}, "")
	code(t, err, CodeHeld)
	_, err = s.SetAliases(ctx, map[string]int{registry.Champion: 1}, nil, "bob", "a person may")
	must(t, err)
	if _, err := s.Hold(ctx, "nothing", true, "ann", ""); !errors.Is(err, ErrNotFound) {
		t.Fatalf("got %v", err)
	}
}

func testSuperseded(t *testing.T, s *Store) {
	ctx, epoch := t.Context(), healer(t, s)
	if _, err := s.Superseded(ctx, "a1"); !errors.Is(err, ErrNotFound) {
		t.Fatalf("got %v", err)
	}
	_, err := s.SetModeByAction(ctx, proof("a1", epoch), ModeSafe, "")
	must(t, err)
	_, err = s.BumpAgentByAction(ctx, proof("a2", epoch), "model", "p1", 2, "")
	must(t, err)
	c, err := s.Superseded(ctx, "a1")
	must(t, err)
	equal(t, "another setting's change", c, (*ConfigChange)(nil))
	_, err = s.SetMode(ctx, ModeSafe, "ann", "mine now") // the same value, but hers
	must(t, err)
	c, err = s.Superseded(ctx, "a1")
	must(t, err)
	equal(t, "by", []any{c.Owner, c.Person, c.HeldBy, c.ActionID}, []any{"ann", true, "ann", ""})
	_, err = s.SetMode(ctx, ModeModel, "ann", "over")
	must(t, err)
	_, err = s.SetModeByAction(ctx, proof("a3", epoch), ModeSafe, "")
	must(t, err)
	c, err = s.Superseded(ctx, "a1")
	must(t, err)
	equal(t, "a person's change counts before an action's", []any{c.Owner, c.Reason}, []any{"ann", "over"})
	_, err = s.SetModeByAction(ctx, proof("a4", epoch), ModeModel, "undo")
	must(t, err)
	c, err = s.Superseded(ctx, "a3")
	must(t, err)
	equal(t, "by its undo", []any{c.Person, c.ActionID}, []any{false, "a4"})
}

func testEra(t *testing.T, s *Store) {
	ctx := t.Context()
	first, err := s.Desired(ctx)
	must(t, err)
	_, err = s.Set(ctx, Change{Setting: "healing", Value: "PAUSED", By: "ann", Person: true})
	must(t, err)
	second, err := s.Desired(ctx)
	must(t, err)
	if second.Era <= first.Era {
		t.Fatalf("the era went from %d to %d", first.Era, second.Era)
	}
	equal(t, "settings", second.Settings["healing"].Value, "PAUSED")
	_, err = s.Set(ctx, Change{Setting: SettingReference, Value: "nobody", By: "ann", Person: true})
	code(t, err, CodeUnknownReference)
	must(t, s.PutReference(ctx, Reference{ID: "ref1", Rows: 10, Document: json.RawMessage(`{}`), By: "aura"}))
	v, err := s.Set(ctx, Change{Setting: SettingReference, Value: "ref1", By: "aura"})
	must(t, err)
	third, err := s.Desired(ctx)
	must(t, err)
	equal(t, "reference", []any{third.Reference, third.ReferenceGeneration}, []any{"ref1", v.Generation})
	h, err := s.ConfigHistory(ctx, 1, 0)
	must(t, err)
	equal(t, "the era is the history's last line", third.Era, h[0].ID)
}

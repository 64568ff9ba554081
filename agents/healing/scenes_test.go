package healing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"aura/healing/detect"
	"aura/healing/incident"
	"aura/mlops/registry"
	"aura/store"
)

// scene is one kind of trouble, with what heals it: true targets over the store, whose rows are what the trouble asks.
type scene struct {
	name   string
	kind   detect.Kind
	target string
	cause  string // of an agent that is down
	// ill tells from the system's state whether the fault still shows.
	ill func(w *world) bool
	// facts that rungs may require; trained is the gate's word.
	facts   map[string]bool
	trained Trained
	earlier string // the reference that the rows fit
	damaged string // what loading the version that was in charge before says
	// end is the state in which it ends: healed, or with a person.
	end incident.State
	// effects are the changes of desired state that actions make, in order.
	effects []string
}

var promoted = Trained{Outcome: "promote", Params: map[string]string{paramVersion: "3", paramDigest: "d3"}}

// scenes are all kinds of healing. Version 2 is in charge, 1 was before; ref-1 is in force, ref-0 was before.
var scenes = []*scene{
	{
		name: "crashed or hung agent: restart", kind: detect.AgentDown, target: "model",
		ill: func(w *world) bool { return w.least("model") < 2 }, end: incident.Resolved, effects: []string{"agent.model/p1=2"},
	},
	{
		name: "worse model: rollback", kind: detect.PerfDrop, target: detect.TargetService, facts: map[string]bool{"previous_better": true},
		ill: func(w *world) bool { return w.champion() == 2 }, end: incident.Resolved, effects: []string{"champion=1"},
	},
	{
		name: "aged model: safe mode, retraining, promotion, the model back", kind: detect.PerfDrop, target: detect.TargetService,
		ill: func(w *world) bool { return w.champion() != 3 }, trained: promoted, end: incident.Resolved,
		effects: []string{"mode=SAFE_MODE", "champion=3", "mode=MODEL"},
	},
	{
		name: "worse model, the one before is damaged, retraining chooses nothing: safe mode, a person", kind: detect.PerfDrop, target: detect.TargetService,
		facts: map[string]bool{"previous_better": true}, damaged: "version 1: its checksum does not fit",
		ill: func(w *world) bool { return w.champion() == 2 }, end: incident.Escalated,
		effects: []string{"mode=SAFE_MODE"},
	},
	{
		name: "drift: retraining, promotion, reference", kind: detect.DataDrift, target: "credit_score",
		ill: func(w *world) bool { return w.reference() == "ref-1" }, trained: promoted, end: incident.Resolved,
		effects: []string{"champion=3", "reference=accepted"},
	},
	{
		name: "drift: champion kept, reference", kind: detect.DataDrift, target: "credit_score",
		ill: func(w *world) bool { return w.reference() == "ref-1" }, trained: Trained{Outcome: "keep"}, end: incident.Resolved,
		effects: []string{"reference=accepted"},
	},
	{
		name: "drift that the new reference doesn't end: all of it undone, a person", kind: detect.DataDrift, target: "credit_score",
		ill: func(*world) bool { return true }, trained: promoted, end: incident.Escalated,
		effects: []string{"champion=3", "reference=accepted", "reference=ref-1", "champion=2"},
	},
	{
		name: "the old population is back: reference and model restored", kind: detect.DataDrift, target: "credit_score", earlier: "ref-0",
		facts: map[string]bool{incident.FactEarlierReference: true}, ill: func(w *world) bool { return w.reference() != "ref-0" },
		end: incident.Resolved, effects: []string{"champion=1", "reference=ref-0"},
	},
	{
		name: "late feature agent: safe mode undone, restart", kind: detect.LatencyBreach, target: detect.TargetService,
		ill: func(w *world) bool { return w.least("feature") < 2 }, end: incident.Resolved,
		effects: []string{"mode=SAFE_MODE", "mode=MODEL", "agent.feature/p1=2"},
	},
}

// stage puts the world into a scene.
func (w *world) stage(s *scene) {
	w.t.Helper()
	w.scene, w.facts = s, w
	w.targets = Targets{Modes: w, Agents: w, Models: w, Trainer: w, References: w, Settle: w.settle}
	ctx := w.t.Context()
	var errs []error
	for v := 1; v <= 3; v++ {
		_, err := w.store.CreateVersion(ctx, registry.Version{Number: v, Digest: digest(v), SchemaDigest: "s", SchemaName: "s", File: fmt.Sprint("f", v), CreatedBy: "test"})
		errs = append(errs, err)
	}
	for v := 1; v <= 2; v++ {
		_, err := w.store.SetAliases(ctx, map[string]int{registry.Champion: v, registry.Previous: v - 1}, nil, "test", "start")
		errs = append(errs, err, w.store.PutReference(ctx, store.Reference{ID: fmt.Sprint("ref-", v-1), Rows: 1, Document: json.RawMessage("{}"), ModelVersion: v, By: "test"}))
		_, err = w.store.Set(ctx, store.Change{Setting: store.SettingReference, Value: fmt.Sprint("ref-", v-1), By: "test", Reason: "start"})
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		w.t.Fatal(err)
	}
}

func digest(version int) string { return fmt.Sprint("d", version) }

// settle is where the system follows: a point to die at.
func (w *world) settle(context.Context, store.Effect) error {
	w.hook("settle")
	return nil
}

func (w *world) Fact(_ context.Context, name string, _ incident.Incident) (bool, string, error) {
	return w.scene.facts[name], "it is not so in this scene", nil
}

func (w *world) Current(ctx context.Context) (champion, previous Model, err error) {
	a, err := w.store.Aliases(ctx)
	return Model{a[registry.Champion], digest(a[registry.Champion])}, Model{Version: a[registry.Previous]}, err
}

func (w *world) Check(_ context.Context, version int) (Model, error) {
	if version == 1 && w.scene.damaged != "" {
		return Model{}, &Refused{Reason: w.scene.damaged}
	}
	return Model{version, digest(version)}, nil
}

func (w *world) PutInCharge(ctx context.Context, p store.ActionProof, to Model, previous int, reason string) (store.Effect, error) {
	w.hook("before the champion moves")
	e, err := w.store.SetAliasesByAction(ctx, p, map[string]int{registry.Champion: to.Version, registry.Previous: previous}, reason)
	w.hook("after the champion moved")
	return e, err
}

func (w *world) Retrain(context.Context, Training) (Trained, error) {
	w.hook("training")
	if w.scene.trained.Outcome == "" {
		return Trained{Outcome: "none"}, nil
	}
	return w.scene.trained, nil
}

func (w *world) InForce(ctx context.Context) (string, error) {
	s, err := w.store.Desired(ctx)
	return s.Reference, err
}

func (w *world) Earlier(context.Context, time.Time) (string, int, error) {
	return w.scene.earlier, 1, nil
}

func (w *world) Accept(ctx context.Context, p store.ActionProof, id string, _ time.Time, reason string) (store.Effect, error) {
	if err := w.store.PutReference(ctx, store.Reference{ID: id, Rows: 1, Document: json.RawMessage(`{"of":"recent rows"}`), By: Name}); err != nil {
		return store.Effect{}, err
	}
	w.hook("the reference is made, not in force")
	return w.Set(ctx, p, id, reason)
}

func (w *world) Set(ctx context.Context, p store.ActionProof, id, reason string) (store.Effect, error) {
	e, err := w.store.SetReferenceByAction(ctx, p, id, reason)
	w.hook("after the reference was set")
	return e, err
}

func (w *world) desired() store.State {
	w.t.Helper()
	s, err := w.store.Desired(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) champion() int     { return w.desired().Champion }
func (w *world) reference() string { return w.desired().Reference }
func (w *world) least(agent string) int {
	n, _ := strconv.Atoi(w.desired().Settings[store.AgentSetting(agent, "p1")].Value)
	return max(n, 1)
}

// effects are the changes that actions made, oldest first, and the actions that made them.
func (w *world) effects() (changes, actions []string) {
	w.t.Helper()
	rows, err := w.store.ConfigHistory(w.t.Context(), 1000, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, c := range slices.Backward(rows) {
		if c.ActionID == "" {
			continue
		}
		value, _, _ := strings.Cut(c.Value, "-INC") // accepted-<action>
		changes, actions = append(changes, c.Setting.Setting+"="+value), append(actions, c.ActionID)
	}
	return changes, actions
}

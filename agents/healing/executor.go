package healing

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"aura/healing/incident"
	"aura/healing/policy"
	"aura/mlops/registry"
	"aura/store"
)

// principal is the name under which the agent proposes and its changes stand in the history.
const principal = "healing"

// Order is an action with the decision that allows it.
type Order struct {
	ActionID, IncidentID string
	Purpose              string
	Action               policy.Action
	Envelope             []byte
	Reason               string
	// Kind, Target and Since are the incident's: what a retraining is for, and from when on.
	Kind, Target string
	Since        time.Time
	// Tell hears how far a retraining is, in words for people.
	Tell func(progress string)
}

// Done is what became of an action.
type Done struct {
	Effect  store.Effect
	Outcome string
	Params  map[string]string
	Numbers map[string]float64
	Reason  string
	// Blameless: that it came to nothing says nothing about the action.
	Blameless bool
}

// Executor is the only code path that executes an action. It refuses whatever has no signed, unexpired, unused decision
// for exactly this action, its parameters and its inverse.
type Executor struct {
	store   *store.Store
	targets Targets
	now     func() time.Time

	mu    sync.Mutex
	keys  map[string]ed25519.PublicKey
	floor time.Time // the latest time known: a clock that was put back revives no decision
}

// NewExecutor makes one that believes in governance's public keys, by policy.KeyID.
func NewExecutor(s *store.Store, keys map[string]ed25519.PublicKey, t Targets, now func() time.Time) *Executor {
	return &Executor{keys: keys, store: s, targets: t, now: now}
}

// ErrExpired is a decision that was valid and came too late: it may be asked for again.
var ErrExpired = policy.ErrExpired

// ErrKey is a decision that was signed with a key which isn't in force, such as one from before a rotation: it is worth
// nothing, and may be asked for again.
var ErrKey = policy.ErrKey

// UseKeys believes in these keys, and in no other, from now on.
func (x *Executor) UseKeys(keys map[string]ed25519.PublicKey) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.keys = keys
}

func (x *Executor) believes() map[string]ed25519.PublicKey {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.keys
}

// Execute carries an order out under the lease's epoch. An action that took effect before is not run again and its
// envelope is not looked at: what became of it is returned. Errors: ErrExpired and ErrKey; *Refused (nothing changed); stale epochs
// and unavailable stores as the store has them (the same call again is safe); else it is broken.
func (x *Executor) Execute(ctx context.Context, epoch int64, o Order) (Done, error) {
	e, err := x.store.Executed(ctx, o.ActionID)
	switch {
	case err == nil:
		return x.settled(ctx, o, e)
	case !errors.Is(err, store.ErrNotFound):
		return Done{}, err
	}
	want := policy.Expected{
		ActionID: o.ActionID, IncidentID: o.IncidentID, Purpose: o.Purpose, Audience: policy.AudienceExecutor, Action: o.Action,
	}
	now := x.clock()
	envelope, err := policy.Verify(o.Envelope, want, x.believes(), nil, now)
	if errors.Is(err, policy.ErrExpired) || errors.Is(err, policy.ErrKey) {
		return Done{}, err
	}
	if err != nil {
		return Done{}, &Refused{Reason: err.Error()}
	}
	proof := store.ActionProof{ActionID: o.ActionID, Nonce: envelope.Nonce, Epoch: epoch, By: principal}
	e, err = x.run(ctx, proof, o)
	if err != nil {
		return Done{}, refusal(err)
	}
	return x.settled(ctx, o, e)
}

// clock never goes back.
func (x *Executor) clock() time.Time {
	x.mu.Lock()
	defer x.mu.Unlock()
	if now := x.now(); now.After(x.floor) {
		x.floor = now
	}
	return x.floor
}

// settled waits until the system follows, and returns what was recorded.
func (x *Executor) settled(ctx context.Context, o Order, e store.Effect) (Done, error) {
	if x.targets.Settle != nil {
		if err := x.targets.Settle(ctx, e); err != nil {
			return Done{}, &unsettled{fmt.Errorf("action %s took effect, the system doesn't follow yet: %w", o.ActionID, err)}
		}
	}
	d := Done{Effect: e}
	if o.Action.Type == incident.TriggerRetraining {
		var t Trained
		if err := json.Unmarshal(e.Detail, &t); err != nil {
			return Done{}, fmt.Errorf("what retraining %s yielded: %w", o.ActionID, err)
		}
		d.Outcome, d.Params, d.Numbers, d.Reason, d.Blameless = t.Outcome, t.Params, t.Numbers, t.Reason, t.Blameless
	}
	return d, nil
}

// unsettled is an effect that is recorded and not yet true: to be tried again.
type unsettled struct{ error }

func (u *unsettled) Unwrap() error { return u.error }

// run performs one action through its target.
func (x *Executor) run(ctx context.Context, p store.ActionProof, o Order) (store.Effect, error) {
	a, t := o.Action, x.targets
	switch a.Type {
	case incident.EnableSafeMode:
		return t.Modes.SetMode(ctx, p, store.ModeSafe, o.Reason)
	case incident.DisableSafeMode:
		return t.Modes.SetMode(ctx, p, store.ModeModel, o.Reason)
	case incident.RollbackModel, incident.RestoreModel, incident.PromoteModel:
		return x.putInCharge(ctx, p, o)
	case incident.TriggerRetraining:
		return x.retrain(ctx, p, o)
	case incident.AcceptReference:
		return t.References.Accept(ctx, p, a.Params[paramReference], o.Since, o.Reason)
	case incident.RestoreReference:
		return x.restoreReference(ctx, p, o)
	case incident.RestartAgent:
		least, err := strconv.ParseInt(a.Params[paramLeast], 10, 64)
		if err != nil {
			return store.Effect{}, &Refused{Reason: "no least incarnation: " + err.Error()}
		}
		return t.Agents.Restart(ctx, p, a.Params[paramAgent], a.Params[paramInstance], least, o.Reason)
	}
	return store.Effect{}, &Refused{Reason: "there is no action " + a.Type}
}

func (x *Executor) putInCharge(ctx context.Context, p store.ActionProof, o Order) (store.Effect, error) {
	to, previous, err := modelOf(o.Action.Params)
	if err != nil {
		return store.Effect{}, err
	}
	return x.targets.Models.PutInCharge(ctx, p, to, previous, o.Reason)
}

// retrain trains first and records what came of it: training changes nothing that is in force.
func (x *Executor) retrain(ctx context.Context, p store.ActionProof, o Order) (store.Effect, error) {
	if x.targets.Trainer == nil {
		return store.Effect{}, &Refused{Reason: "there is no trainer in this process"}
	}
	trained, err := x.targets.Trainer.Retrain(ctx, Training{
		ActionID: o.ActionID, IncidentID: o.IncidentID, Kind: o.Kind, Target: o.Target, Params: o.Action.Params,
		Since: o.Since, Cut: x.now(), Tell: o.Tell,
	})
	if err != nil {
		return store.Effect{}, err
	}
	detail, err := json.Marshal(trained)
	if err != nil {
		return store.Effect{}, fmt.Errorf("what retraining yielded: %w", err)
	}
	return x.store.RecordAction(ctx, p, detail)
}

// modelPart names the part of an action that moves the champion beside the reference: each part takes effect once.
func modelPart(actionID string) string { return actionID + "/model" }

// restoreReference brings a reference back with its model: the model first, each once.
func (x *Executor) restoreReference(ctx context.Context, p store.ActionProof, o Order) (store.Effect, error) {
	if o.Action.Params[paramVersion] != "" {
		to, previous, err := modelOf(o.Action.Params)
		if err != nil {
			return store.Effect{}, err
		}
		part := p
		part.ActionID, part.Nonce = modelPart(p.ActionID), p.Nonce+"/model"
		if _, err := x.targets.Models.PutInCharge(ctx, part, to, previous, o.Reason); err != nil {
			return store.Effect{}, err
		}
	}
	return x.targets.References.Set(ctx, p, o.Action.Params[paramReference], o.Reason)
}

// refusal tells what changed nothing and never will from what is broken.
func refusal(err error) error {
	var stored *store.Refused
	var model *registry.Refused
	switch {
	case errors.As(err, &stored) && stored.Code != store.CodeStaleEpoch:
		return &Refused{Reason: stored.Reason}
	case errors.As(err, &model):
		return &Refused{Reason: model.Message}
	}
	return err
}

package governance

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"aura/agents"
	"aura/healing/incident"
	"aura/healing/policy"
	"aura/store"
)

// decide answers a request that nobody has answered yet.
func (a *Agent) decide(ctx context.Context, life agents.Life, r store.PolicyRequest) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.o.Now()
	late := expired(r, now)
	if !late && r.Status != store.RequestPending {
		return nil // decided, or a person's
	}
	if leads, err := a.lead(ctx, life, now); err != nil || !leads {
		return err
	}
	if late {
		return a.write(ctx, r, policy.Decision{AGL: policy.Denied, Rule: ruleExpired, Reason: "nobody decided in time", At: now}, nil)
	}
	p, err := proposal(r)
	if err != nil {
		return a.write(ctx, r, policy.Decision{AGL: policy.Denied, Rule: "malformed", Reason: err.Error(), At: now}, nil)
	}
	in, why, err := a.input(ctx, r, p, now)
	if err != nil {
		return err
	}
	if why != "" {
		return a.write(ctx, r, policy.Decision{AGL: policy.Denied, Rule: "purpose", Reason: why, At: now, Input: in}, nil)
	}
	d := a.o.Rules().Policy.Decide(in, now)
	if d.AGL != policy.Approved && d.AGL != policy.Modified {
		return a.write(ctx, r, d, nil)
	}
	action := d.Apply(p)
	envelope, err := a.sign(r, p.Purpose, d.AGL, action, "rule:"+d.Rule, d.Version, now)
	if err != nil {
		return fmt.Errorf("governance: sign: %w", err)
	}
	return a.write(ctx, r, d, envelope)
}

// ruleExpired stands on the denial of a request that nobody answered.
const ruleExpired = "expired"

func expired(r store.PolicyRequest, now time.Time) bool {
	return !r.ExpiresAt.IsZero() && !now.Before(r.ExpiresAt)
}

// proposal reads what a request says, and sees that it is what its digest says.
func proposal(r store.PolicyRequest) (policy.Proposal, error) {
	var p policy.Proposal
	if err := json.Unmarshal(r.Action, &p); err != nil {
		return p, fmt.Errorf("the request can't be read: %w", err)
	}
	if p.Action.Digest() != r.Digest || p.Action.Type != r.ActionType {
		return p, errors.New("the request is not for the action that its digest names")
	}
	return p, nil
}

// write keeps a verdict by rule and announces it. One that came too late changes nothing.
func (a *Agent) write(ctx context.Context, r store.PolicyRequest, d policy.Decision, signed *signature) error {
	inputs, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("governance: decision: %w", err)
	}
	row := store.PolicyDecision{
		RequestID: r.ID, Verdict: d.AGL, Rule: d.Rule, Reason: d.Reason, By: Name, Inputs: inputs, DecidedAt: d.At, Epoch: a.lease.Epoch,
	}
	if d.Modified != nil {
		row.Action = modifiedAction(*d.Modified)
	}
	if signed != nil {
		row.Envelope, row.Key, row.ExpiresAt = signed.raw, signed.key, signed.expires
	} else if d.AGL == policy.Escalated {
		row.ExpiresAt = r.ExpiresAt
	}
	return a.save(ctx, row)
}

func (a *Agent) save(ctx context.Context, row store.PolicyDecision) error {
	saved, err := a.o.Store.DecideRequest(ctx, row)
	var refused *store.Refused
	if errors.As(err, &refused) && refused.Code == store.CodeLate {
		return nil
	}
	if refused != nil && refused.Code == store.CodeKey {
		// The process that has the key decides it, or this one as soon as it has followed.
		a.otherKey.Say(a.o.Log, slog.LevelWarn, "another key than this process' is in force; it decides nothing", "err", err)
		a.yieldUntil = a.o.Now().Add(2 * leaseTTL)
		return a.yield(ctx)
	}
	if refused != nil && refused.Code == store.CodeStaleEpoch {
		a.lease = store.Lease{} // this process was stopped for long; who decides now does this too
		return nil
	}
	if err != nil {
		return err
	}
	a.o.Log.Info("policy decision", "request", row.RequestID, "verdict", row.Verdict, "rule", row.Rule, "reason", row.Reason, "by", row.By)
	a.announce(ctx, saved)
	return nil
}

// signature is a signed decision with its end.
type signature struct {
	raw     []byte
	key     string // its id
	expires time.Time
}

// modifiedAction is what a MODIFIED decision makes of the action's row.
func modifiedAction(a policy.Action) *store.ModifiedAction {
	params, err := json.Marshal(a.Params)
	if err != nil {
		panic("governance: a map of strings always encodes: " + err.Error())
	}
	return &store.ModifiedAction{Digest: a.Digest(), Params: params}
}

// sign makes the decision that the executor demands, for exactly this action.
func (a *Agent) sign(r store.PolicyRequest, purpose, verdict string, action policy.Action, approver, version string, now time.Time) (*signature, error) {
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // never fails
	ttl := envelopeTTL
	if purpose == policy.Undo {
		ttl = undoTTL
	}
	expires := now.Add(ttl).Truncate(time.Microsecond)
	raw, err := policy.Sign(policy.Envelope{
		DecisionID: r.ID, ActionID: r.ActionID, Digest: action.Digest(), IncidentID: r.IncidentID, Decision: verdict, Purpose: purpose,
		PolicyVersion: version, Proposer: r.Proposer, Approver: approver, Audience: policy.AudienceExecutor,
		Nonce: hex.EncodeToString(nonce[:]), Issued: now.UnixMicro(), Expires: expires.UnixMicro(),
	}, a.o.Key)
	if err != nil {
		return nil, err
	}
	return &signature{raw, KeyID(a.o.Key), expires}, nil
}

// input gathers what rules may look at. why says that the purpose that the request claims is not true: an action that
// escapes the budgets must be what it says.
func (a *Agent) input(ctx context.Context, r store.PolicyRequest, p policy.Proposal, now time.Time) (in policy.Input, why string, err error) {
	state, err := a.o.Store.Desired(ctx)
	if err != nil {
		return in, "", err
	}
	rules := a.o.Rules()
	in = policy.Input{
		ActionID: r.ActionID, Action: p.Action.Type, Params: p.Action.Params, Touches: incident.Touches(p.Action.Type, p.Action.Params),
		Purpose: p.Purpose, IncidentID: r.IncidentID, IncidentType: p.IncidentType, Target: p.Target, Fingerprint: p.Fingerprint,
		Mode: string(state.Mode), Profile: rules.Config.Profile, Proposer: r.Proposer, DryRun: p.DryRun,
		Freeze: state.Settings[policy.SettingFreeze].Value == "true", Paused: state.Settings[policy.SettingPaused].Value == "true",
		Holds: holds(state), Hour: now.UTC().Hour(),
	}
	if a.o.Unhealthy != nil {
		in.Unhealthy = a.o.Unhealthy()
	}
	uses, err := a.uses(ctx, r.IncidentID, now)
	if err != nil {
		return in, "", err
	}
	in.Limit = rules.Config.Limits.Check(r.ActionID, in.Action, in.Touches, p.Cooldown, uses, now)
	why, err = a.purpose(ctx, r, p)
	return in, why, err
}

// holds names the settings that people hold, as actions name what they touch.
func holds(state store.State) (out []string) {
	for name, s := range state.Settings {
		if s.HeldBy == "" {
			continue
		}
		if agent, _, is := store.AgentOf(name); is {
			name = "agent:" + agent
		}
		out = append(out, name)
	}
	return out
}

// maxUses bounds what a day's budget is counted from; more than that is over any budget.
const maxUses = 2000

// uses are the forward actions of the last day, and those that are allowed and may be executed at any moment.
func (a *Agent) uses(ctx context.Context, incidentID string, now time.Time) ([]policy.Use, error) {
	rows, err := a.o.Store.Actions(ctx, store.ActionFilter{ExecutedSince: now.Add(-24 * time.Hour), OrAllowed: true, ForwardOnly: true}, "", maxUses)
	if err != nil {
		return nil, err
	}
	out := make([]policy.Use, 0, len(rows))
	for _, row := range rows {
		var params map[string]string
		if err := json.Unmarshal(row.Params, &params); err != nil {
			return nil, fmt.Errorf("governance: parameters of action %s: %w", row.ID, err)
		}
		u := policy.Use{
			ActionID: row.ID, Action: row.Type, Touches: incident.Touches(row.Type, params), At: row.ExecutedAt, EndedAt: row.FinishedAt,
			Held: row.Result != string(incident.Undone) && row.Result != string(incident.NotHeld),
		}
		if u.At.IsZero() {
			u.At = row.ProposedAt
		}
		if row.IncidentID == incidentID && u.EndedAt.IsZero() {
			// What its own incident has under way is what this action is a part of: it doesn't stand in its way.
			u.EndedAt, u.Held = u.At, true
		}
		out = append(out, u)
	}
	return out, nil
}

// purpose checks the claims that free an action of the budgets.
func (a *Agent) purpose(ctx context.Context, r store.PolicyRequest, p policy.Proposal) (why string, err error) {
	switch p.Purpose {
	case policy.Forward:
		return "", nil
	case policy.Restore:
		if p.Action.Type != incident.DisableSafeMode {
			return p.Action.Type + " restores nothing", nil
		}
		return "", nil
	case policy.Undo:
		row, err := a.o.Store.Action(ctx, p.Undoes)
		if errors.Is(err, store.ErrNotFound) {
			return "there is no action " + p.Undoes + " to undo", nil
		}
		if err != nil {
			return "", err
		}
		var inverse policy.Action
		if json.Unmarshal(row.Inverse, &inverse) != nil || row.IncidentID != r.IncidentID || inverse.Digest() != r.Digest {
			return "it is not the inverse of " + p.Undoes, nil
		}
		return "", nil
	}
	return fmt.Sprintf("there is no purpose %q", p.Purpose), nil
}

package governance

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"aura/healing/policy"
	"aura/healing/strict"
	"aura/store"
)

// Decide is a person's decision about a request that waits for one: APPROVED or DENIED. Errors: store.ErrNotFound; the
// policy package's ErrRole, ErrSelfApproval, ErrAgentDecides, ErrNoName; *store.Refused late where it is decided, withdrawn
// or expired, or doesn't wait for a person; nothing has changed then.
func (a *Agent) Decide(ctx context.Context, p policy.Principal, requestID, verdict, reason string) (store.PolicyDecision, error) {
	if verdict != policy.Approved && verdict != policy.Denied {
		return store.PolicyDecision{}, &store.Refused{Code: store.CodeInvalid, Reason: "decide APPROVED or DENIED"}
	}
	return a.ruling(ctx, p, requestID, verdict, reason, nil)
}

// Modify approves a request with narrower parameters: exactly the action with those is signed. Errors as Decide, and
// *policy.NarrowError.
func (a *Agent) Modify(ctx context.Context, p policy.Principal, requestID string, params map[string]string, reason string) (store.PolicyDecision, error) {
	return a.ruling(ctx, p, requestID, policy.Modified, reason, params)
}

func (a *Agent) ruling(ctx context.Context, p policy.Principal, requestID, verdict, reason string, params map[string]string) (store.PolicyDecision, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r, err := a.o.Store.Request(ctx, requestID)
	if err != nil {
		return store.PolicyDecision{}, err
	}
	if err := p.MayDecide(r.Proposer); err != nil {
		return store.PolicyDecision{}, err
	}
	if r.Status == store.RequestPending {
		return store.PolicyDecision{}, &store.Refused{Code: store.CodeLate, Reason: "request " + r.ID + " is decided by rule, not by a person"}
	}
	now := a.o.Now()
	if err := a.late(ctx, r, now); err != nil {
		return store.PolicyDecision{}, err
	}
	row := store.PolicyDecision{RequestID: r.ID, Verdict: verdict, Rule: "person", Reason: reason, By: p.Name, DecidedAt: now}
	inputs := map[string]any{"principal": p, "reason": reason}
	if verdict != policy.Denied {
		said, err := proposal(r)
		if err != nil {
			return store.PolicyDecision{}, &store.Refused{Code: store.CodeInvalid, Reason: err.Error()}
		}
		action := said.Action
		if verdict == policy.Modified {
			if action, err = policy.Narrow(said, params); err != nil {
				return store.PolicyDecision{}, err
			}
			inputs["modified"], row.Action = action, modifiedAction(action)
		}
		signed, err := a.sign(r, said.Purpose, verdict, action, p.Name, a.o.Rules().Policy.Version(), now)
		if err != nil {
			return store.PolicyDecision{}, fmt.Errorf("governance: sign: %w", err)
		}
		row.Envelope, row.Key, row.ExpiresAt = signed.raw, signed.key, signed.expires
	}
	if row.Inputs, err = json.Marshal(inputs); err != nil {
		return store.PolicyDecision{}, fmt.Errorf("governance: decision: %w", err)
	}
	saved, err := a.o.Store.DecideRequest(ctx, row)
	if err != nil {
		return store.PolicyDecision{}, err
	}
	a.o.Log.Info("policy decision", "request", r.ID, "verdict", verdict, "by", p.Name)
	a.announce(ctx, saved)
	return saved, nil
}

// late refuses a person whose word comes after a request has expired, whether its denial is on record yet or not. What was
// decided in time is the store's to refuse.
func (a *Agent) late(ctx context.Context, r store.PolicyRequest, now time.Time) error {
	if !expired(r, now) {
		return nil
	}
	if r.Status != store.RequestEscalated {
		said, err := a.o.Store.PolicyDecisions(ctx, store.DecisionFilter{RequestIDs: []string{r.ID}, FinalOnly: true}, 0, 1)
		if err != nil || len(said) == 0 || said[0].Rule != ruleExpired {
			return err
		}
	}
	return &store.Refused{Code: store.CodeLate, Reason: fmt.Sprintf(
		"request %s expired at %s: nobody decided in time, so it is denied", r.ID, r.ExpiresAt.Format(time.RFC3339))}
}

// Pause turns the kill switch on or off: while it is on no forward action is allowed or executed. Undo and leaving safe
// mode go on. It needs an operator.
func (a *Agent) Pause(ctx context.Context, p policy.Principal, on bool, reason string) error {
	return a.set(ctx, p, policy.SettingPaused, on, reason)
}

// Freeze turns a change freeze on or off.
func (a *Agent) Freeze(ctx context.Context, p policy.Principal, on bool, reason string) error {
	return a.set(ctx, p, policy.SettingFreeze, on, reason)
}

func (a *Agent) set(ctx context.Context, p policy.Principal, setting string, on bool, reason string) error {
	if p.Name == "" {
		return policy.ErrNoName
	}
	if p.Agent || !p.Has(policy.Operator) {
		return policy.ErrRole
	}
	_, err := a.o.Store.Set(ctx, store.Change{Setting: setting, Value: fmt.Sprint(on), By: p.Name, Reason: reason, Person: true})
	return err
}

// Principals are the people of a deployment, found by their token.
type Principals struct{ known []principal }

type principal struct {
	policy.Principal
	hash []byte
}

// ErrUnknownPrincipal is a token that belongs to nobody.
var ErrUnknownPrincipal = errors.New("governance: nobody has this token")

// ParsePrincipals reads a YAML list of {name, roles, token_sha256}: the SHA-256 of each token in hex.
func ParsePrincipals(raw []byte) (*Principals, error) {
	var list []struct {
		Name  string        `yaml:"name"`
		Roles []policy.Role `yaml:"roles"`
		Token string        `yaml:"token_sha256"`
	}
	if err := strict.Decode(raw, &list); err != nil {
		var form *strict.Error
		errors.As(err, &form)
		return nil, fmt.Errorf("principals%s: %s; %s", form.Field, form.Problem, form.Remedy)
	}
	if len(list) == 0 {
		return nil, errors.New("principals: nobody; give at least one person")
	}
	out := &Principals{}
	for i, e := range list {
		hash, err := hex.DecodeString(e.Token)
		switch {
		case e.Name == "" || e.Name == Name || e.Name == "healing":
			return nil, fmt.Errorf("principals[%d].name: %q; give each person a name of their own, other than the agents'", i, e.Name)
		case slices.ContainsFunc(out.known, func(p principal) bool { return p.Name == e.Name }):
			return nil, fmt.Errorf("principals[%d].name: %s stands there twice", i, e.Name)
		case err != nil || len(hash) != sha256.Size:
			return nil, fmt.Errorf("principals[%d].token_sha256: not a SHA-256 in hex; `printf %%s TOKEN | sha256sum` makes one", i)
		}
		for _, r := range e.Roles {
			if !slices.Contains([]policy.Role{policy.Viewer, policy.Operator, policy.Approver, policy.Admin, policy.Ingest}, r) {
				return nil, fmt.Errorf("principals[%d].roles: %q; give viewer, operator, approver, admin or ingest", i, r)
			}
		}
		out.known = append(out.known, principal{policy.Principal{Name: e.Name, Roles: e.Roles}, hash})
	}
	return out, nil
}

// Of is who has the token. With nobody set up (nil) everybody is local: only loopback reaches such a process.
func (p *Principals) Of(token string) (policy.Principal, error) {
	if p == nil {
		return policy.LocalPrincipal(), nil
	}
	sum := sha256.Sum256([]byte(token))
	for _, k := range p.known {
		if subtle.ConstantTimeCompare(sum[:], k.hash) == 1 {
			return k.Principal, nil
		}
	}
	return policy.Principal{}, ErrUnknownPrincipal
}

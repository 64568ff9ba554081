package healing

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"aura/healing/incident"
	"aura/healing/policy"
	"aura/store"
)

// What a step writes: rows of the incident, its actions, requests, memories and audit entries.

func rowOf(in incident.Incident, version int64) store.IncidentRow {
	document := encode(in)
	if in.State == incident.Cancelled && in.DetectedAt.IsZero() {
		// A suspicion that was never confirmed has ended, and recovered from nothing: who takes resolved_at minus
		// detected_at for a recovery must not count it.
		in.ResolvedAt = time.Time{}
	}
	return store.IncidentRow{
		ID: in.ID, Type: in.Kind, Status: string(in.Status), State: string(in.State), Fingerprint: in.Fingerprint, Target: in.Target,
		OnsetAt: in.OnsetAt, DetectedAt: in.Detected(), ResolvedAt: in.ResolvedAt, Degraded: in.Degraded, RestoredAt: in.RestoredAt,
		Version: version, Document: document,
	}
}

// encode marshals plain values, whose numbers the incident machine has checked. Nothing is escaped that JSON doesn't
// demand: a signed decision inside must come back byte for byte.
func encode(v any) json.RawMessage {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("healing: a plain value doesn't marshal: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// actionRows adds to w the rows of actions that changed since they were saved, and returns their texts.
func (c *core) actionRows(e *entry, out incident.Incident, w *store.IncidentWrites) map[string]string {
	changed := map[string]string{}
	add := func(r store.ActionRow) {
		if text := string(encode(r)); e.saved[r.ID] != text {
			changed[r.ID] = text
			w.Actions = append(w.Actions, r)
		}
	}
	for _, a := range out.Actions {
		if a.Digest == "" && a.Result == "" {
			continue // not asked for yet: what it is exactly isn't known
		}
		add(actionRow(out.ID, a))
		if a.Undo != nil && a.Inverse != nil {
			add(undoRow(out.ID, a))
		}
	}
	return changed
}

func actionRow(incidentID string, a incident.Action) store.ActionRow {
	r := store.ActionRow{
		ID: a.ID, IncidentID: incidentID, Type: a.Type, Target: target(a.Type, a.Params), Rung: a.Rung,
		// Leaving safe mode is the inverse of entering it and uses no budget either.
		Undo:   a.Purpose != incident.Forward,
		Params: encode(orEmpty(a.Params)), Inverse: encode(a.Inverse), Digest: a.Digest, AGLDecision: a.AGL,
		ProposedAt: a.ProposedAt, ExecutedAt: a.ExecutedAt, FinishedAt: a.EndedAt, Result: string(a.Result), Document: encode(a),
	}
	if a.Undo != nil && a.Undo.OK {
		r.UndoneAt = a.Undo.EndedAt
	}
	return r
}

// undoRow is the undo of an action as an action of its own.
func undoRow(incidentID string, a incident.Action) store.ActionRow {
	u := a.Undo
	r := store.ActionRow{
		ID: u.ID, IncidentID: incidentID, Type: a.Inverse.Type, Target: target(a.Inverse.Type, a.Inverse.Params), Rung: a.Rung, Undo: true,
		Params: encode(orEmpty(a.Inverse.Params)), Inverse: encode(nil), Digest: undoAction(a).Digest(), AGLDecision: u.AGL,
		ProposedAt: u.AskedAt, FinishedAt: u.EndedAt, Document: encode(u),
	}
	switch {
	case u.OK:
		r.Result = string(incident.Undone)
	case !u.EndedAt.IsZero():
		r.Result = string(incident.ErrorResult)
	}
	return r
}

// target is the setting that an action changes.
func target(kind string, params map[string]string) string {
	if t := incident.Touches(kind, params); len(t) > 0 {
		return t[0]
	}
	return ""
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// policyAction is the form of an action that is signed.
func policyAction(a incident.Action) policy.Action {
	out := policy.Action{Type: a.Type, Params: a.Params}
	if a.Inverse != nil {
		out.Inverse = &policy.Action{Type: a.Inverse.Type, Params: a.Inverse.Params}
	}
	return out
}

// undoAction is the inverse as the action that takes a back; it has no inverse of its own.
func undoAction(a incident.Action) policy.Action {
	return policy.Action{Type: a.Inverse.Type, Params: a.Inverse.Params}
}

// prepare works out what the effects write, and what answers them at once. It may fill in the parameters of an action that
// is about to be proposed.
func (c *core) prepare(ctx context.Context, out *incident.Incident, fx []incident.Effect) (w store.IncidentWrites, follow []pending, err error) {
	for _, f := range fx {
		switch f.Type {
		case incident.FxPolicy:
			more, err := c.ask(ctx, out, f, &w)
			if err != nil {
				return w, nil, err
			}
			follow = append(follow, more...)
		case incident.FxWithdraw:
			w.Withdraw = append(w.Withdraw, f.RequestID)
		case incident.FxRemember:
			w.Memories = append(w.Memories, memoryRow(*out, f))
		case incident.FxLog:
			w.Audit = append(w.Audit, store.AuditEntry{
				At: f.Entry.At, Actor: Name, Kind: "incident.step", Subject: out.ID, Detail: encode(f.Entry),
			})
		}
	}
	return w, follow, nil
}

// ask makes the row of a policy request, unless it is there; then what was answered follows.
func (c *core) ask(ctx context.Context, out *incident.Incident, f incident.Effect, w *store.IncidentWrites) ([]pending, error) {
	if _, err := c.o.Store.Request(ctx, f.RequestID); err == nil {
		return c.answers(ctx, *out)
	} else if !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	i := slices.IndexFunc(out.Actions, func(a incident.Action) bool { return a.ID == f.Action.ID })
	if i < 0 {
		return nil, fmt.Errorf("incident %s has no action %s", out.ID, f.Action.ID)
	}
	a := &out.Actions[i]
	if f.Undoes != "" {
		w.Requests = append(w.Requests, c.request(*out, f, undoAction(*a), a.Undo.ID, a.Undo.Reason))
		return nil, nil
	}
	refused, err := c.complete(ctx, *out, a, f)
	var later *Later
	if errors.As(err, &later) {
		return nil, nil // the machine asks again, until its deadline
	}
	if err != nil {
		return nil, err
	}
	if refused != nil {
		ev := incident.Event{Type: incident.EvRefused, At: c.o.Now(), ActionID: a.ID, Reason: refused.Reason, Until: refused.Until}
		return []pending{{out.ID, ev}}, nil
	}
	w.Requests = append(w.Requests, c.request(*out, f, policyAction(*a), a.ID, out.Reason))
	return nil, nil
}

// complete tests the preconditions of an action and fills in its parameters, inverse and digest, once.
func (c *core) complete(ctx context.Context, in incident.Incident, a *incident.Action, f incident.Effect) (refused *Refused, err error) {
	for _, fact := range f.Requires {
		holds, why, err := c.fact(ctx, fact, in)
		if err != nil {
			return nil, err
		}
		if !holds {
			return &Refused{Reason: "it needs " + fact + ": " + why}, nil
		}
	}
	if a.Digest != "" {
		return nil, nil // asked for again: the very same
	}
	params, inverse, err := c.resolver.resolve(ctx, in, *a)
	if errors.As(err, &refused) {
		return refused, nil
	}
	if err != nil {
		return nil, fmt.Errorf("parameters of %s: %w", a.ID, err)
	}
	a.Params, a.Inverse = params, inverse
	a.Digest = policyAction(*a).Digest()
	return nil, nil
}

func (c *core) fact(ctx context.Context, name string, in incident.Incident) (bool, string, error) {
	if holds, known := in.Signal.Facts[name]; known {
		return holds, "the signal says no", nil
	}
	if c.o.Facts == nil {
		return false, "nobody can tell", nil
	}
	return c.o.Facts.Fact(ctx, name, in)
}

func (c *core) request(in incident.Incident, f incident.Effect, a policy.Action, actionID, why string) store.PolicyRequest {
	p := policy.Proposal{
		Action: a, Purpose: string(f.Purpose), Undoes: f.Undoes, IncidentType: in.Kind, Target: in.Target, Fingerprint: in.Fingerprint,
		Cooldown: f.Cooldown, Why: why, DryRun: in.DryRun,
	}
	if f.Undoes == "" {
		p.Bounds.ExecuteWithin, p.Bounds.VerifyWithin, p.Bounds.Dwell = in.Bounds(*f.Action)
	}
	now := c.o.Now()
	return store.PolicyRequest{
		ID: f.RequestID, IncidentID: in.ID, ActionID: actionID, ActionType: a.Type, Target: target(a.Type, a.Params),
		Proposer: principal, Digest: a.Digest(), Action: encode(p), CreatedAt: now, ExpiresAt: now.Add(c.o.ApprovalTTL),
	}
}

package app

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"aura/healing/policy"
	"aura/store"
	"aura/web/api"
)

// approvalDesk is what people's decisions need of governance: it judges the person, signs and keeps the verdict.
// Its refusals are *store.Refused (late) and policy's errors of principals.
type approvalDesk interface {
	Decide(ctx context.Context, by policy.Principal, requestID string, r api.Ruling) error
}

// approvalsBackend answers for policy requests. desk is nil where no governance runs here.
type approvalsBackend struct {
	store   *store.Store
	keyFile string // of the key that governance signs with
	desk    approvalDesk
}

// Approvals implements api.Approvals.
func (b *approvalsBackend) Approvals(ctx context.Context, decided bool, limit int, cursor string) (api.List[api.Approval], error) {
	if decided {
		return b.decided(ctx, limit, cursor)
	}
	rows, err := b.store.PendingRequests(ctx, limit)
	if err != nil {
		return api.List[api.Approval]{}, refusal(err)
	}
	list := api.List[api.Approval]{Items: make([]api.Approval, len(rows))}
	ids := make([]string, len(rows))
	for i, r := range rows {
		list.Items[i], ids[i] = approvalOf(r), r.ID
	}
	if len(ids) == 0 {
		return list, nil
	}
	// Why a request was handed to a person is in the verdict that did so.
	handed, err := b.store.PolicyDecisions(ctx, store.DecisionFilter{RequestIDs: ids}, 0, len(ids))
	if err != nil {
		return list, refusal(err)
	}
	for i := range list.Items {
		for _, d := range handed {
			if d.RequestID == list.Items[i].RequestID {
				list.Items[i].Rule, list.Items[i].Reason = d.Rule, d.Reason
			}
		}
	}
	return list, nil
}

// decided lists final verdicts; the cursor is the id of the last one shown.
func (b *approvalsBackend) decided(ctx context.Context, limit int, cursor string) (api.List[api.Approval], error) {
	before, err := number(cursor)
	if err != nil {
		return api.List[api.Approval]{}, err
	}
	verdicts, err := b.store.PolicyDecisions(ctx, store.DecisionFilter{FinalOnly: true}, int64(before), limit+1)
	if err != nil {
		return api.List[api.Approval]{}, refusal(err)
	}
	open, err := b.seals(ctx)
	if err != nil {
		return api.List[api.Approval]{}, refusal(err)
	}
	list := api.List[api.Approval]{Items: make([]api.Approval, 0, min(limit, len(verdicts)))}
	for i, d := range verdicts {
		if i == limit {
			list.NextCursor = strconv.FormatInt(verdicts[limit-1].ID, 10)
			break
		}
		r, err := b.store.Request(ctx, d.RequestID)
		if err != nil {
			return list, refusal(err)
		}
		list.Items = append(list.Items, genuine(decidedApproval(r, d), d, open))
	}
	return list, nil
}

// maxKeys bounds how many rotations of the key are looked back at.
const maxKeys = 1000

// seals opens signed decisions with the keys that are on record.
func (b *approvalsBackend) seals(ctx context.Context) (func(raw []byte) (store.Seal, error), error) {
	known, err := b.store.Audit(ctx, store.AuditFilter{Kind: store.KindPublicKey}, 0, maxKeys)
	if err != nil {
		return nil, err
	}
	publics := map[string][]byte{}
	for _, e := range known {
		var d struct{ Public []byte }
		if json.Unmarshal(e.Detail, &d) == nil {
			publics[e.Subject] = d.Public
		}
	}
	return func(raw []byte) (store.Seal, error) { return openSeal(b.keyFile, raw, publics) }, nil
}

// genuine shows as INVALID what the row says was approved and nobody signed so.
func genuine(a api.Approval, d store.PolicyDecision, open func([]byte) (store.Seal, error)) api.Approval {
	if d.Verdict != store.AGLApproved && d.Verdict != store.AGLModified {
		return a
	}
	s, err := open(d.Envelope)
	switch {
	case err != nil:
		a.Status, a.Reason = "INVALID", "the row says "+d.Verdict+" and its signed decision doesn't hold: "+err.Error()
	case s.RequestID != d.RequestID || s.ActionID != d.ActionID || s.Verdict != d.Verdict:
		a.Status, a.Reason = "INVALID", "the row says "+d.Verdict+" and what is signed is "+s.Verdict+" about "+s.ActionID
	}
	return a
}

// Decide implements api.Approvals.
func (b *approvalsBackend) Decide(ctx context.Context, id string, r api.Ruling, by api.Principal) (api.Approval, error) {
	_, err := b.store.Request(ctx, id)
	if err != nil {
		return api.Approval{}, notFoundOr(err, "no policy request has this id; GET /api/v1/approvals lists those that wait")
	}
	if b.desk == nil {
		return api.Approval{}, api.RefuseUnavailable("no governance agent runs in this process", retryAfter, nil)
	}
	if err := b.desk.Decide(ctx, principalOf(by), id, r); err != nil {
		return api.Approval{}, deskRefusal(err)
	}
	request, err := b.store.Request(ctx, id)
	if err != nil {
		return api.Approval{}, refusal(err)
	}
	verdicts, err := b.store.PolicyDecisions(ctx, store.DecisionFilter{RequestIDs: []string{id}, FinalOnly: true}, 0, 1)
	if err != nil || len(verdicts) == 0 {
		return approvalOf(request), err
	}
	return decidedApproval(request, verdicts[0]), nil
}

func principalOf(p api.Principal) policy.Principal {
	out := policy.Principal{Name: p.Name}
	for _, r := range p.Roles {
		out.Roles = append(out.Roles, policy.Role(r))
	}
	return out
}

func approvalOf(r store.PolicyRequest) api.Approval {
	a := api.Approval{
		RequestID: r.ID, IncidentID: r.IncidentID, ActionID: r.ActionID, ActionType: r.ActionType, Target: r.Target, Digest: r.Digest,
		Proposer: r.Proposer, Status: r.Status, CreatedAt: r.CreatedAt, ExpiresAt: r.ExpiresAt,
	}
	if a.Status == "" {
		a.Status = store.RequestPending
	}
	var proposal struct {
		Action policy.Action `json:"action"`
		Bounds policy.Bounds `json:"bounds"`
		Why    string        `json:"why"`
	}
	if json.Unmarshal(r.Action, &proposal) != nil {
		return a
	}
	action := proposal.Action
	a.Params, a.Bounds, a.Reason = action.Params, proposal.Bounds.Texts(), proposal.Why
	if action.Inverse != nil {
		a.Inverse = action.Inverse.Type
	}
	return a
}

func decidedApproval(r store.PolicyRequest, d store.PolicyDecision) api.Approval {
	a := approvalOf(r)
	a.Status, a.Rule, a.Reason, a.DecidedBy, a.DecidedAt = d.Verdict, d.Rule, d.Reason, d.By, d.DecidedAt
	var said struct {
		Modified *policy.Action `json:"modified"`
	}
	if d.Verdict == store.AGLModified && json.Unmarshal(d.Inputs, &said) == nil && said.Modified != nil {
		a.Params, a.Digest = said.Modified.Params, said.Modified.Digest()
	}
	return a
}

// deskRefusal turns what governance says of a person's decision into the API's words.
func deskRefusal(err error) error {
	var narrow *policy.NarrowError
	if errors.As(err, &narrow) {
		return api.RefuseFields(api.Field{Field: "params." + narrow.Param, Problem: narrow.Problem})
	}
	for _, mine := range []error{policy.ErrRole, policy.ErrSelfApproval, policy.ErrAgentDecides, policy.ErrNoName} {
		if errors.Is(err, mine) {
			return api.Refuse(api.Forbidden, "%s", strings.TrimPrefix(mine.Error(), "policy: "))
		}
	}
	return notFoundOr(err, "no policy request has this id")
}

func notFoundOr(err error, detail string) error {
	if errors.Is(err, store.ErrNotFound) {
		return api.Refuse(api.NotFound, "%s", detail)
	}
	return refusal(err)
}

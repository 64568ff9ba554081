package store

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm/clause"
)

type storedRequest struct {
	RequestID  string `gorm:"primaryKey"`
	IncidentID string
	ActionID   string
	ActionType string
	Target     string
	Proposer   string
	Digest     string
	Document   string
	Status     string
	CreatedAt  int64 `gorm:"autoCreateTime:false"`
	ExpiresAt  int64
}

func (storedRequest) TableName() string { return "policy_requests" }

// digest is that of the row as it was asked, whatever became of it.
func (r storedRequest) digest() string {
	r.Status = ""
	return rowDigest(r)
}

func (r *storedRequest) value() PolicyRequest {
	return PolicyRequest{
		ID: r.RequestID, IncidentID: r.IncidentID, ActionID: r.ActionID, ActionType: r.ActionType, Target: r.Target,
		Proposer: r.Proposer, Digest: r.Digest, Action: document(r.Document), Status: r.Status,
		CreatedAt: fromMicros(r.CreatedAt), ExpiresAt: fromMicros(r.ExpiresAt),
	}
}

type storedVerdict struct {
	ID         int64 `gorm:"primaryKey"`
	RequestID  string
	IncidentID string
	ActionID   string
	Verdict    string
	Rule       string
	Reason     string
	DecidedBy  string
	Inputs     string
	Envelope   []byte
	DecidedAt  int64
	ExpiresAt  int64
}

func (storedVerdict) TableName() string { return "policy_decisions" }

func (r *storedVerdict) value() PolicyDecision {
	return PolicyDecision{
		ID: r.ID, RequestID: r.RequestID, IncidentID: r.IncidentID, ActionID: r.ActionID, Verdict: r.Verdict, Rule: r.Rule,
		Reason: r.Reason, By: r.DecidedBy, Inputs: document(r.Inputs), Envelope: r.Envelope, DecidedAt: fromMicros(r.DecidedAt),
		ExpiresAt: fromMicros(r.ExpiresAt),
	}
}

// PutRequest keeps a request of the healing agent; the same id again changes nothing. SaveIncident does it together with
// the incident. *Refused stale_epoch.
func (s *Store) PutRequest(ctx context.Context, epoch int64, r PolicyRequest) error {
	return s.w.do(ctx, func(t *tx) error {
		if err := t.holds(LeaseHealing, epoch); err != nil {
			return err
		}
		return t.putRequest(r, time.Now())
	})
}

func (t *tx) putRequest(r PolicyRequest, now time.Time) error {
	if r.ID == "" || r.ActionID == "" || r.Digest == "" || r.Proposer == "" {
		return refuse(CodeInvalid, "a policy request needs an id, an action, its digest and a proposer")
	}
	if r.CreatedAt.IsZero() {
		r.CreatedAt = now
	}
	row := storedRequest{
		r.ID, r.IncidentID, r.ActionID, r.ActionType, r.Target, r.Proposer, r.Digest, text(r.Action), RequestPending,
		micros(r.CreatedAt), micros(r.ExpiresAt),
	}
	res := t.db.Clauses(clause.OnConflict{DoNothing: true}).Create(&row)
	if res.Error != nil || res.RowsAffected == 0 {
		return res.Error
	}
	// An action that is asked for again waits again.
	if err := t.w.exec("UPDATE healing_actions SET agl_decision = 'PENDING' WHERE action_id = ?", r.ActionID); err != nil {
		return err
	}
	return t.record(now, r.Proposer, "policy.requested", r.ID, map[string]any{
		"incident": r.IncidentID, "action": r.ActionID, "type": r.ActionType, "target": r.Target, "digest": r.Digest,
		"row": row.digest(),
	})
}

// withdraw ends a request that is undecided; another one stays as it is.
func (t *tx) withdraw(id string, now time.Time) error {
	var action string
	found, err := t.w.row("UPDATE policy_requests SET status = 'WITHDRAWN' WHERE request_id = ? AND "+
		"status IN ('PENDING', 'ESCALATED') RETURNING action_id", []any{id}, &action)
	if err != nil || !found {
		return err
	}
	return t.record(now, LeaseHealing, "policy.withdrawn", id, map[string]any{"action": action})
}

// DecideRequest keeps a verdict, if the request is undecided still, and shows it in the action's agl_decision. ESCALATED
// hands the request to a person, once; any other verdict is final. An approval at or after the request's ExpiresAt is
// refused; only DENIED can follow. What is signed with another key than the one in force is refused too: two processes with
// different keys never both decide. *Refused late, key, ErrNotFound.
func (s *Store) DecideRequest(ctx context.Context, d PolicyDecision) (PolicyDecision, error) {
	verdicts := []string{AGLApproved, AGLDenied, AGLModified, AGLEscalated}
	if !slices.Contains(verdicts, d.Verdict) || d.By == "" {
		return PolicyDecision{}, refuse(CodeInvalid, "a verdict is one of %s, by somebody", strings.Join(verdicts, ", "))
	}
	if (d.Verdict == AGLModified) != (d.Action != nil) || d.Action != nil && d.Action.Digest == "" {
		return PolicyDecision{}, refuse(CodeInvalid, "MODIFIED, and only that, says what the action becomes")
	}
	d.Envelope = append([]byte{}, d.Envelope...)
	return write(ctx, s, func(t *tx) (PolicyDecision, error) {
		if d.Epoch != 0 {
			if err := t.holds(LeaseGovernance, d.Epoch); err != nil {
				return PolicyDecision{}, err
			}
		}
		now := time.Now()
		if d.DecidedAt.IsZero() {
			d.DecidedAt = now
		}
		var rows []storedRequest
		if err := t.db.Where("request_id = ?", d.RequestID).Limit(1).Find(&rows).Error; err != nil {
			return PolicyDecision{}, err
		}
		if len(rows) == 0 {
			return PolicyDecision{}, ErrNotFound
		}
		r := rows[0].value()
		if err := r.takes(d); err != nil {
			return PolicyDecision{}, err
		}
		if err := t.signedInForce(d); err != nil {
			return PolicyDecision{}, err
		}
		return t.decideRequest(r, d, now)
	})
}

// takes refuses what comes too late for the request.
func (r PolicyRequest) takes(d PolicyDecision) error {
	expired := !r.ExpiresAt.IsZero() && !d.DecidedAt.Before(r.ExpiresAt)
	switch {
	case r.Status != RequestPending && r.Status != RequestEscalated:
		return refuse(CodeLate, "request %s is %s already", r.ID, strings.ToLower(r.Status))
	case r.Status == RequestEscalated && d.Verdict == AGLEscalated:
		return refuse(CodeLate, "request %s waits for a person already", r.ID)
	case expired && d.Verdict != AGLDenied:
		return refuse(CodeLate, "request %s expired at %s", r.ID, r.ExpiresAt.Format(time.RFC3339))
	}
	return nil
}

func (t *tx) decideRequest(r PolicyRequest, d PolicyDecision, now time.Time) (PolicyDecision, error) {
	row := storedVerdict{
		0, r.ID, r.IncidentID, r.ActionID, d.Verdict, d.Rule, d.Reason, d.By, text(d.Inputs), d.Envelope, micros(d.DecidedAt),
		micros(d.ExpiresAt),
	}
	if err := t.db.Create(&row).Error; err != nil {
		return PolicyDecision{}, err
	}
	if err := t.w.exec("UPDATE policy_requests SET status = ? WHERE request_id = ?", d.Verdict, r.ID); err != nil {
		return PolicyDecision{}, err
	}
	if err := t.w.exec("UPDATE healing_actions SET agl_decision = ? WHERE action_id = ?", d.Verdict, r.ActionID); err != nil {
		return PolicyDecision{}, err
	}
	digest := r.Digest
	if d.Action != nil {
		digest = d.Action.Digest
		err := t.w.exec("UPDATE healing_actions SET digest = ?, params = ? WHERE action_id = ?", digest, text(d.Action.Params), r.ActionID)
		if err != nil {
			return PolicyDecision{}, err
		}
	}
	return row.value(), t.record(now, d.By, "policy."+strings.ToLower(d.Verdict), r.ID, map[string]any{
		"incident": r.IncidentID, "action": r.ActionID, "digest": digest, "rule": d.Rule, "reason": d.Reason,
		"inputs": json.RawMessage(row.Inputs), "decided_at": row.DecidedAt, "expires_at": row.ExpiresAt,
	})
}

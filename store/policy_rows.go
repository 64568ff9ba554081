package store

import (
	"encoding/json"
	"time"
)

// The statuses of a request beyond the verdicts. RequestPending and RequestEscalated (waits for a person) are undecided.
const (
	RequestPending   = AGLPending
	RequestEscalated = AGLEscalated
	RequestWithdrawn = "WITHDRAWN"
)

// PolicyRequest asks for leave to execute one action.
type PolicyRequest struct {
	ID         string
	IncidentID string
	ActionID   string
	ActionType string
	Target     string
	// Proposer is the principal who asks; it may not approve.
	Proposer string
	// Digest binds the decision to Action, which is kept byte for byte.
	Digest string
	Action json.RawMessage
	// Status "" is PENDING.
	Status    string
	CreatedAt time.Time
	// ExpiresAt is when approval comes too late; zero for never.
	ExpiresAt time.Time
}

// PolicyDecision is a verdict about a request: final (APPROVED, DENIED, MODIFIED), or ESCALATED to a person before that.
type PolicyDecision struct {
	ID         int64
	RequestID  string
	IncidentID string
	ActionID   string
	Verdict    string
	// Rule is the one that fired, Inputs what it saw.
	Rule   string
	Reason string
	By     string
	Inputs json.RawMessage
	// Envelope is the signed decision, byte for byte; empty for ESCALATED. Key is the id of the key that it is signed with, which
	// must be the one in force when it is kept; it is not read back.
	Envelope  []byte
	Key       string
	DecidedAt time.Time
	// ExpiresAt is when the envelope ends; zero for none.
	ExpiresAt time.Time
	// Action is what a MODIFIED verdict makes of the action's row, in the same transaction. It is not read back: the row, and
	// Inputs, have it.
	Action *ModifiedAction
	// Epoch is that of governance's lease, under which rules decide; 0 for a person, who needs none. It is not read back.
	Epoch int64
}

// ModifiedAction is an action with other parameters than were proposed.
type ModifiedAction struct {
	Digest string
	Params json.RawMessage
}

// DecisionFilter selects verdicts; empty fields select all.
type DecisionFilter struct {
	RequestIDs           []string
	IncidentID, ActionID string
	// FinalOnly leaves ESCALATED out.
	FinalOnly bool
}

package store

import (
	"encoding/json"
	"time"
)

// The statuses of an incident; finer states are the incident machine's own words.
const (
	IncidentOpen       = "OPEN"
	IncidentMitigating = "MITIGATING"
	IncidentResolved   = "RESOLVED"
	IncidentFailed     = "FAILED"
)

// IncidentRow is an incident: what queries ask for as columns, and all of it as a document.
type IncidentRow struct {
	ID          string
	Type        string
	Status      string
	State       string
	Fingerprint string
	Target      string
	// Zero times are kept as NULL. DetectedAt must be set; ResolvedAt is that of a recovery: Status says whether it is open.
	// All are kept in whole microseconds, UTC.
	OnsetAt, DetectedAt, ResolvedAt time.Time
	// Degraded says that the service still decides in safe mode; RestoredAt when that was over.
	Degraded   bool
	RestoredAt time.Time
	// Version counts saves: what was loaded, 0 for a new incident. SaveIncident raises it.
	Version   int64
	UpdatedAt time.Time
	// Document is the whole incident as JSON.
	Document json.RawMessage
}

// The values of agl_decision.
const (
	AGLPending   = "PENDING"
	AGLApproved  = "APPROVED"
	AGLDenied    = "DENIED"
	AGLModified  = "MODIFIED"
	AGLEscalated = "ESCALATED"
)

// ActionRow is one action of an incident, executed or not.
type ActionRow struct {
	ID         string
	IncidentID string
	Type       string
	Target     string
	// Rung is its place in the playbook's ladder.
	Rung int
	// Undo marks the inverse of an earlier action; it uses no budget.
	Undo bool
	// Params and Inverse are kept byte for byte: Digest is over them.
	Params, Inverse json.RawMessage
	Digest          string
	// AGLDecision "" is kept as NULL: governance gave no decision, since it was never asked or the request was withdrawn.
	// Neither that nor a PENDING saved by the incident hides what governance has decided since.
	AGLDecision string
	// ExecutedAt is written by the transaction of the effect itself; the first one stands.
	ProposedAt, ExecutedAt, FinishedAt, UndoneAt time.Time
	Result                                       string
	Document                                     json.RawMessage
}

// Asked reports whether governance was asked: only what was complete has a digest, which the request is about.
func (r ActionRow) Asked() bool { return r.Digest != "" }

// IncidentWrites is what is committed together with an incident.
type IncidentWrites struct {
	Actions  []ActionRow
	Requests []PolicyRequest
	// Withdraw names requests that nobody needs to decide any more.
	Withdraw []string
	Memories []Memory
	// Answers names the request by a person that the step does, if any: where it was withdrawn nothing is saved (*Refused late).
	Answers string
	// Audit holds further records. Changes of state, proposals and results of actions are recorded without them.
	Audit []AuditEntry
}

// IncidentFilter selects incidents; empty fields select all.
type IncidentFilter struct {
	Status, Type, Target, Fingerprint string
	// DetectedSince leaves older ones out.
	DetectedSince time.Time
}

// ActionFilter selects actions; empty fields select all.
type ActionFilter struct {
	IncidentID, Target, AGLDecision string
	Types                           []string
	// ExecutedSince leaves out what was not executed, or earlier.
	ExecutedSince time.Time
	// OrAllowed adds those that are allowed and neither executed nor ended: they may be at any moment.
	OrAllowed bool
	// ForwardOnly leaves out undos.
	ForwardOnly bool
}

// Memory is the verified outcome of one action.
type Memory struct {
	ID         int64
	Kind       string
	Target     string
	ActionType string
	IncidentID string
	// ActionID is unique: an action's outcome is remembered once.
	ActionID string
	Healed   bool
	// Took is from execution to verdict.
	Took time.Duration
	// Document holds the numbers before and after.
	Document json.RawMessage
	At       time.Time
}

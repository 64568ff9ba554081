package policy

import (
	"slices"
	"time"
)

// Values of agl_decision.
const (
	Pending   = "PENDING"
	Approved  = "APPROVED"
	Denied    = "DENIED"
	Modified  = "MODIFIED"
	Escalated = "ESCALATED" // held for a person
)

// Purposes of an action. Undo and restore use no budget and are not stopped by a pause.
const (
	Forward = "FORWARD"
	Undo    = "UNDO"
	Restore = "RESTORE"
)

// Actions are the types of actions that are asked for.
var Actions = []string{
	"ENABLE_SAFE_MODE", "DISABLE_SAFE_MODE", "ROLLBACK_MODEL", "TRIGGER_RETRAINING", "PROMOTE_MODEL", "ACCEPT_REFERENCE",
	"RESTORE_REFERENCE", "RESTART_AGENT",
}

// Profiles.
const (
	Demo       = "demo"       // approves within budgets
	Supervised = "supervised" // each action to a person
	Off        = "off"        // the system only watches
)

// Input is all that a rule may look at. It is logged with the decision.
type Input struct {
	ActionID     string            `json:"action_id"`
	Action       string            `json:"action"`
	Params       map[string]string `json:"params"`
	Touches      []string          `json:"touches"` // settings that the action changes: mode, champion, agent:model ...
	Purpose      string            `json:"purpose"`
	IncidentID   string            `json:"incident_id"`
	IncidentType string            `json:"incident_type"`
	Target       string            `json:"target"` // of the incident
	Fingerprint  string            `json:"fingerprint"`
	Mode         string            `json:"mode"` // MODEL or SAFE_MODE
	Profile      string            `json:"profile"`
	Proposer     string            `json:"proposer"`
	DryRun       bool              `json:"dry_run"`
	Freeze       bool              `json:"freeze"`    // a change freeze
	Paused       bool              `json:"paused"`    // the kill switch
	Holds        []string          `json:"holds"`     // settings that a person holds
	Unhealthy    float64           `json:"unhealthy"` // share of agents that are not healthy, 0 to 1
	Hour         int               `json:"hour"`      // UTC
	Limit        Verdict           `json:"limit"`
}

// held reports whether a person holds what the action would change.
func (in Input) held() bool {
	return slices.ContainsFunc(in.Touches, func(s string) bool { return slices.Contains(in.Holds, s) })
}

// Decision is what the rules say, with all that made them say it.
type Decision struct {
	AGL     string    `json:"agl_decision"` // APPROVED, MODIFIED, DENIED or ESCALATED
	Rule    string    `json:"rule"`
	Reason  string    `json:"reason"`
	Version string    `json:"policy_version"`
	At      time.Time `json:"at"`
	Input   Input     `json:"input"`
	// Skipped names the rules before it that did not match, for the log's reader.
	Skipped []string `json:"skipped,omitempty"`
	// Modified is the action that a MODIFIED decision allows instead of the proposed one.
	Modified *Action `json:"modified,omitempty"`
	// RetryAt, with DENIED: it only says "not yet". With the limits of then the same rules would not deny the same request.
	RetryAt time.Time `json:"retry_at,omitzero"`

	modify map[string]string
}

// Apply makes a MODIFIED decision one about p: APPROVED where the rule asks for nothing that is narrower already. It
// returns the action that is allowed.
func (d *Decision) Apply(p Proposal) Action {
	if d.AGL != Modified {
		return p.Action
	}
	a, changed := Tighten(p, d.modify)
	if !changed {
		d.AGL = Approved
		return p.Action
	}
	d.Modified = &a
	return a
}

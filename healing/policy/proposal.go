package policy

import "time"

// Proposal is what a policy request says: the exact action, and what it is for. Only Action is bound by the digest; what
// a rule needs beside it governance works out itself or checks (purpose, touches).
type Proposal struct {
	Action       Action        `json:"action"`
	Purpose      string        `json:"purpose"`
	Undoes       string        `json:"undoes,omitempty"` // id of the action that an undo takes back
	IncidentType string        `json:"incident_type"`
	Target       string        `json:"target"`
	Fingerprint  string        `json:"fingerprint"`
	Cooldown     time.Duration `json:"cooldown,omitempty"` // of the playbook's rung
	Bounds       Bounds        `json:"bounds"`             // of the rung: what a decision may narrow
	Why          string        `json:"why,omitempty"`
	DryRun       bool          `json:"dry_run,omitempty"`
}

// AudienceExecutor is whom a signed decision is meant for.
const AudienceExecutor = "executor"

// Settings of desired state with which people bound automation: "true" pauses forward actions, or freezes changes.
const (
	SettingPaused = "healing.paused"
	SettingFreeze = "healing.freeze"
)

package detect

import "time"

// Watch asks for the verification of one action. It is repeated while it is wanted; one that isn't is forgotten.
type Watch struct {
	IncidentID string `json:"incident_id"`
	ActionID   string `json:"action_id"`
	Kind       Kind   `json:"kind"`
	Target     string `json:"target"`
	// Since is when the action took effect: only what was accepted after it is judged.
	Since time.Time `json:"since"`
	// Verification is the playbook's name of it, for the record.
	Verification string `json:"verification,omitempty"`
	// Shadow judges what the model does beside safe mode instead of what decides.
	Shadow bool `json:"shadow,omitempty"`
	// Reference is the one that a drift must agree with; empty for the one in force.
	Reference string `json:"reference,omitempty"`
	// Incarnation is the life that a restarted agent must have outlived; 0 for any.
	Incarnation int64 `json:"incarnation,omitempty"`
	// Instance is that of the agent that was restarted; empty for any.
	Instance string `json:"instance,omitempty"`
	// Was is how bad the signal was when the action was proposed; zero where that isn't known.
	Was   Sample        `json:"was,omitzero"`
	Dwell time.Duration `json:"dwell_ns,omitempty"`
}

// WatchVerdict answers a Watch.
type WatchVerdict struct {
	IncidentID string `json:"incident_id"`
	ActionID   string `json:"action_id"`
	Verdict
	// Worse is the fingerprint of another signal that was confirmed since the action took effect, empty for none.
	// PSI tells that the value is a PSI, not a share of bad ones.
	PSI   bool   `json:"psi,omitempty"`
	Worse string `json:"worse,omitempty"`
}

// ShadowReport is the model as the trickle beside safe mode shows it.
type ShadowReport struct {
	State   State              `json:"state"`
	N       int64              `json:"n"`
	Numbers map[string]float64 `json:"numbers,omitempty"`
	Reason  string             `json:"reason"`
}

// Report is all that monitoring has to say at one time.
type Report struct {
	At       time.Time      `json:"at"`
	Epoch    int64          `json:"epoch"`
	Mode     string         `json:"mode"`
	Champion int            `json:"champion"`
	Signals  []Signal       `json:"signals"`
	Causes   []Cause        `json:"causes"`
	Shadow   ShadowReport   `json:"shadow"`
	Verdicts []WatchVerdict `json:"verdicts,omitempty"`
	// Threshold is A of every sequential detector, as it follows from the false alarms allowed.
	Threshold float64 `json:"threshold"`
}

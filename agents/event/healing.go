package event

import (
	"encoding/json"
	"time"
)

// The control plane's topics.
const (
	Alerts          Topic = "alerts"
	PolicyRequests  Topic = "policy-requests"
	PolicyDecisions Topic = "policy-decisions"
	IncidentLog     Topic = "incident-log"
)

// Alert is what monitoring says of one signal. It is level-triggered: repeated each second while the signal is not
// healthy, and at once when its state changes. An alert of kind HEARTBEAT says that monitoring is alive and lists nothing.
type Alert struct {
	// Kind is the incident's kind (LATENCY_SLO_BREACH, ...), VERIFICATION or HEARTBEAT.
	Kind   string `json:"kind"`
	Target string `json:"target"`
	// Fingerprint groups alerts of one cause; it is the key.
	Fingerprint string `json:"fingerprint"`
	// State is HEALTHY, SUSPECT, CONFIRMED, UNKNOWN or WARMING.
	State string    `json:"state"`
	At    time.Time `json:"at"`
	// Epoch is the lease under which monitoring said so.
	Epoch int64 `json:"epoch"`
	// Signal is healing/detect's signal, or the verdict of a verification, with its evidence.
	Signal json.RawMessage `json:"signal,omitempty"`
}

// PolicyRequest asks governance to allow one action. The row in the store is what counts; this announces it.
type PolicyRequest struct {
	RequestID  string          `json:"request_id"`
	IncidentID string          `json:"incident_id"`
	ActionID   string          `json:"action_id"`
	Action     json.RawMessage `json:"action"`
	At         time.Time       `json:"at"`
}

// PolicyDecision is governance's answer, signed. The row in the store is what counts; this announces it.
type PolicyDecision struct {
	RequestID  string          `json:"request_id"`
	IncidentID string          `json:"incident_id"`
	ActionID   string          `json:"action_id"`
	Verdict    string          `json:"verdict"`
	Envelope   json.RawMessage `json:"envelope"`
	At         time.Time       `json:"at"`
}

// IncidentEntry is one step of an incident, as it happens.
type IncidentEntry struct {
	IncidentID   string          `json:"incident_id"`
	IncidentType string          `json:"incident_type"`
	Target       string          `json:"target"`
	Status       string          `json:"status"`
	State        string          `json:"state"`
	Step         string          `json:"step"`
	Text         string          `json:"text"`
	At           time.Time       `json:"at"`
	Detail       json.RawMessage `json:"detail,omitempty"`
}

// Topic, Key and Type of each event of the control plane. Those of an incident keep its order.
func (*Alert) Topic() Topic           { return Alerts }
func (a *Alert) Key() string          { return a.Fingerprint }
func (*PolicyRequest) Topic() Topic   { return PolicyRequests }
func (r *PolicyRequest) Key() string  { return r.IncidentID }
func (*PolicyDecision) Topic() Topic  { return PolicyDecisions }
func (d *PolicyDecision) Key() string { return d.IncidentID }
func (*IncidentEntry) Topic() Topic   { return IncidentLog }
func (e *IncidentEntry) Key() string  { return e.IncidentID }

func (*Alert) Type() string { return "aura.alert" }

func (*PolicyRequest) Type() string { return "aura.policy.request" }

func (*PolicyDecision) Type() string { return "aura.policy.decision" }

func (*IncidentEntry) Type() string { return "aura.incident.step" }

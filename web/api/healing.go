package api

import (
	"encoding/json"
	"time"
)

// SignalReport is what monitoring says now.
type SignalReport struct {
	At                time.Time `json:"at,omitzero" doc:"Absent before the first report."`
	Mode              string    `json:"mode,omitempty"`
	Champion          int       `json:"champion,omitempty"`
	DetectorThreshold float64   `json:"detector_threshold,omitempty" doc:"Of the sequential detectors: follows from the false alarms allowed."`
	Blind             bool      `json:"blind" doc:"Monitoring has not reported for too long: nothing is judged."`
	Items             []Signal  `json:"items"`
}

// Signal is one judgement, with what it rests on.
type Signal struct {
	Kind      string         `json:"kind"`
	Target    string         `json:"target"`
	State     string         `json:"state" enum:"HEALTHY,WARMING,UNKNOWN,SUSPECT,CONFIRMED"`
	Value     float64        `json:"value"`
	Threshold float64        `json:"threshold"`
	Unit      string         `json:"unit,omitempty" doc:"ms, PSI, share or s."`
	N         int64          `json:"n"`
	WindowS   float64        `json:"window_s"`
	Since     time.Time      `json:"since,omitzero"`
	OnsetAt   time.Time      `json:"onset_at,omitzero"`
	Bug       string         `json:"bug,omitempty" doc:"The data bug that explains a drift."`
	CauseOf   string         `json:"consequence_of,omitempty" doc:"The fingerprint of its cause."`
	Evidence  map[string]any `json:"evidence,omitempty"`
	Histogram *Histogram     `json:"histogram,omitempty" doc:"Of a drift signal: the same bins for both."`
}

// Histogram compares shares in the bins of the reference.
type Histogram struct {
	Bins      []string  `json:"bins"`
	Reference []float64 `json:"reference"`
	Now       []float64 `json:"now"`
	N         int64     `json:"n"`
}

// Approval is a policy request with what became of it.
type Approval struct {
	RequestID  string            `json:"request_id"`
	IncidentID string            `json:"incident_id"`
	ActionID   string            `json:"action_id"`
	ActionType string            `json:"action_type"`
	Target     string            `json:"target"`
	Params     map[string]string `json:"params,omitempty"`
	Bounds     map[string]string `json:"bounds,omitempty" doc:"The times that it is held to, which a MODIFIED decision may narrow."`
	Inverse    string            `json:"inverse,omitempty" doc:"The action that takes it back."`
	Digest     string            `json:"digest"`
	Proposer   string            `json:"proposer"`
	Status     string            `json:"status" enum:"PENDING,ESCALATED,APPROVED,DENIED,MODIFIED,WITHDRAWN,INVALID" doc:"ESCALATED waits for a person. INVALID: the row says that it was approved, and what is signed doesn't."`
	CreatedAt  time.Time         `json:"created_at"`
	ExpiresAt  time.Time         `json:"expires_at,omitzero" doc:"Then it counts as denied."`
	Rule       string            `json:"rule,omitempty"`
	Reason     string            `json:"reason,omitempty"`
	DecidedBy  string            `json:"decided_by,omitempty"`
	DecidedAt  time.Time         `json:"decided_at,omitzero"`
}

// Ruling is a person's decision: APPROVED, DENIED, or MODIFIED with narrower parameters.
type Ruling struct {
	Decision string
	Params   map[string]string
	Reason   string
}

// Pending reports whether it waits.
func (a Approval) Pending() bool { return a.Status == "PENDING" || a.Status == "ESCALATED" }

// Memory is the verified outcome of one action.
type Memory struct {
	Type       string             `json:"incident_type"`
	Target     string             `json:"target,omitempty"`
	ActionType string             `json:"action_type"`
	IncidentID string             `json:"incident_id"`
	ActionID   string             `json:"action_id"`
	Healed     bool               `json:"healed"`
	NoCredit   string             `json:"no_credit,omitempty" doc:"Why it earns none although the incident ended well."`
	TookS      float64            `json:"took_s"`
	Before     map[string]float64 `json:"before,omitempty"`
	After      map[string]float64 `json:"after,omitempty"`
	At         time.Time          `json:"at"`
}

// Share is a part of a whole; absent where the whole is empty.
type Share struct {
	Share *float64 `json:"share,omitempty"`
	Count int64    `json:"count"`
	N     int64    `json:"n"`
}

// Times are quantiles of n durations; absent where there is none.
type Times struct {
	P50S *float64 `json:"p50_s,omitempty"`
	P95S *float64 `json:"p95_s,omitempty"`
	N    int      `json:"n"`
}

// Score is the record of one kind of incident, or of ALL.
type Score struct {
	Type          string  `json:"incident_type"`
	Incidents     int     `json:"incidents"`
	Open          int     `json:"open"`
	FromDetection Times   `json:"mttr_from_detection" doc:"Each recovery by an action; one after a relapse counts from the relapse."`
	FromOnset     Times   `json:"mttr_from_onset" doc:"Only recoveries that an injected fault's record explains, by kind, target and time; it is joined afterwards."`
	Success       Share   `json:"success" doc:"Recoveries by an action without a person's call, of the times that an incident was detected, ended, and nobody took it over: a relapse counts anew, as in the MTTR. One that ended by itself is no success; it is left out where nothing was done."`
	Needless      Share   `json:"needless_actions" doc:"Executed ones whose incident would have ended without them, by control or by verdict of a person, of all executed."`
	TargetS       float64 `json:"target_s,omitempty" doc:"Of recovery, from detection."`
}

// Scoreboard is the record over a window.
type Scoreboard struct {
	At      time.Time `json:"at"`
	From    time.Time `json:"from"`
	WindowS float64   `json:"window_s"`
	Items   []Score   `json:"items"`
	SLO     SLO       `json:"slo"`
	// Truncated says that there were more incidents than are counted.
	Truncated bool `json:"truncated,omitempty"`
}

// SLO is the share of decisions in time. What is late and not decided yet is part of it.
type SLO struct {
	Share
	Undecided int64     `json:"undecided" doc:"Of n: applications that are later than the limit and not decided yet."`
	LimitMS   float64   `json:"limit_ms"`
	Target    float64   `json:"target"`
	From      time.Time `json:"from" doc:"The begin of the first minute that is counted; the window's where decisions reach back so far."`
}

// Healing is the state of the loop.
type Healing struct {
	State     string    `json:"state" enum:"ACTIVE,PAUSED,OFF" doc:"OFF: no healing agent runs."`
	Profile   string    `json:"profile,omitempty" doc:"Of governance: demo, supervised, off."`
	DryRun    bool      `json:"dry_run"`
	By        string    `json:"by,omitempty"`
	Reason    string    `json:"reason,omitempty"`
	Since     time.Time `json:"since,omitzero"`
	Incidents int       `json:"open_incidents"`
	Approvals int       `json:"pending_approvals"`
}

// States of healing.
const (
	HealingActive = "ACTIVE"
	HealingPaused = "PAUSED"
	HealingOff    = "OFF"
)

// AuditEntry is one record of the audit.
type AuditEntry struct {
	Seq     int64           `json:"seq"`
	At      time.Time       `json:"at"`
	Actor   string          `json:"actor"`
	Kind    string          `json:"kind"`
	Subject string          `json:"subject"`
	Detail  json.RawMessage `json:"detail,omitempty"`
	Prev    string          `json:"prev"`
	Hash    string          `json:"hash"`
}

// AuditReport is what a verification of the audit found.
type AuditReport struct {
	OK      bool   `json:"ok" doc:"Every record holds, and every row that was compared with them."`
	Records int64  `json:"records" doc:"How many hold, from the first."`
	Broken  int64  `json:"broken,omitempty" doc:"The seq of the first record that doesn't."`
	Problem string `json:"problem,omitempty"`
	Head    string `json:"head" doc:"The last record's hash: noted elsewhere, it proves later that nothing up to here was rewritten."`

	Rows     int64  `json:"rows" doc:"Rows of other tables that were compared with the records: settings and their history, incidents, policy decisions with what is signed, actions."`
	Row      string `json:"row,omitempty" doc:"Table and id of the first row that doesn't hold; problem says why."`
	Unproven int64  `json:"unproven,omitempty" doc:"Signed decisions that can't be proven since their key is not on record."`
}

// QueryResult is what a read-only query returned.
type QueryResult struct {
	Columns   []string `json:"columns"`
	Rows      [][]any  `json:"rows"`
	Truncated bool     `json:"truncated,omitempty"`
}

// Principal is who asks: a person by name, with roles.
type Principal struct {
	Name  string
	Roles []string // viewer, operator, approver, admin, ingest
}

// Local is everybody where no principals are set up.
func Local() Principal {
	return Principal{Name: "local", Roles: []string{"viewer", "operator", "approver", "admin"}}
}

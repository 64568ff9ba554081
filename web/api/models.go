package api

import "time"

// Model is an immutable version in the registry.
type Model struct {
	Version      int       `json:"version"`
	Digest       string    `json:"digest"`
	SchemaName   string    `json:"schema,omitempty"`
	SchemaDigest string    `json:"schema_digest,omitempty"`
	Aliases      []string  `json:"aliases" doc:"champion, challenger, previous."`
	Metrics      Metrics   `json:"metrics"`
	Rows         int       `json:"rows" doc:"Training rows."`
	WindowFrom   time.Time `json:"window_from,omitzero" doc:"Of the training data."`
	WindowTo     time.Time `json:"window_to,omitzero"`
	Seed         uint64    `json:"seed"`
	CreatedAt    time.Time `json:"created_at"`
	CreatedBy    string    `json:"created_by,omitempty"`
	Note         string    `json:"note,omitempty"`
}

// ModelFile is a version in a form for other programs.
type ModelFile struct {
	Version int
	Digest  string // of the version
	Content []byte
}

// ModelImport is a tree ensemble that was trained elsewhere, as ONNX.
type ModelImport struct {
	Name    string // of the file
	Content []byte
	Columns []string // the file's inputs in its order; empty: the schema's model inputs
	Bad     string   // the class that means default; empty: the schema's
	Note    string
	By      string
}

// Imported is a version that came as ONNX, and how it was judged.
type Imported struct {
	Version    int         `json:"version"`
	Digest     string      `json:"digest"`
	Schema     string      `json:"schema"`
	Trees      int         `json:"trees"`
	Rows       int         `json:"rows" doc:"Labelled rows that it was judged on."`
	RowsFrom   string      `json:"rows_from"`
	HoldoutAUC float64     `json:"holdout_auc"`
	Brier      float64     `json:"brier"`
	Accuracy   float64     `json:"accuracy"`
	Champion   int         `json:"champion,omitempty" doc:"That it was compared with."`
	Verdict    string      `json:"verdict,omitempty" doc:"The gate's, such as PROMOTE, CHAMPION_KEPT, UNDECIDED; absent without a champion."`
	Reason     string      `json:"reason,omitempty"`
	Challenger bool        `json:"challenger" doc:"Whether it has that alias now: it is better than the champion."`
	Checks     []GateCheck `json:"checks,omitempty"`
}

// GateCheck is one line of the gate.
type GateCheck struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Limit float64 `json:"limit"`
	OK    bool    `json:"ok"`
	Info  string  `json:"info,omitempty" doc:"Why one that isn't OK doesn't decide."`
}

// Metrics of a model on data it has not seen. Absent values were not measured.
type Metrics struct {
	CVAUC      *float64 `json:"cv_auc,omitempty" doc:"Five folds."`
	HoldoutAUC *float64 `json:"holdout_auc,omitempty"`
	Brier      *float64 `json:"brier,omitempty"`
	Accuracy   *float64 `json:"accuracy,omitempty"`
	LogLoss    *float64 `json:"log_loss,omitempty"`
}

// Switch is a change of champion that has taken effect.
type Switch struct {
	Version    int    `json:"version"`
	Previous   int    `json:"previous,omitempty"`
	Digest     string `json:"digest"`
	Generation int64  `json:"generation"`
}

// AliasChange is one line of an alias' history.
type AliasChange struct {
	Alias      string    `json:"alias"`
	Version    int       `json:"version"`
	Previous   int       `json:"previous,omitempty"`
	Generation int64     `json:"generation"`
	By         string    `json:"by"`
	Reason     string    `json:"reason"`
	At         time.Time `json:"at"`
}

// FaultRequest asks for a fault. Durations are Go's: 2s, 500ms.
type FaultRequest struct {
	Target string  `json:"target,omitempty" maxLength:"64" doc:"The agent; source for drift, missing, stuck, unit and labels, model for bad-model: there it may be absent."`
	Kind   string  `json:"kind" enum:"latency,error,crash,hang,drift,missing,stuck,unit,label-noise,label-flip,bad-model"`
	Delay  string  `json:"delay,omitempty" maxLength:"32" doc:"Added to each event, for latency."`
	Share  float64 `json:"share,omitempty" minimum:"0" maximum:"1" default:"1" doc:"Of events that are hit."`
	TTL    string  `json:"ttl" minLength:"1" maxLength:"32" doc:"When it ends by itself; at most 15m."`
	Times  *int    `json:"times,omitempty" minimum:"0" maximum:"1000000" doc:"How often at most; 0 = each time. Crash and hang: 1 if absent."`
	FaultChange
	// By is who asked, as the guard knows; no part of the body.
	By string `json:"-"`
}

// FaultChange is what a fault of the source does to what it sends.
type FaultChange struct {
	Feature  string   `json:"feature,omitempty" maxLength:"200" doc:"The column, for drift, missing, stuck and unit."`
	Mean     *float64 `json:"mean,omitempty" doc:"Drift: the mean to bring numbers to, by moving all of them."`
	Shift    float64  `json:"shift,omitempty" doc:"Drift: added to numbers, after scale."`
	Scale    float64  `json:"scale,omitempty" minimum:"0" doc:"Drift: what numbers are multiplied by."`
	Value    *float64 `json:"value,omitempty" doc:"Stuck: the number."`
	Factor   float64  `json:"factor,omitempty" minimum:"0" doc:"Unit: what numbers are multiplied by, such as 12 or 0.001."`
	Category string   `json:"category,omitempty" maxLength:"200" doc:"Drift, stuck: the category that a share of applications comes with. Label-flip: the outcomes to invert, repaid or defaulted; both if absent."`
}

// Fault is an injected fault that is active.
type Fault struct {
	ID     string `json:"id"`
	Target string `json:"target"`
	Kind   string `json:"kind" enum:"latency,error,crash,hang,drift,missing,stuck,unit,label-noise,label-flip,bad-model"`
	Delay  string `json:"delay,omitempty"`
	FaultChange
	Share     float64   `json:"share"`
	Times     int       `json:"times" doc:"0 = each time."`
	Hits      int64     `json:"hits" doc:"How often it has struck."`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
}

// Check is one line of readiness.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Reason string `json:"reason,omitempty" doc:"What is missing."`
}

// Mirror is the state of the MLflow server that the registry is mirrored in.
type Mirror struct {
	Address  string    `json:"address" doc:"Of the registered model, in MLflow's UI."`
	Equal    bool      `json:"equal" doc:"It had every version and the same aliases, the last time that it was asked."`
	EqualAt  time.Time `json:"equal_at,omitzero" doc:"When that was so last."`
	Problem  string    `json:"problem,omitempty" doc:"What is in the way. Decisions never wait for it."`
	Versions int       `json:"versions" doc:"That it has."`
	Missing  int       `json:"missing" doc:"That it has not yet."`
	// Elsewhere leaves all but Address empty.
	Elsewhere bool `json:"elsewhere,omitempty" doc:"Another process of the deployment keeps it equal, and knows whether it is."`
}

// Overview is what the page shows. Agents come in the order of the pipeline.
type Overview struct {
	At       time.Time
	Version  string // of the program
	Instance string
	Bus      string // memory, gochannel, kafka
	Schema   string
	Started  time.Time

	Mode      Mode
	Agents    []Agent
	Decisions []Record // newest first, at most some 20
	Champion  *Model   // nil before the first one
	Previous  int      // version a rollback would go to, 0 if none
	// NoRollback is why a rollback would be refused, "" if it would not.
	NoRollback string
	Mirror     *Mirror // nil where the registry isn't mirrored
	Faults     []Fault
	// FaultKinds are the kinds that this process can inject.
	FaultKinds []string
	// Features are the schema's columns, for faults of the source.
	Features []string
	Ready    []Check

	// Totals since the start of the process.
	Accepted, Decided int64
	// Outcomes counts decisions by APPROVE, REFER, DECLINE since the start of the process.
	Outcomes map[string]int64
	// Undecided applications in the admission window and its size.
	Undecided, Window int
	// Latency from acceptance to decision over the last seconds, in ms; Known is false where nothing was decided.
	LatencyKnown bool
	P50MS, P99MS float64

	Healing    Healing
	Signals    SignalReport
	Incidents  []Incident       // newest first, at most some ten
	Current    []IncidentDetail // the open ones, or the newest if none is open
	Approvals  []Approval       // what waits for a decision
	Memories   []Memory         // newest first
	Ranking    []Ranking
	Scoreboard Scoreboard
}

package detect

import "time"

// Kind says what is wrong when a signal is CONFIRMED.
type Kind string

// The kinds of signals. BusDown only notifies a person: nothing is healed on what can't be seen.
const (
	LatencyBreach Kind = "LATENCY_SLO_BREACH"
	PerfDrop      Kind = "PERF_DROP"
	DataDrift     Kind = "DATA_DRIFT"
	AgentDown     Kind = "AGENT_DOWN"
	BusDown       Kind = "BUS_DOWN"
)

// Targets that are no feature and no agent.
const (
	// TargetService is the target of LATENCY_SLO_BREACH: the way from acceptance to decision.
	TargetService = "service"
	// TargetModel is the target of PERF_DROP: the champion.
	TargetModel = "model"
	// TargetScore is the target of DATA_DRIFT of the model's scores.
	TargetScore = "score"
	// TargetBus, TargetStore and TargetMonitoring are the targets of BUS_DOWN: what can't be heard.
	TargetBus        = "bus"
	TargetStore      = "store"
	TargetMonitoring = "monitoring"
)

// State is what is known of a signal.
type State string

// The states, from the best known to the worst. A WARMING detector has too small a reference for its bound on false
// alarms; its rule still confirms.
const (
	Healthy   State = "HEALTHY"
	Warming   State = "WARMING"
	Unknown   State = "UNKNOWN"
	Suspect   State = "SUSPECT"
	Confirmed State = "CONFIRMED"
)

// Active reports whether something seems wrong.
func (s State) Active() bool { return s == Suspect || s == Confirmed }

// Signal is one judgement at one time, repeated while it is true.
type Signal struct {
	Kind   Kind   `json:"kind"`
	Target string `json:"target"`
	State  State  `json:"state"`
	// Value is compared with Threshold: milliseconds, accuracy (a share), PSI as measured (what is
	// judged is its lower bound and the one corrected for the number of rows, in Evidence), or seconds since the last beat.
	Value     float64 `json:"value"`
	Threshold float64 `json:"threshold"`
	// N is how many samples Value rests on, Window the time they span.
	N      int64         `json:"n"`
	Window time.Duration `json:"window_ns"`
	// Since is when State began. Onset estimates when the change began, where a detector can tell; else zero.
	Since time.Time `json:"since"`
	Onset time.Time `json:"onset_estimate,omitzero"`
	// Recovered is when the signal last ceased to be CONFIRMED; zero if it never was.
	Recovered time.Time `json:"recovered,omitzero"`
	// Bug names the data bug that explains a drift, if one does.
	Bug *Bug `json:"bug,omitempty"`
	// Evidence holds the numbers behind the judgement, by name.
	Evidence map[string]any `json:"evidence,omitempty"`
}

// Fingerprint groups signals of one thing over time: an incident has one.
func (s Signal) Fingerprint() string { return string(s.Kind) + ":" + s.Target }

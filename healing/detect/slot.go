package detect

import "time"

// Beat is the newest heartbeat heard from one agent instance.
type Beat struct {
	Agent       string    `json:"agent"`
	Instance    string    `json:"instance"`
	Incarnation int64     `json:"incarnation"`
	State       string    `json:"state"`
	At          time.Time `json:"at"`
	// Watermark counts messages done in all lives; Queue and QueueAge describe what waits.
	Watermark int64         `json:"watermark"`
	Queue     int           `json:"queue"`
	QueueAge  time.Duration `json:"queue_age_ns"`
	// HandlerAge is the age of the oldest handler at work, Deadline the stage deadline it should keep.
	HandlerAge time.Duration `json:"handler_age_ns"`
	Deadline   time.Duration `json:"deadline_ns"`
	// Cause says why the state is CRASHED, HUNG or QUARANTINED.
	Cause string `json:"cause,omitempty"`
}

// States of an agent that the rules know, as the supervisor writes them.
const (
	AgentStarting    = "STARTING"
	AgentRunning     = "RUNNING"
	AgentSlow        = "SLOW"
	AgentHung        = "HUNG"
	AgentCrashed     = "CRASHED"
	AgentQuarantined = "QUARANTINED"
	AgentStopped     = "STOPPED"
)

// AgentGone is the cause of an agent that is down with its process while no other instance of it lives, and of the process.
const AgentGone = "GONE"

// ModeSafe is the mode in which rules decide instead of the model.
const ModeSafe = "SAFE_MODE"

// Desired is the desired state in a slot, as far as judgement depends on it.
type Desired struct {
	Mode string `json:"mode"`
	// Champion is the version of the model in charge; Validated its accuracy on its hold-out of ValidatedN rows.
	Champion   int     `json:"champion"`
	Validated  float64 `json:"validated_accuracy"`
	ValidatedN int     `json:"validated_n"`
}

// Slot is what monitoring heard in one slot (100 ms), merged over all agents and replicas.
type Slot struct {
	// At is the slot's end on monitoring's clock.
	At      time.Time `json:"at"`
	Desired Desired   `json:"desired"`
	Counts
	// Beats are the beats heard in this slot, in their order: a notice of death and the next life's first beat may share it.
	Beats []Beat `json:"beats,omitempty"`
	// OwnBeat is when monitoring last heard its own beat over the bus; zero if never.
	OwnBeat time.Time `json:"own_beat,omitzero"`
	// StoreBeat is when the store last answered; zero where nobody asks it.
	StoreBeat time.Time `json:"store_beat,omitzero"`
	// StoreCode says by what writes to the store fail now, as its own code; empty where they don't.
	StoreCode string `json:"store_code,omitempty"`
	// Awake says that the process ran on since the slot before, and that nothing came over the bus meanwhile: where slots are
	// missing, that is why.
	Awake bool `json:"awake,omitempty"`
}

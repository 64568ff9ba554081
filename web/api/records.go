package api

import (
	"encoding/json"
	"fmt"
	"time"
)

// Statuses of an application.
const (
	StatusPending = "PENDING"
	StatusDecided = "DECIDED"
)

// Decisions.
const (
	Approve = "APPROVE"
	Refer   = "REFER"
	Decline = "DECLINE"
)

// Record is all that is known of an application. Of a pending one only the first block is filled.
type Record struct {
	ID            string          `json:"id" doc:"AURA's own id, time-ordered."`
	ApplicationID string          `json:"application_id" doc:"The client's id, or the same as id if it gave none."`
	Status        string          `json:"status" enum:"PENDING,DECIDED"`
	AcceptedAt    time.Time       `json:"accepted_at"`
	Source        string          `json:"source,omitempty" doc:"Where it came from: http, simulator, csv."`
	TraceID       string          `json:"trace_id,omitempty" doc:"W3C trace id."`
	Features      json.RawMessage `json:"features,omitempty" doc:"The features as they came; shown for a single record."`

	Decision     string     `json:"decision,omitempty" enum:"APPROVE,REFER,DECLINE"`
	Probability  *float64   `json:"probability_of_default,omitempty" doc:"Calibrated; absent where rules decided."`
	Reasons      []Reason   `json:"reasons,omitempty" doc:"Up to four, strongest first, for anything but an approval."`
	ModelVersion int        `json:"model_version,omitempty"`
	ModelDigest  string     `json:"model_digest,omitempty"`
	Mode         string     `json:"mode,omitempty" enum:"MODEL,SAFE_MODE"`
	Rule         string     `json:"rule,omitempty" doc:"The rule that decided, where a rule did."`
	DecidedAt    *time.Time `json:"decided_at,omitempty"`
	LatencyMS    *float64   `json:"latency_ms,omitempty" doc:"From acceptance to decision."`

	Outcome    string     `json:"outcome,omitempty" enum:"repaid,defaulted" doc:"What became of the loan, once known."`
	ObservedAt *time.Time `json:"observed_at,omitempty"`
}

// Reason is why an application was not approved.
type Reason struct {
	Code         string  `json:"code"`
	Feature      string  `json:"feature"`
	Text         string  `json:"text"`
	Contribution float64 `json:"contribution,omitempty" doc:"Towards default, in probability."`
}

// Outcome is what became of a loan.
type Outcome struct {
	ApplicationID string    `json:"application_id" minLength:"1" maxLength:"200"`
	Outcome       string    `json:"outcome" enum:"repaid,defaulted"`
	ObservedAt    time.Time `json:"observed_at,omitempty" doc:"When it was observed; now if absent."`
}

// FeedbackResult says what an outcome was: joined to its decision, or kept for another reason.
type FeedbackResult struct {
	ApplicationID string `json:"application_id"`
	Kind          string `json:"kind" enum:"joined,unknown,early,duplicate,contradicting"`
	Outcome       string `json:"outcome" doc:"The outcome that stands: the first one."`
}

// Agent is one agent instance. Counts are over the life of the process, rates and percentiles over the last seconds.
type Agent struct {
	Name        string    `json:"name"`
	Instance    string    `json:"instance,omitempty"`
	Elsewhere   bool      `json:"elsewhere,omitempty" doc:"It runs in another process of the deployment; only its state, life, work done and queue are known here, as it saved them last."`
	State       string    `json:"state" enum:"STARTING,RUNNING,SLOW,HUNG,CRASHED,QUARANTINED,STOPPED,SILENT" doc:"SILENT: its process has saved nothing for seconds."`
	Incarnation int64     `json:"incarnation"`
	Since       time.Time `json:"since" doc:"When the state began."`
	Cause       string    `json:"cause,omitempty" doc:"Why it is crashed, hung or quarantined."`
	NotReady    string    `json:"not_ready,omitempty" doc:"What it waits for."`
	Handled     int64     `json:"handled"`
	Failed      int64     `json:"failed"`
	Refused     int64     `json:"refused" doc:"Late results of abandoned lives."`
	Restarts    int64     `json:"restarts"`
	Zombies     int       `json:"zombies" doc:"Abandoned handlers that still run."`
	Queue       int       `json:"queue" doc:"Messages that wait, of all topics: while the model decides, the decision agent is sent two for each application, and skips one."`
	QueueAgeMS  float64   `json:"queue_age_ms" doc:"Age of the oldest event that waits."`
	InFlight    int       `json:"in_flight"`
	Rate        float64   `json:"rate" doc:"Events a second."`
	P50MS       float64   `json:"p50_ms" doc:"Median handling time."`
	P99MS       float64   `json:"p99_ms"`
	LastBeat    time.Time `json:"last_beat"`
	Topics      []string  `json:"topics,omitempty" doc:"What it reads."`
}

// QueueNote says what is counted where that isn't plain: an agent that reads several topics may be sent an application on each.
func (a Agent) QueueNote() string {
	if a.Queue == 0 || len(a.Topics) < 2 {
		return ""
	}
	return fmt.Sprintf("of %d topics", len(a.Topics))
}

// Mode says who decides: the model or the rules.
type Mode struct {
	Mode       string    `json:"mode" enum:"MODEL,SAFE_MODE"`
	Generation int64     `json:"generation"`
	By         string    `json:"by,omitempty"`
	Reason     string    `json:"reason,omitempty"`
	Since      time.Time `json:"since"`
}

// The modes.
const (
	ModeModel = "MODEL"
	ModeSafe  = "SAFE_MODE"
)

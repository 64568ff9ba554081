package store

import (
	"time"

	"aura/mlops/schema"
)

// Application is an accepted application.
type Application struct {
	// ID is ours: a time-ordered UUIDv7, lower-case. Accept makes one where it is empty.
	ID string
	// ApplicationID is the client's id, "" where it gave none; in rows read back it is then ID.
	ApplicationID string
	// Features is the JSON object as it was validated.
	Features []byte
	// BodyDigest tells the same body again (Same) from another one (Conflict); usually a SHA-256.
	BodyDigest []byte
	// Source is http, simulator, csv, …; rows of SourceSimulator are kept shorter.
	Source  string
	TraceID string
	// AcceptedAt is kept in whole microseconds, UTC.
	AcceptedAt time.Time
}

// SourceSimulator marks applications of the built-in simulator.
const SourceSimulator = "simulator"

// AcceptStatus says what became of an application that was handed in.
type AcceptStatus int

// New was written now; Same was there with the same body; Conflict was there with another body.
const (
	New AcceptStatus = iota + 1
	Same
	Conflict
)

// AcceptResult is the answer for one application.
type AcceptResult struct {
	Status AcceptStatus
	// Application is the stored row: for Same and Conflict the earlier one.
	Application Application
	// Decision is the stored decision, nil where there is none yet.
	Decision *Decision
}

// Mode says who decides.
type Mode string

// The modes of the service.
const (
	ModeModel Mode = "MODEL"
	ModeSafe  Mode = "SAFE_MODE"
)

// RuleTechnical marks the decision of an application that its agents could not handle; no generation is asked of it.
const RuleTechnical = "TECHNICAL"

// Decision is the one decision of an application.
type Decision struct {
	ID            string
	ApplicationID string
	AcceptedAt    time.Time
	Source        string
	TraceID       string

	Decision schema.Outcome
	// Probability is the calibrated probability of default, nil where no model took part. NaN is kept as nil.
	Probability *float64
	Reasons     []schema.Reason

	ModelVersion int
	ModelDigest  string
	// Generation is the champion's.
	Generation     int64
	Mode           Mode
	ModeGeneration int64
	Rule           string
	// DecidedAt is kept in whole microseconds, UTC; Latency too: what passed between AcceptedAt and the decision.
	DecidedAt   time.Time
	Latency     time.Duration
	Incarnation int64
}

// DecideStatus says what became of a decision that was handed in.
type DecideStatus int

// Written was inserted now; Already had a decision before, which stands; Stale was not inserted because it was made
// under an older generation of mode or champion; Gone has no application (any more).
const (
	Written DecideStatus = iota + 1
	Already
	Stale
	Gone
)

// DecideResult is the answer for one decision.
type DecideResult struct {
	Status DecideStatus
	// Decision is the stored row for Written and Already, and the only one that may be emitted.
	Decision Decision
	// Current holds the generations that this transaction saw.
	Current Generations
	// Joined holds the outcome that came before this decision and is joined to it now, to be published once; nil
	// otherwise.
	Joined *Feedback
}

// Generations are the values that a decision must match.
type Generations struct {
	Mode               Mode
	ModeGeneration     int64
	Champion           int // version number, 0 = none
	ChampionGeneration int64
}

// Outcome is what became of a loan.
type Outcome string

// The outcomes.
const (
	Repaid    Outcome = "repaid"
	Defaulted Outcome = "defaulted"
)

// Feedback is an outcome that came in, and, once joined, what it is the outcome of.
type Feedback struct {
	// ApplicationID is the client's id or ours, as it came.
	ApplicationID string
	Outcome       Outcome
	ObservedAt    time.Time
	ReceivedAt    time.Time
	Kind          FeedbackKind
	// Decision is the decided application, for Joined only.
	Decision *Decision
}

// FeedbackKind says how an outcome counts. Every one is kept; only Joined is published and counted as an outcome.
type FeedbackKind string

// Joined is the first outcome of a decided application; Early waits for the decision and is joined then; Duplicate says
// again what stands, Contradicting something else; Unknown names no application of ours.
const (
	Joined        FeedbackKind = "joined"
	Early         FeedbackKind = "early"
	Duplicate     FeedbackKind = "duplicate"
	Contradicting FeedbackKind = "contradicting"
	Unknown       FeedbackKind = "unknown"
)

// FeedbackResult is the answer for one outcome.
type FeedbackResult struct {
	Kind FeedbackKind
	// Feedback is the stored row; its Decision is set for Joined.
	Feedback Feedback
}

// Record is all that is known of an application.
type Record struct {
	Application Application
	Decision    *Decision
	// Outcome is the one that stands (joined, or early before the decision).
	Outcome *Feedback
}

// Change is a change of desired state.
type Change struct {
	Setting, Value string
	By, Reason     string
	// Person says that a person does it. Automation (false) is refused where a person holds the setting.
	Person bool
	// Hold keeps automation away from the setting until a person changes it without Hold.
	Hold bool
	// Was is the value that is replaced, nil for any; where it is another one by now the change is *Refused conflict.
	Was *string

	// action is the id of the action that does it.
	action string
}

// Setting is one row of desired state.
type Setting struct {
	Setting    string
	Value      string
	Generation int64
	Owner      string
	Reason     string
	// HeldBy names the person that holds it, "" for none.
	HeldBy    string
	ChangedAt time.Time
}

// State is desired state as the pipeline needs it.
type State struct {
	Generations
	ModeSetting, ChampionSetting Setting
	// Era counts changes of desired state: the id of the last line of its history. What is accepted in an era was accepted
	// after that change.
	Era int64
	// Reference is the id of the reference in force, "" for none.
	Reference           string
	ReferenceGeneration int64
	// Settings holds every row by its name, those above too.
	Settings map[string]Setting
}

// ConfigChange is one row of the history of desired state.
type ConfigChange struct {
	ID int64
	Setting
	Previous string
	// Person says that a person did it; ActionID names the action that did, "" for none.
	Person   bool
	ActionID string
}

// AgentHealth is the last that is known of an agent instance.
type AgentHealth struct {
	Agent, Instance string
	Incarnation     int64
	State           string
	Cause           string
	Watermark       int64
	Queue           int
	BeatAt          time.Time
	// QueueAge is how long the oldest message waits, P50 the usual handling time.
	QueueAge, P50 time.Duration
	// Stuck says that no further life can be started: too many abandoned ones still run.
	Stuck bool
	// Generation is that of the setting that the agent follows (the model agent the champion, the decision agent the mode), as it
	// has it in force; 0 for none.
	Generation int64
	// Age is, as read, how long ago its process saved this, by the database's clock. A dead agent's process goes on saving.
	Age time.Duration
}

// Counts are rows in the tables, by a scan.
type Counts struct {
	Applications, Decisions, Undecided int64
	Feedback                           map[FeedbackKind]int64
}

// micros is how times are kept. A zero time is 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

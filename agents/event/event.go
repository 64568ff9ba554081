// Package event is the wire contract: one Go type for each topic, and what every message on the bus carries.
//
// It owns the names of the topics, the types of the values and their JSON form. It may import mlops/schema (the values
// of an application), healing/detect (what is counted of them) and nothing else of ours. Values are immutable once
// published: on the in-memory bus every subscriber gets the same pointer. The JSON form is fixed by golden files in
// testdata; a change there is a change of the contract with users' own tools.
package event

import (
	"encoding/json"
	"strings"
	"time"

	"aura/healing/detect"
	"aura/mlops/schema"
)

// Topic is the bare name of a stream, as users' own Kafka tools expect it.
type Topic string

// The pipeline's topics. Their order is the way of an application.
const (
	RawEvents     Topic = "raw-events"
	FeaturesTopic Topic = "features"
	Predictions   Topic = "predictions"
	Decisions     Topic = "decisions"
	FeedbackTopic Topic = "feedback"
	Metrics       Topic = "agent-metrics"
	ConfigUpdates Topic = "config-updates"
)

// Topics that users' own producers fill, on a broker.
const (
	Applications Topic = "applications"
	Outcomes     Topic = "outcomes"
)

// Foreign reports whether other programs than ours write to the topic: their messages may have any type, or no headers.
func (t Topic) Foreign() bool { return t == Applications || t == Outcomes }

// DLQ returns the topic that keeps what topic t could not process.
func (t Topic) DLQ() Topic { return t + ".dlq" }

// Group returns the consumer group of a pipeline agent.
func Group(agent string) string { return agent + "-agent-group" }

// Event is a value that belongs to one topic. The type decides the topic, so a wrong publish doesn't compile.
type Event interface {
	// Topic is where values of this type are published.
	Topic() Topic
	// Type is the CloudEvents type, e.g. "aura.application.accepted".
	Type() string
	// Key orders: values of one key are delivered in the order of their publication.
	Key() string
}

// Subject names the application that a pipeline event is about.
type Subject struct {
	// ID is AURA's own time-ordered id (UUIDv7), the primary key in the store.
	ID string `json:"id"`
	// ApplicationID is the client's id, or ID where the client gave none.
	ApplicationID string `json:"application_id"`
	// AcceptedAt is when the application was committed.
	AcceptedAt time.Time `json:"accepted_at"`
	// Source says where it came from: http, simulator, csv, kafka.
	Source string `json:"source,omitempty"`
	// TraceID is the W3C trace id (32 hex digits) of the application.
	TraceID string `json:"trace_id,omitempty"`
}

// Key implements Event for every type that embeds Subject.
func (s Subject) Key() string { return s.ApplicationID }

// Submitted is an application as users' own producers send it: what they would post to the API.
type Submitted struct {
	// ApplicationID may be empty: then the message's key is the client's id, else the message's own.
	ApplicationID string          `json:"application_id,omitempty"`
	Features      json.RawMessage `json:"features"`
}

// Observed is an outcome as users' own producers send it: what they would post to the API. Without ObservedAt it was observed
// when it was sent.
type Observed struct {
	ApplicationID string    `json:"application_id"`
	Outcome       Outcome   `json:"outcome"`
	ObservedAt    time.Time `json:"observed_at,omitzero"`
}

// RawEvent says that an application was accepted: committed and not yet decided.
type RawEvent struct {
	Subject
	Features schema.Record `json:"features"`
	// Again marks a publication that is not the first: it counts nowhere.
	Again bool `json:"again,omitempty"`
}

// Features is a validated application, as columns and as the model's input.
type Features struct {
	Subject
	// Values holds every column of the schema in its order, protected ones too: numbers as they came, categories as
	// their index, missing as NaN (null in JSON). Rules and monitoring read it.
	Values schema.Vector `json:"values"`
	// Vector holds the model's inputs: transformed, without protected columns.
	Vector schema.Vector `json:"vector"`
	// MinGeneration is the least generation of the champion that may score it; 0 for any.
	MinGeneration int64 `json:"min_generation,omitempty"`
}

// Prediction is what the champion says of a vector.
type Prediction struct {
	Features
	// Probability is the calibrated probability of default.
	Probability float64 `json:"probability_of_default"`
	// Reasons are the strongest contributions towards default, at most four, where the policy will not approve.
	Reasons []schema.Reason `json:"reasons,omitempty"`
	// ModelVersion and ModelDigest name the model; Generation is the champion's generation it was loaded under.
	ModelVersion int    `json:"model_version"`
	ModelDigest  string `json:"model_digest"`
	Generation   int64  `json:"generation"`
	// Shadow marks a prediction that is measured only and never decides.
	Shadow bool `json:"shadow,omitempty"`
}

// Mode says who decides.
type Mode string

// The modes of the service.
const (
	ModeModel Mode = "MODEL"
	ModeSafe  Mode = "SAFE_MODE"
)

// Valid reports whether m is a mode.
func (m Mode) Valid() bool { return m == ModeModel || m == ModeSafe }

// Decision is the one decision of an application, as read back from the store.
type Decision struct {
	Subject
	Decision    schema.Outcome  `json:"decision"`
	Probability *float64        `json:"probability_of_default"`
	Reasons     []schema.Reason `json:"reasons"`
	// ModelVersion, ModelDigest and Generation are zero where no model took part.
	ModelVersion   int       `json:"model_version,omitempty"`
	ModelDigest    string    `json:"model_digest,omitempty"`
	Generation     int64     `json:"champion_generation,omitempty"`
	Mode           Mode      `json:"mode"`
	ModeGeneration int64     `json:"mode_generation"`
	Rule           string    `json:"rule,omitempty"`
	DecidedAt      time.Time `json:"decided_at"`
	LatencyMS      float64   `json:"latency_ms"`
	// Incarnation is the life of the decision agent that wrote it.
	Incarnation int64 `json:"incarnation,omitempty"`
}

// Feedback is the outcome of a decided application, published once.
type Feedback struct {
	Subject
	Outcome    Outcome   `json:"outcome"`
	ObservedAt time.Time `json:"observed_at"`
	ReceivedAt time.Time `json:"received_at"`
	// What was decided, so that a reader can judge it without a join.
	Decision     schema.Outcome `json:"decision"`
	Probability  *float64       `json:"probability_of_default"`
	Mode         Mode           `json:"mode"`
	ModelVersion int            `json:"model_version,omitempty"`
	DecidedAt    time.Time      `json:"decided_at"`
}

// Outcome is what became of a loan.
type Outcome string

// The outcomes.
const (
	Repaid    Outcome = "repaid"
	Defaulted Outcome = "defaulted"
)

// Valid reports whether o is an outcome.
func (o Outcome) Valid() bool { return o == Repaid || o == Defaulted }

// AgentMetrics is one slot (100 ms by default) of an agent's life: its heartbeat, with progress.
type AgentMetrics struct {
	Agent       string    `json:"agent"`
	Instance    string    `json:"instance"`
	Incarnation int64     `json:"incarnation"`
	State       string    `json:"state"`
	At          time.Time `json:"at"`
	SlotMS      int64     `json:"slot_ms"`
	// Handled, Failed and Refused count this slot's events: done, returned an error or panicked, fenced.
	Handled int64 `json:"handled"`
	Failed  int64 `json:"failed"`
	Refused int64 `json:"refused"`
	// Watermark counts events done in all lives: the progress. Queue and QueueAgeMS describe what waits.
	Watermark  int64 `json:"watermark"`
	Queue      int   `json:"queue"`
	QueueAgeMS int64 `json:"queue_age_ms"`
	InFlight   int   `json:"in_flight"`
	// HandlerUS is the histogram of handling times: counts by power of two of microseconds (index i: [2^i, 2^(i+1))).
	HandlerUS []int64 `json:"handler_us,omitempty"`
	// HandlerAgeMS is the age of the oldest handler at work, DeadlineMS the stage deadline that it should keep.
	HandlerAgeMS int64 `json:"handler_age_ms,omitempty"`
	DeadlineMS   int64 `json:"deadline_ms,omitempty"`
	// Cause says why State is CRASHED, HUNG or QUARANTINED.
	Cause string `json:"cause,omitempty"`
	// Counts is what the agent counted of applications in this slot, for monitoring.
	Counts *detect.Counts `json:"counts,omitempty"`
}

// ConfigUpdate announces that a row of desired state changed. Who hears it reads the row.
type ConfigUpdate struct {
	Setting    string `json:"setting"`
	Generation int64  `json:"generation"`
}

// DeadLetter is what a pipeline could not process, with the reason.
type DeadLetter struct {
	From    Topic     `json:"topic"`
	ID      string    `json:"id"`
	Subject string    `json:"key"`
	Agent   string    `json:"agent"`
	Error   string    `json:"error"`
	At      time.Time `json:"at"`
	Payload []byte    `json:"payload"`
}

// Topic, Type and Key of each event.
func (*Submitted) Topic() Topic     { return Applications }
func (*Submitted) Type() string     { return "aura.application.submitted" }
func (s *Submitted) Key() string    { return s.ApplicationID }
func (*Observed) Topic() Topic      { return Outcomes }
func (*Observed) Type() string      { return "aura.outcome.observed" }
func (o *Observed) Key() string     { return o.ApplicationID }
func (*RawEvent) Topic() Topic      { return RawEvents }
func (*RawEvent) Type() string      { return "aura.application.accepted" }
func (*Features) Topic() Topic      { return FeaturesTopic }
func (*Features) Type() string      { return "aura.application.vectorised" }
func (*Prediction) Topic() Topic    { return Predictions }
func (*Prediction) Type() string    { return "aura.application.scored" }
func (*Decision) Topic() Topic      { return Decisions }
func (*Decision) Type() string      { return "aura.application.decided" }
func (*Feedback) Topic() Topic      { return FeedbackTopic }
func (*Feedback) Type() string      { return "aura.application.outcome" }
func (*AgentMetrics) Topic() Topic  { return Metrics }
func (*AgentMetrics) Type() string  { return "aura.agent.metrics" }
func (m *AgentMetrics) Key() string { return m.Instance }
func (*ConfigUpdate) Topic() Topic  { return ConfigUpdates }
func (*ConfigUpdate) Type() string  { return "aura.config.updated" }
func (c *ConfigUpdate) Key() string { return c.Setting }
func (d *DeadLetter) Topic() Topic  { return d.From.DLQ() }
func (*DeadLetter) Type() string    { return "aura.deadletter" }
func (d *DeadLetter) Key() string   { return d.Subject }

// New returns an empty value of the topic's type, for a decoder; nil for a topic without one.
func New(t Topic) Event {
	if strings.HasSuffix(string(t), ".dlq") {
		return new(DeadLetter)
	}
	switch t {
	case Applications:
		return new(Submitted)
	case Outcomes:
		return new(Observed)
	case RawEvents:
		return new(RawEvent)
	case FeaturesTopic:
		return new(Features)
	case Predictions:
		return new(Prediction)
	case Decisions:
		return new(Decision)
	case FeedbackTopic:
		return new(Feedback)
	case Metrics:
		return new(AgentMetrics)
	case ConfigUpdates:
		return new(ConfigUpdate)
	case Alerts:
		return new(Alert)
	case PolicyRequests:
		return new(PolicyRequest)
	case PolicyDecisions:
		return new(PolicyDecision)
	case IncidentLog:
		return new(IncidentEntry)
	}
	return nil
}

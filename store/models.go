package store

import (
	"time"

	"aura/mlops/schema"
)

// The gorm models: one a table, columns as in migrations.

type storedApplication struct {
	ID         string  `gorm:"primaryKey"`
	ClientID   *string `gorm:"column:client_id"`
	Features   []byte
	BodyDigest []byte
	Source     string
	TraceID    string
	AcceptedAt int64
}

func (storedApplication) TableName() string { return "applications" }

func (r *storedApplication) value() Application {
	a := Application{
		ID: r.ID, ApplicationID: r.ID, Features: r.Features, BodyDigest: r.BodyDigest, Source: r.Source,
		TraceID: r.TraceID, AcceptedAt: fromMicros(r.AcceptedAt),
	}
	if r.ClientID != nil {
		a.ApplicationID = *r.ClientID
	}
	return a
}

type storedDecision struct {
	ID                   string `gorm:"primaryKey"`
	ApplicationID        string
	Decision             string
	ProbabilityOfDefault *float64
	Reasons              string
	ModelVersion         int
	ModelDigest          string
	ChampionGeneration   int64
	Mode                 string
	ModeGeneration       int64
	Rule                 string
	DecidedAt            int64
	LatencyUS            int64 `gorm:"column:latency_us"`
	TraceID              string
	Incarnation          int64
	// of the application
	AcceptedAt int64  `gorm:"->"`
	Source     string `gorm:"->"`
}

func (storedDecision) TableName() string { return "decisions" }

func (r *storedDecision) value() (Decision, error) {
	reasons, err := parseReasons(r.Reasons)
	return Decision{
		ID: r.ID, ApplicationID: r.ApplicationID, AcceptedAt: fromMicros(r.AcceptedAt), Source: r.Source, TraceID: r.TraceID,
		Decision: schema.Outcome(r.Decision), Probability: r.ProbabilityOfDefault, Reasons: reasons,
		ModelVersion: r.ModelVersion, ModelDigest: r.ModelDigest, Generation: r.ChampionGeneration, Mode: Mode(r.Mode),
		ModeGeneration: r.ModeGeneration, Rule: r.Rule, DecidedAt: fromMicros(r.DecidedAt),
		Latency: time.Duration(r.LatencyUS) * time.Microsecond, Incarnation: r.Incarnation,
	}, err
}

type storedFeedback struct {
	ID            int64 `gorm:"primaryKey"`
	Application   string
	ApplicationID string
	Outcome       string
	Kind          string
	ObservedAt    int64
	ReceivedAt    int64
	ToAnnounce    int64
}

func (storedFeedback) TableName() string { return "feedback" }

func (r *storedFeedback) value() Feedback {
	return Feedback{
		ApplicationID: r.ApplicationID, Outcome: Outcome(r.Outcome), Kind: FeedbackKind(r.Kind),
		ObservedAt: fromMicros(r.ObservedAt), ReceivedAt: fromMicros(r.ReceivedAt),
	}
}

type storedSetting struct {
	Setting    string `gorm:"primaryKey"`
	Value      string
	Generation int64
	Owner      string
	Reason     string
	HeldBy     string
	ChangedAt  int64
}

func (storedSetting) TableName() string { return "desired_state" }

func (r *storedSetting) value() Setting {
	return Setting{
		Setting: r.Setting, Value: r.Value, Generation: r.Generation, Owner: r.Owner, Reason: r.Reason, HeldBy: r.HeldBy,
		ChangedAt: fromMicros(r.ChangedAt),
	}
}

type storedConfigChange struct {
	ID         int64 `gorm:"primaryKey"`
	Setting    string
	Value      string
	Previous   string
	Generation int64
	Owner      string
	Reason     string
	HeldBy     string
	ChangedAt  int64
	Person     bool
	ActionID   string
}

func (storedConfigChange) TableName() string { return "config_history" }

func (r *storedConfigChange) value() ConfigChange {
	v := storedSetting{
		Setting: r.Setting, Value: r.Value, Generation: r.Generation, Owner: r.Owner, Reason: r.Reason, HeldBy: r.HeldBy,
		ChangedAt: r.ChangedAt,
	}
	return ConfigChange{ID: r.ID, Setting: v.value(), Previous: r.Previous, Person: r.Person, ActionID: r.ActionID}
}

type storedHealth struct {
	Agent       string `gorm:"primaryKey"`
	Instance    string `gorm:"primaryKey"`
	Incarnation int64
	State       string
	Cause       string
	Watermark   int64
	Queue       int
	BeatAt      int64
	QueueAgeUS  int64 `gorm:"column:queue_age_us"`
	P50US       int64 `gorm:"column:p50_us"`
	Stuck       int64
	Generation  int64
	SavedAt     int64
}

func (storedHealth) TableName() string { return "agent_health" }

type storedMark struct {
	Name  string `gorm:"primaryKey"`
	Value string
}

func (storedMark) TableName() string { return "store_marks" }

package drill

import (
	"context"
	"time"

	"aura/agents/fault"
	"aura/healing/incident"
)

// System is a running process as a drill sees it.
type System interface {
	// Inject makes a fault act and records it, as the API does; it returns the fault with its id and time.
	Inject(ctx context.Context, f fault.Fault) (fault.Fault, error)
	// Stop ends a fault; one that has ended already is no error.
	Stop(ctx context.Context, id string) error
	// Cases are all incidents that are stored, oldest first.
	Cases(ctx context.Context) ([]Case, error)
	// State is what the process says of itself now.
	State(ctx context.Context) (State, error)
	// Figures are measured on the stored applications accepted from one time until before another.
	Figures(ctx context.Context, from, to time.Time) (Figures, error)
	// Rival compares the champion with a model trained on the population that the source sends now; nil where that can't be
	// sampled. It is asked under the fault: by drills of drift after the healing, by those of accuracy before it.
	Rival(ctx context.Context, faults []fault.Fault) (*Rival, error)
}

// Case is an incident as its rows have it: times of execution are those of the actions' rows, which the transaction of the
// effect itself wrote.
type Case struct {
	incident.Incident
	// Learned are the outcomes that memory kept, by action.
	Learned map[string]time.Time
	// Gates are what the gate measured, by the action that trained.
	Gates map[string]Gate
}

// Gate is how a retraining was judged.
type Gate struct {
	Outcome string             `json:"outcome"`
	Reason  string             `json:"reason,omitempty"`
	Numbers map[string]float64 `json:"numbers,omitempty"`
}

// State is what a process says of itself at one time.
type State struct {
	Mode     string
	Champion int
	// Healing is ACTIVE, PAUSED or OFF; Why says why it isn't ACTIVE.
	Healing, Why string
	// Signals are what monitoring says, by fingerprint.
	Signals map[string]Signal
}

// Signal is one judgement of monitoring.
type Signal struct {
	State     string  `json:"state"`
	Value     float64 `json:"value"`
	Threshold float64 `json:"threshold"`
	N         int64   `json:"n"`
}

// well reports whether a signal tells of nothing wrong. A reference that is young says WARMING and is judged by its rule.
func (s Signal) well() bool {
	return s.State == string(incident.Healthy) || s.State == string(incident.Warming)
}

// Figures are measured on applications by when they were accepted.
type Figures struct {
	Accepted int `json:"accepted"`
	Decided  int `json:"decided"`
	// MedianMS is the median time from acceptance to decision, an undecided application counting as slower than all; absent
	// where nothing was accepted.
	MedianMS *float64 `json:"median_ms,omitempty"`
	// SafeMode is the share that the rules decided.
	SafeMode float64 `json:"safe_mode_share"`
	// Accuracy is the share of Outcomes that the model's score had on the right side of 0.5; absent without any.
	Outcomes int      `json:"outcomes"`
	Accuracy *float64 `json:"accuracy,omitempty"`
}

// Rival is the champion beside a model trained on the population that has come, both judged on rows that neither knows.
type Rival struct {
	Rows int `json:"rows"` // judged on
	// Champion and Trained are areas under the curve, the accuracies shares on the right side of 0.5.
	Champion         float64 `json:"champion_auc"`
	Trained          float64 `json:"trained_auc"`
	ChampionAccuracy float64 `json:"champion_accuracy"`
	TrainedAccuracy  float64 `json:"trained_accuracy"`
	// Limit is what the gate lets the champion lack.
	Limit float64 `json:"limit"`
}

package api

import (
	"slices"
	"time"
)

// Incident is one incident in a list.
type Incident struct {
	ID         string    `json:"incident_id"`
	Type       string    `json:"incident_type" doc:"LATENCY_SLO_BREACH, PERF_DROP, DATA_DRIFT, AGENT_DOWN, BUS_DOWN."`
	Status     string    `json:"status" enum:"OPEN,MITIGATING,RESOLVED,FAILED"`
	State      string    `json:"state" doc:"The machine's finer state; GET /api/v1/incidents/graph shows them all."`
	Target     string    `json:"target" doc:"The agent, feature or model that it is about; service for latency."`
	Reason     string    `json:"reason" doc:"Why the state was entered."`
	WaitsFor   string    `json:"waits_for,omitempty" doc:"What has kept an action from being proposed, or an approved one from being executed, for 2 s and more."`
	OnsetAt    time.Time `json:"onset_at,omitzero" doc:"When the trouble began, as the detector estimates it."`
	DetectedAt time.Time `json:"detected_at"`
	ResolvedAt time.Time `json:"resolved_at,omitzero" doc:"When the signal was healthy again. None of what failed, and of a suspicion that ended unconfirmed."`
	Degraded   bool      `json:"degraded" doc:"Safe mode stands."`
	RestoredAt time.Time `json:"restored_at,omitzero" doc:"When the model decided again."`
	UpdatedAt  time.Time `json:"updated_at"`

	SelfRecovered bool     `json:"self_recovered" doc:"It ended without an action's help."`
	ByHand        string   `json:"by_hand,omitempty" doc:"Who did what an action was asked for, before anybody had decided on it."`
	Escalation    string   `json:"escalation,omitempty" doc:"Why a person was called."`
	LastAction    string   `json:"last_action,omitempty" doc:"The newest action and how it ended."`
	Actions       int      `json:"actions" doc:"How many were proposed."`
	Links         []string `json:"links,omitempty" doc:"Related incidents."`
}

// What a person may tell an incident.
const (
	VerbRetry    = "retry"
	VerbEscalate = "escalate"
	VerbClose    = "close"
)

// Verbs that make sense for the incident as it is; whether one is done, the machine decides.
func (i Incident) Verbs() []string {
	switch i.State {
	case "ESCALATED", "OBSERVED":
		return []string{VerbRetry, VerbClose}
	case "DETECTED", "PROPOSED", "AWAITING_APPROVAL", "APPROVED":
		return []string{VerbEscalate}
	}
	return nil
}

// Open reports whether the incident is still worked on.
func (i Incident) Open() bool { return i.Status == "OPEN" || i.Status == "MITIGATING" }

// Unconfirmed reports whether it was a suspicion that ended as one: there was nothing to recover from.
func (i Incident) Unconfirmed() bool { return i.State == "CANCELLED" && i.ResolvedAt.IsZero() }

// Recovery is how long an incident took from detection, in seconds, as the scoreboard counts it; of one that counts nowhere, why
// in words; of an open one, or one that failed, neither.
func (i Incident) Recovery() (seconds float64, why string) {
	switch {
	case i.Unconfirmed():
		return 0, "never confirmed"
	case i.SelfRecovered && i.ByHand != "":
		return 0, "by hand"
	case i.SelfRecovered:
		return 0, "by itself"
	case i.ResolvedAt.IsZero():
		return 0, ""
	}
	return i.ResolvedAt.Sub(i.DetectedAt).Seconds(), ""
}

// IncidentDetail is all that is known of an incident.
type IncidentDetail struct {
	Incident
	Steps       []Step         `json:"steps" doc:"detect, propose, approve, execute, verify, learn."`
	Signal      Evidence       `json:"evidence" doc:"What the detector saw last."`
	Ladder      []Rung         `json:"ladder" doc:"What may be tried, in this order."`
	OrderReason string         `json:"order_reason,omitempty" doc:"Why the ladder has this order."`
	ActionLog   []Action       `json:"action_log" doc:"Every action ever proposed, in order."`
	Timeline    []TimelineStep `json:"timeline" doc:"Every change of state: at most the first and the newest ones."`
	DryRun      bool           `json:"dry_run,omitempty"`

	EarlierDetectedAt []time.Time `json:"earlier_detected_at,omitempty" doc:"When it was detected before detected_at: it ended and came back each time."`
}

// Since is how long after the start of its episode something was, in seconds, and in which episode: 1 is the first, each
// relapse begins another. The newest starts with the onset, or with detection where no onset is known; of the ones before,
// only detection is kept, and of the first when it was opened. false: it was before all of them, or never.
func (d IncidentDetail) Since(t time.Time) (seconds float64, episode int, known bool) {
	start := d.OnsetAt
	if start.IsZero() || start.After(d.DetectedAt) {
		start = d.DetectedAt
	}
	starts := append(slices.Clone(d.EarlierDetectedAt), start)
	if len(starts) > 1 && len(d.Timeline) > 0 && d.Timeline[0].At.Before(starts[0]) {
		starts[0] = d.Timeline[0].At
	}
	for n, s := range slices.Backward(starts) {
		if !t.IsZero() && !t.Before(s) {
			return t.Sub(s).Seconds(), n + 1, true
		}
	}
	return 0, 0, false
}

// Judgeable reports whether there is an executed action to say something about.
func (d IncidentDetail) Judgeable() bool {
	for _, a := range d.ActionLog {
		if !a.ExecutedAt.IsZero() && !a.Undo {
			return true
		}
	}
	return false
}

// States of a step.
const (
	StepDone    = "done"
	StepNow     = "now"
	StepWaiting = "waiting"
	StepFailed  = "failed"
	StepSkipped = "skipped"
)

// Step is one of the six of every healing, with the times that people compare.
type Step struct {
	Name        string    `json:"step" enum:"detect,propose,approve,execute,verify,learn"`
	State       string    `json:"state" enum:"done,now,waiting,failed,skipped"`
	At          time.Time `json:"at,omitzero"`
	SinceOnsetS *float64  `json:"since_onset_s,omitempty" doc:"From the onset, or from detection where none is known."`
	TookS       *float64  `json:"took_s,omitempty" doc:"Since the step before."`
	Text        string    `json:"text,omitempty"`
}

// TimelineStep is one change of state.
type TimelineStep struct {
	Seq      int       `json:"seq"`
	At       time.Time `json:"at"`
	From     string    `json:"from,omitempty"`
	State    string    `json:"state"`
	Event    string    `json:"event,omitempty"`
	Action   string    `json:"action_type,omitempty"`
	ActionID string    `json:"action_id,omitempty"`
	Text     string    `json:"text"`
}

// Evidence is a signal as an incident keeps it.
type Evidence struct {
	State      string             `json:"state"`
	Words      string             `json:"words" doc:"All of it for a person."`
	Value      float64            `json:"value"`
	Threshold  float64            `json:"threshold"`
	N          int64              `json:"n" doc:"Samples that the value rests on."`
	ObservedAt time.Time          `json:"observed_at,omitzero"`
	DataBug    string             `json:"data_bug,omitempty" doc:"A bug of the input that explains it: a person's matter."`
	Numbers    map[string]float64 `json:"numbers,omitempty"`
	Detail     map[string]any     `json:"detail,omitempty"`
}

// Rung is one step of the ladder.
type Rung struct {
	Rung         int               `json:"rung"`
	Action       string            `json:"action_type"`
	Params       map[string]string `json:"params,omitempty"`
	Requires     []string          `json:"requires,omitempty"`
	Verification string            `json:"verification,omitempty"`
	Protect      bool              `json:"protect,omitempty" doc:"It protects while the next rungs heal."`
	Why          string            `json:"why,omitempty" doc:"Why it stands at this place."`
	State        string            `json:"state" enum:"done,now,waiting,failed,skipped"`
	Note         string            `json:"note,omitempty" doc:"How it ended."`
}

// Action is one action of an incident, executed or not.
type Action struct {
	ID          string             `json:"action_id"`
	IncidentID  string             `json:"incident_id"`
	Type        string             `json:"action_type"`
	Target      string             `json:"target,omitempty"`
	Params      map[string]string  `json:"params,omitempty"`
	Purpose     string             `json:"purpose,omitempty" doc:"FORWARD, UNDO or RESTORE."`
	Rung        int                `json:"rung"`
	Undo        bool               `json:"undo" doc:"It takes an earlier action back."`
	Asked       bool               `json:"asked" doc:"Governance was asked. Where it wasn't, what the action needs was missing, and reason says what."`
	AGLDecision string             `json:"agl_decision,omitempty" enum:"PENDING,APPROVED,DENIED,MODIFIED,ESCALATED" doc:"Governance's; absent where it was not asked, or the request was withdrawn before it had answered."`
	Rule        string             `json:"rule,omitempty" doc:"The rule of policy that fired."`
	Approver    string             `json:"approver,omitempty"`
	Digest      string             `json:"digest,omitempty"`
	ProposedAt  time.Time          `json:"proposed_at"`
	DecidedAt   time.Time          `json:"decided_at,omitzero"`
	ExecutedAt  time.Time          `json:"executed_at,omitzero" doc:"When it took effect."`
	EndedAt     time.Time          `json:"ended_at,omitzero"`
	UndoneAt    time.Time          `json:"undone_at,omitzero"`
	Result      string             `json:"result,omitempty" doc:"VERIFIED, UNDONE, NOT_HELD, REFUSED, DENIED, WITHDRAWN, ...; absent while it goes on."`
	Reason      string             `json:"reason,omitempty" doc:"Why it ended; while it is carried out, how far it is."`
	Before      map[string]float64 `json:"before,omitempty"`
	After       map[string]float64 `json:"after,omitempty"`
	Verdict     *Verdict           `json:"verdict,omitempty"`
	Needless    *bool              `json:"needless,omitempty" doc:"By verdict of a person: the incident would have ended without it."`
}

// Leave is governance's decision in a word, or why there is none.
func (a Action) Leave() string {
	switch {
	case a.AGLDecision != "":
		return a.AGLDecision
	case a.Asked:
		return "not decided"
	}
	return "not asked"
}

// Verdict is what verification says of an action, on applications accepted after it.
type Verdict struct {
	State         string    `json:"state" doc:"HEALTHY, CONFIRMED (still bad) or UNKNOWN."`
	Lower         float64   `json:"lower" doc:"Of drift: lower bound of the largest PSI; else of the 95 % interval of the share of bad samples."`
	Upper         float64   `json:"upper" doc:"Upper bound of that interval; 0 for drift."`
	N             int64     `json:"n"`
	At            time.Time `json:"at,omitzero"`
	SelfRecovered bool      `json:"self_recovered,omitempty"`
	Worse         string    `json:"worse,omitempty"`
	Reason        string    `json:"reason,omitempty"`
}

// Graph is the incident machine as declared in code.
type Graph struct {
	States  []string `json:"states"`
	Initial string   `json:"initial"`
	Final   []string `json:"final"`
	Arrows  []Arrow  `json:"arrows"`
	Mermaid string   `json:"-"`
	Dot     string   `json:"-"`
}

// Arrow is one transition.
type Arrow struct {
	From  string `json:"from"`
	To    string `json:"to"`
	Event string `json:"event,omitempty" doc:"Absent: as soon as the condition holds."`
	When  string `json:"when"`
}

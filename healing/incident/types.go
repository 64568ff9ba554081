package incident

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Incident is one incident, complete: what is needed to go on after a crash, and what a person wants to read.
type Incident struct {
	ID          string   `json:"incident_id"`
	Kind        string   `json:"incident_type"`
	Fingerprint string   `json:"fingerprint"`
	Covers      []string `json:"covers,omitempty"` // fingerprints of causes that this one took over
	Target      string   `json:"target"`
	Status      Status   `json:"status"`
	State       State    `json:"state"`
	Reason      string   `json:"reason"` // why the state was entered

	OpenedAt      time.Time  `json:"opened_at"`
	OnsetAt       time.Time  `json:"onset_at,omitzero"`    // estimated start of the fault
	DetectedAt    time.Time  `json:"detected_at,omitzero"` // CONFIRMED, the last time that it came; zero while only suspected (see Detected)
	Seen          *Seen      `json:"seen,omitempty"`       // the signal then
	With          []Drift    `json:"with,omitempty"`       // other features that drift with it
	EnteredAt     time.Time  `json:"entered_at"`           // of the state
	DeadlineAt    time.Time  `json:"deadline_at,omitzero"` // of the state; zero only when final
	SentAt        time.Time  `json:"sent_at,omitzero"`     // the state's effects were last emitted
	ResolvedAt    time.Time  `json:"resolved_at,omitzero"`
	RestoredAt    time.Time  `json:"restored_at,omitzero"` // the model decides again
	ClosedAt      time.Time  `json:"closed_at,omitzero"`   // entered a final state
	Degraded      bool       `json:"degraded"`             // safe mode stands
	SelfRecovered bool       `json:"self_recovered,omitempty"`
	Escalation    Escalation `json:"escalation,omitempty"`
	Escalations   int        `json:"escalations,omitempty"` // how often a person was called
	Reminders     int        `json:"reminders,omitempty"`   // of them, those since the last one that had a new reason

	Ladder      []Rung `json:"ladder"`
	OrderReason string `json:"order_reason"` // why the ladder has this order
	RungIndex   int    `json:"rung_index"`   // the rung in progress, or the next to try
	// PassAt is when the ladder was begun again; zero while it is climbed for the first time.
	PassAt time.Time `json:"pass_at,omitzero"`

	Queue []Link `json:"queue,omitempty"` // what is still to be done of the rung, after its first action

	Actions   []Action `json:"actions"`              // each action ever proposed, in order
	CurrentID string   `json:"current_id,omitempty"` // the action in progress
	Seq       int      `json:"seq"`                  // makes ids

	Signal       Signal      `json:"signal"`                 // the newest
	HealthySince time.Time   `json:"healthy_since,omitzero"` // HEALTHY without a break since
	Shadow       Shadow      `json:"shadow"`                 // the model, seen beside safe mode
	ShadowSince  time.Time   `json:"shadow_since,omitzero"`  // HEALTHY without a break since
	ChangedAt    time.Time   `json:"changed_at,omitzero"`    // an action of ours last took effect or was taken back
	RestoreAfter time.Time   `json:"restore_after,omitzero"` // leaving safe mode is not asked for before
	Steps        int         `json:"steps"`                  // transitions so far; numbers the timeline
	ModeChanges  []time.Time `json:"mode_changes,omitempty"` // by this incident
	Trips        int         `json:"trips,omitempty"`        // of the flap guard
	Relapses     []time.Time `json:"relapses,omitempty"`     // after it was healed; a person's RETRY forgets them
	Detections   []time.Time `json:"detections,omitempty"`   // before DetectedAt, oldest first: it ended and came back
	Paused       bool        `json:"paused,omitempty"`
	DryRun       bool        `json:"dry_run,omitempty"`
	Links        []string    `json:"links,omitempty"` // related incidents
	Pending      *TakeOver   `json:"pending_take_over,omitempty"`
	HeldUntil    time.Time   `json:"held_until,omitzero"` // a person's hold stood in a rung's way until then
	ByHand       string      `json:"by_hand,omitempty"`   // who did what was asked for, before anybody had decided
	ByHandAt     time.Time   `json:"by_hand_at,omitzero"`
	Settings     Settings    `json:"settings"`
	Obstacle     *Obstacle   `json:"obstacle,omitempty"` // why it doesn't act, while it would
	Timeline     []Entry     `json:"timeline"`           // at most maxTimeline, the first and the newest
}

// Detected is the time for the detected_at column: confirmation, or opening while nothing is confirmed.
func (in Incident) Detected() time.Time {
	if in.DetectedAt.IsZero() {
		return in.OpenedAt
	}
	return in.DetectedAt
}

// Earlier reports whether an action ended before the present pass of the ladder began: it is no part of it.
func (in Incident) Earlier(a Action) bool {
	return a.ID != in.CurrentID && a.ProposedAt.Before(in.PassAt) && !a.EndedAt.IsZero() && !a.EndedAt.After(in.PassAt)
}

// Seen is what a signal said when it was confirmed.
type Seen struct {
	Value     float64 `json:"value"`
	Threshold float64 `json:"threshold"`
	N         int64   `json:"n"`
	Words     string  `json:"words,omitempty"`
}

// Drift is another feature that drifts with the one that an incident is about.
type Drift struct {
	Target  string    `json:"target"`
	PSI     float64   `json:"psi"`
	OnsetAt time.Time `json:"onset_at,omitzero"`
}

// AlsoDrifting names the other features for a person, "" for none.
func (in Incident) AlsoDrifting() string {
	list := make([]string, len(in.With))
	for i, d := range in.With {
		list[i] = fmt.Sprintf("%s (PSI %.2f)", d.Target, d.PSI)
	}
	return orNothing("also drifting with it: ", strings.Join(list, ", "))
}

// Rung is one step of the ladder, as the playbook has it.
type Rung struct {
	Action       string              `json:"action"`
	Params       map[string]string   `json:"params,omitempty"`
	Requires     []string            `json:"requires,omitempty"` // facts that must be true: of the signal, else tested by the agent when the policy is asked
	Verification string              `json:"verification"`       // what shows that it helped, see VERIFY
	Then         map[string][]string `json:"then,omitempty"`     // executor's outcome -> actions that follow in the same rung
	Protect      bool                `json:"protect,omitempty"`  // it protects while the next rungs heal: not verified by itself
	ExecuteTTL   time.Duration       `json:"execute_within,omitempty"`
	VerifyTTL    time.Duration       `json:"verify_within,omitempty"`
	Dwell        time.Duration       `json:"dwell,omitempty"`     // the verdict must stay HEALTHY that long
	Cooldown     time.Duration       `json:"cooldown,omitempty"`  // handed to policy
	Why          string              `json:"why,omitempty"`       // why it stands at this position
	NotBefore    time.Time           `json:"not_before,omitzero"` // a limit that the clock lifts stood in its way: it is asked again then
	Waits        int                 `json:"waits,omitempty"`     // how often that was so
}

// Link is a follow-up action of a rung.
type Link struct {
	Action string            `json:"action"`
	Params map[string]string `json:"params,omitempty"`
}

// Action is one action from proposal to end: a row of healing_actions.
type Action struct {
	ID           string             `json:"action_id"`
	RequestID    string             `json:"request_id"`
	Type         string             `json:"action_type"`
	Params       map[string]string  `json:"params,omitempty"`
	Inverse      *Inverse           `json:"inverse,omitempty"`
	Digest       string             `json:"digest,omitempty"` // of action, params and inverse, from the policy decision
	Purpose      Purpose            `json:"purpose"`
	Rung         int                `json:"rung"`
	Protect      bool               `json:"protect,omitempty"`      // it stands while the next rungs heal
	Follows      bool               `json:"follows,omitempty"`      // a later action of its rung
	AGL          string             `json:"agl_decision,omitempty"` // empty where it ended without one
	Rule         string             `json:"rule,omitempty"`         // that decided
	Approver     string             `json:"approver,omitempty"`
	Asks         int                `json:"asks"`
	Envelope     json.RawMessage    `json:"envelope,omitempty"` // the signed decision, for the executor
	Result       Result             `json:"result,omitempty"`
	Reason       string             `json:"reason,omitempty"`
	Progress     string             `json:"progress,omitempty"` // how far it was, as its executor said last
	ProposedAt   time.Time          `json:"proposed_at"`
	DecidedAt    time.Time          `json:"decided_at,omitzero"`
	ExpiresAt    time.Time          `json:"expires_at,omitzero"` // of approval or envelope
	NotBefore    time.Time          `json:"not_before,omitzero"` // a limit that the clock lifts stood in its way: it is asked for again then
	SentAt       time.Time          `json:"sent_at,omitzero"`    // handed to the executor
	StartedAt    time.Time          `json:"started_at,omitzero"`
	ExecutedAt   time.Time          `json:"executed_at,omitzero"` // took effect: verdicts count data accepted after it
	EndedAt      time.Time          `json:"ended_at,omitzero"`
	HealthySince time.Time          `json:"healthy_since,omitzero"` // verdicts HEALTHY without a break since
	Verdict      *Verdict           `json:"verdict,omitempty"`      // the newest
	NoCredit     string             `json:"no_credit,omitempty"`    // why it earns none: what memory, scoreboard and people are told
	Before       map[string]float64 `json:"before,omitempty"`
	After        map[string]float64 `json:"after,omitempty"`
	Undo         *UndoRecord        `json:"undo,omitempty"`
}

// Inverse is the action that takes another one back.
type Inverse struct {
	Type   string            `json:"action_type"`
	Params map[string]string `json:"params,omitempty"`
}

// UndoRecord is the undo of an action.
type UndoRecord struct {
	ID        string          `json:"action_id"` // the action's id + "/undo"
	RequestID string          `json:"request_id"`
	AGL       string          `json:"agl_decision"` // empty where there is nothing to take back, only to fence
	Rule      string          `json:"rule,omitempty"`
	Envelope  json.RawMessage `json:"envelope,omitempty"`
	Reason    string          `json:"reason"`
	AskedAt   time.Time       `json:"asked_at"`
	HeldUntil time.Time       `json:"held_until,omitzero"` // a person is asked until then
	EndedAt   time.Time       `json:"ended_at,omitzero"`
	OK        bool            `json:"ok"`
	Blameless bool            `json:"blameless,omitempty"` // what followed was not allowed, or there was nothing to act on: it says nothing about the action
	Asks      int             `json:"asks,omitempty"`      // times that its approval came too late and was asked for again
}

// Signal is an alert, level-triggered.
type Signal struct {
	Kind        string             `json:"kind"`
	Target      string             `json:"target"`
	Instance    string             `json:"instance,omitempty"` // of an agent: the one that is worst
	Fingerprint string             `json:"fingerprint"`
	State       SignalState        `json:"state"`
	Value       float64            `json:"value"`
	Threshold   float64            `json:"threshold"`
	N           int64              `json:"n"`
	Words       string             `json:"words,omitempty"` // all of that for a person
	ObservedAt  time.Time          `json:"observed_at,omitzero"`
	WindowFrom  time.Time          `json:"window_from,omitzero"` // the data judged was accepted after
	OnsetAt     time.Time          `json:"onset_at,omitzero"`
	Facts       map[string]bool    `json:"facts,omitempty"` // what rungs may require, such as previous_better
	With        []Drift            `json:"with,omitempty"`  // confirmed drifts that are a consequence of this one
	Numbers     map[string]float64 `json:"numbers,omitempty"`
	Evidence    json.RawMessage    `json:"evidence,omitempty"`
	DataBug     string             `json:"data_bug,omitempty"` // named bug of the input: a person's matter
	NotYet      string             `json:"not_yet,omitempty"`  // why CONFIRMED must wait, such as a handler past its deadline
}

// Shadow is the model as the trickle beside safe mode shows it.
type Shadow struct {
	State      SignalState        `json:"state,omitempty"`
	N          int64              `json:"n,omitempty"`
	ObservedAt time.Time          `json:"observed_at,omitzero"`
	Numbers    map[string]float64 `json:"numbers,omitempty"`
	Reason     string             `json:"reason,omitempty"`
}

// Verdict is what verification says about an action, on data accepted after it. It is repeated while it holds.
type Verdict struct {
	State      SignalState `json:"state"`           // HEALTHY, CONFIRMED (still bad) or UNKNOWN
	Worse      string      `json:"worse,omitempty"` // another signal that got worse: as bad
	Lower      float64     `json:"lower"`           // interval of the judged value
	Upper      float64     `json:"upper"`
	N          int64       `json:"n"`
	From       time.Time   `json:"from"` // the data judged was accepted after
	ObservedAt time.Time   `json:"observed_at"`
	// SelfRecovered: the control shows that the fault had ended without the action.
	SelfRecovered bool               `json:"self_recovered,omitempty"`
	Numbers       map[string]float64 `json:"numbers,omitempty"`
	Reason        string             `json:"reason,omitempty"`
}

// told is what was judged, for people.
func (v *Verdict) told() string {
	return cmp.Or(v.Reason, fmt.Sprintf("between %.4g and %.4g, %d samples", v.Lower, v.Upper, v.N))
}

// TakeOver is a more specific cause for the same incident.
type TakeOver struct {
	Signal      Signal `json:"signal"`
	Ladder      []Rung `json:"ladder"`
	OrderReason string `json:"order_reason"`
}

// Entry is a step of the timeline.
type Entry struct {
	Seq      int       `json:"seq"`
	At       time.Time `json:"at"`
	From     State     `json:"from,omitempty"`
	State    State     `json:"state"`
	Event    EventType `json:"event"`
	ActionID string    `json:"action_id,omitempty"`
	Action   string    `json:"action,omitempty"`
	Text     string    `json:"text"`
}

package incident

import (
	"encoding/json"
	"errors"
	"time"
)

// EventType names what happened.
type EventType string

// The events. Each says which fields of Event it needs.
const (
	EvSignal     EventType = "SIGNAL"         // Signal
	EvShadow     EventType = "SHADOW"         // Shadow
	EvDecision   EventType = "DECISION"       // Decision
	EvStarted    EventType = "STARTED"        // ActionID
	EvProgress   EventType = "PROGRESS"       // ActionID, Reason: how far it is, for people
	EvSucceeded  EventType = "SUCCEEDED"      // ActionID, At (took effect), Outcome, Params (for what follows), Numbers and Reason of the outcome
	EvFailed     EventType = "FAILED"         // ActionID, Reason: broken, and it may have taken effect
	EvRefused    EventType = "REFUSED"        // ActionID, Reason, Expired: it could not run, nothing changed
	EvUnsent     EventType = "UNSENT"         // ActionID: who was to execute it is gone, it never took effect and never will
	EvVerdict    EventType = "VERDICT"        // ActionID, Verdict
	EvUndone     EventType = "UNDONE"         // ActionID (of the undo), At
	EvUndoFailed EventType = "UNDO_FAILED"    // ActionID (of the undo), Reason, Expired
	EvPerson     EventType = "PERSON_CHANGED" // Setting (as Touches names it), Value, By
	EvPause      EventType = "PAUSE"          // By
	EvResume     EventType = "RESUME"         // By
	EvDryRun     EventType = "DRY_RUN"        // On
	EvTakeOver   EventType = "TAKE_OVER"      // TakeOver
	EvRetry      EventType = "RETRY"          // By, Reason: a person starts the ladder again
	EvEscalate   EventType = "ESCALATE"       // By, Reason: a person takes it from the healer
	EvClose      EventType = "CLOSE"          // By, Reason: a person ends what nothing else will end
	EvTick       EventType = "TICK"           // nothing: time passed
)

// Event is what happened to an incident. Every event may carry Busy.
type Event struct {
	Type     EventType         `json:"type"`
	At       time.Time         `json:"at,omitzero"`
	ActionID string            `json:"action_id,omitempty"`
	Signal   *Signal           `json:"signal,omitempty"`
	Shadow   *Shadow           `json:"shadow,omitempty"`
	Decision *Decision         `json:"decision,omitempty"`
	Verdict  *Verdict          `json:"verdict,omitempty"`
	TakeOver *TakeOver         `json:"take_over,omitempty"`
	Outcome  string            `json:"outcome,omitempty"` // key of the rung's Then: promote, keep, none, ...
	Params   map[string]string `json:"params,omitempty"`
	// Numbers that an action found out, such as a training's.
	Numbers map[string]float64 `json:"numbers,omitempty"`
	Reason  string             `json:"reason,omitempty"`
	// Blameless: that the outcome leads nowhere says nothing about the action.
	Blameless bool      `json:"blameless,omitempty"`
	Expired   bool      `json:"expired,omitempty"` // REFUSED because the envelope expired: it is asked again
	Until     time.Time `json:"until,omitzero"`    // REFUSED only until then: a person holds the setting
	Setting   string    `json:"setting,omitempty"`
	Value     string    `json:"value,omitempty"`
	By        string    `json:"by,omitempty"`
	On        bool      `json:"on,omitempty"`
	// Ladder, if given, is the one to start again with (RETRY, or a SIGNAL that is a relapse): the playbook as it is now,
	// ranked by what is known now.
	Ladder      []Rung `json:"ladder,omitempty"`
	OrderReason string `json:"order_reason,omitempty"`
	// Busy is the incident that holds what this one's next action touches, as Locked finds it; empty: free. It counts for
	// this step only, so every event for an incident that may act carries it.
	Busy string `json:"busy,omitempty"`
}

// Decision is governance's answer to a policy request.
type Decision struct {
	RequestID string          `json:"request_id"`
	AGL       string          `json:"agl_decision"`
	Rule      string          `json:"rule,omitempty"`
	Reason    string          `json:"reason,omitempty"`
	Approver  string          `json:"approver,omitempty"`
	Digest    string          `json:"digest,omitempty"`
	ExpiresAt time.Time       `json:"expires_at,omitzero"` // of the envelope, or of the wait for a person
	RetryAt   time.Time       `json:"retry_at,omitzero"`   // DENIED only until then, by a limit that the clock lifts
	Envelope  json.RawMessage `json:"envelope,omitempty"`
	// Params and Inverse, if given, are the ones the digest binds: what the requester resolved, or a person MODIFIED.
	Params  map[string]string `json:"params,omitempty"`
	Inverse *Inverse          `json:"inverse,omitempty"`
}

// EffectType names what the agent has to do.
type EffectType string

// The effects. All are idempotent by Effect.ID.
const (
	// FxPolicy: resolve params and inverse, check preconditions (else REFUSED), store the policy request; answer DECISION.
	// The request's row is written once by RequestID, so that asking again finds it and its answer.
	FxPolicy EffectType = "REQUEST_POLICY"
	// FxWithdraw: the request RequestID is not needed any more; if its action has not taken effect, it never may.
	FxWithdraw EffectType = "WITHDRAW_REQUEST"
	// FxExecute: hand Action with its envelope to the executor. Known ActionID: answer what became of it, don't run it
	// again and don't look at the envelope. Answers: STARTED, now and then PROGRESS, then SUCCEEDED, FAILED or REFUSED.
	FxExecute EffectType = "EXECUTE"
	// FxVerify: start judging data accepted after After, by Verification; answer VERDICT at least each second.
	FxVerify EffectType = "VERIFY"
	// FxUndo: make sure that the action Undoes never takes effect later, and if it did, take it back by Action.Inverse with
	// the undo's envelope. Without an inverse: only the fence. Answers: UNDONE or UNDO_FAILED.
	FxUndo EffectType = "UNDO"
	// FxNotify: call a person: event, log, page, webhook.
	FxNotify EffectType = "NOTIFY"
	// FxRemember: give Memory to the memory.
	FxRemember EffectType = "REMEMBER"
	// FxLog: publish the timeline's new step on incident-log and in the audit.
	FxLog EffectType = "LOG"
)

// Effect is something for the agent to do after the incident has been saved.
type Effect struct {
	ID           string        `json:"id"`
	Type         EffectType    `json:"type"`
	IncidentID   string        `json:"incident_id"`
	RequestID    string        `json:"request_id,omitempty"`
	Purpose      Purpose       `json:"purpose,omitempty"`
	Action       *Action       `json:"action,omitempty"`   // copy
	Undoes       string        `json:"undoes,omitempty"`   // UNDO and its policy request: action id that is taken back
	Requires     []string      `json:"requires,omitempty"` // REQUEST_POLICY: facts to test first
	Touches      []string      `json:"touches,omitempty"`  // settings that the action changes
	Cooldown     time.Duration `json:"cooldown,omitempty"` // of the rung
	After        time.Time     `json:"after,omitzero"`
	Verification string        `json:"verification,omitempty"`
	Escalation   Escalation    `json:"escalation,omitempty"`
	Text         string        `json:"text,omitempty"`
	Entry        *Entry        `json:"entry,omitempty"`
	Memory       *Memory       `json:"memory,omitempty"`
}

// Memory is what an action, or doing nothing, was worth in this incident.
type Memory struct {
	Kind          string             `json:"incident_type"`
	Fingerprint   string             `json:"fingerprint"`
	Action        string             `json:"action_type"` // empty: it ended before anything was done
	ActionID      string             `json:"action_id"`
	Held          bool               `json:"held"`
	SelfRecovered bool               `json:"self_recovered"`
	NoCredit      string             `json:"no_credit,omitempty"` // why it earns none
	Before        map[string]float64 `json:"before,omitempty"`
	After         map[string]float64 `json:"after,omitempty"`
	Seconds       float64            `json:"seconds"` // from proposal to the end of the action
	At            time.Time          `json:"at"`
}

// Errors of Step: the caller's mistakes. An event that merely doesn't fit the state is no error.
var (
	ErrEvent    = errors.New("incident: not an event")          // unknown type, or a field that the type needs is missing
	ErrIncident = errors.New("incident: not a usable incident") // unknown state, or no id
)

// Start is what Open needs.
type Start struct {
	ID          string
	Signal      Signal
	Ladder      []Rung // ranked
	OrderReason string
	Links       []string
	Settings    Settings
	Relapses    []time.Time // of the incident that a person's change ended, which this one goes on from
	Paused      bool
	DryRun      bool
	Busy        string
}

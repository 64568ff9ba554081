package incident

import "time"

// Status is the coarse state that people's queries use.
type Status string

// The four statuses.
const (
	StatusOpen       Status = "OPEN"       // nothing was executed yet
	StatusMitigating Status = "MITIGATING" // at least one action was executed
	StatusResolved   Status = "RESOLVED"   // the signal was shown healthy; degraded tells whether the model is back
	StatusFailed     Status = "FAILED"     // ended without that
)

// State is the finer state.
type State string

// The states. The last five are final, RESOLVED only until a relapse.
const (
	Suspected        State = "SUSPECTED"         // the first tier alarms, nothing is confirmed
	Detected         State = "DETECTED"          // confirmed; choosing the rung, or waiting until it may be proposed
	Proposed         State = "PROPOSED"          // a policy decision was asked for
	AwaitingApproval State = "AWAITING_APPROVAL" // governance holds it for a person
	Approved         State = "APPROVED"          // a signed decision is here; the cause is tested again on fresh data
	Executing        State = "EXECUTING"         // the action was handed to its executor
	Verifying        State = "VERIFYING"         // executed; waiting for the verdict on data accepted afterwards
	Undoing          State = "UNDOING"           // executed actions of the rung are taken back, the last one first
	Degraded         State = "DEGRADED"          // healthy in safe mode; waiting for the model to be shown healthy
	Escalated        State = "ESCALATED"         // a person was called; still watched
	Observed         State = "OBSERVED"          // dry run: what would have been done is recorded; still watched
	Resolved         State = "RESOLVED"          // healthy on post-action data, and the model decides
	Cancelled        State = "CANCELLED"         // the cause went away before anything stood
	Superseded       State = "SUPERSEDED"        // a person changed the very setting
	Failed           State = "FAILED"            // nobody could heal it in time
)

// Final reports whether nothing but a relapse follows.
func (s State) Final() bool {
	return s == Resolved || s == Cancelled || s == Superseded || s == Failed
}

// Incident kinds (incident_type).
const (
	LatencySLOBreach = "LATENCY_SLO_BREACH"
	PerfDrop         = "PERF_DROP"
	DataDrift        = "DATA_DRIFT"
	AgentDown        = "AGENT_DOWN"
	BusDown          = "BUS_DOWN" // only notifies a person
)

// Action types.
const (
	EnableSafeMode    = "ENABLE_SAFE_MODE"
	DisableSafeMode   = "DISABLE_SAFE_MODE"
	RollbackModel     = "ROLLBACK_MODEL"
	RestoreModel      = "RESTORE_MODEL"
	TriggerRetraining = "TRIGGER_RETRAINING"
	PromoteModel      = "PROMOTE_MODEL"
	AcceptReference   = "ACCEPT_REFERENCE"
	RestoreReference  = "RESTORE_REFERENCE"
	RestartAgent      = "RESTART_AGENT"
)

// Values of agl_decision.
const (
	AGLPending   = "PENDING"
	AGLApproved  = "APPROVED"
	AGLDenied    = "DENIED"
	AGLModified  = "MODIFIED"
	AGLEscalated = "ESCALATED" // held for a person
)

// SignalState is what a signal says.
type SignalState string

// The states of a signal.
const (
	Healthy   SignalState = "HEALTHY"
	Suspect   SignalState = "SUSPECT"
	Confirmed SignalState = "CONFIRMED"
	Unknown   SignalState = "UNKNOWN"
	Warming   SignalState = "WARMING" // as UNKNOWN: nothing may be concluded
)

// Result is how an action ended.
type Result string

// Results. Empty: not ended. Refused, Denied, Withdrawn and DryRun: it never took effect.
const (
	Verified     Result = "VERIFIED"   // the incident was shown healthy while it stood
	Undone       Result = "UNDONE"     // taken back by its inverse
	Stood        Result = "STOOD"      // executed and stands, but it isn't what was verified: no credit
	NotHeld      Result = "NOT_HELD"   // executed, did not help, has no inverse
	HandedOver   Result = "ESCALATED"  // executed, stands, a person was called
	TakenOver    Result = "SUPERSEDED" // executed, then a person changed the setting
	Refused      Result = "REFUSED"    // the rung could not run; nothing changed
	Denied       Result = "DENIED"     // governance said no, or nobody said yes in time
	Withdrawn    Result = "WITHDRAWN"  // the cause went away, or a more specific one took over
	ErrorResult  Result = "ERROR"      // the executor failed and vouches that nothing changed
	DryRunResult Result = "DRY_RUN"    // would have been executed
)

// Why an action earns no credit although the incident ended well (Action.NoCredit).
const (
	NoCreditSelf   = "it ended by itself" // the action was needless
	NoCreditPerson = "it ended after a person was called, and no action was verified"
	NoCreditOther  = "it stood while another action was verified"
)

// Purpose tells what an action is for.
type Purpose string

// Purposes. Undo and restore use no budget and are not stopped by a pause.
const (
	Forward Purpose = "FORWARD"
	Undo    Purpose = "UNDO"
	Restore Purpose = "RESTORE" // leaving safe mode because the model is healthy again
)

// Escalation says why a person was called.
type Escalation string

// Reasons to call a person.
const (
	EscLadderEnd  Escalation = "LADDER_END"  // every rung was tried, refused or denied
	EscDataBug    Escalation = "DATA_BUG"    // the input is broken; no model may learn from it
	EscNotifyOnly Escalation = "NOTIFY_ONLY" // a kind that automation never heals
	EscWaited     Escalation = "WAITED"      // could not act in time: paused, target busy, signal unknown
	EscSuspicion  Escalation = "SUSPICION"   // suspect for long, never confirmed
	EscNoDecision Escalation = "NO_DECISION" // governance did not answer
	EscUndoFailed Escalation = "UNDO_FAILED" // an action stands that should not
	EscFlapping   Escalation = "FLAPPING"    // the breaker: too many changes of mode, or relapses
	EscDegraded   Escalation = "DEGRADED"    // in safe mode for long
	EscPerson     Escalation = "PERSON"      // a person asked for it
	EscApproval   Escalation = "APPROVAL"    // an action waits for a person's decision; the incident goes on by itself
)

// Settings are the limits of one machine; zero fields take the default.
type Settings struct {
	StaleAfter     time.Duration `json:"stale_after"`      // a signal older than this is UNKNOWN (3 s)
	SuspectedTTL   time.Duration `json:"suspected_ttl"`    // SUSPECTED at most (10 min)
	DetectedTTL    time.Duration `json:"detected_ttl"`     // waiting to act at most (10 min)
	DecisionTTL    time.Duration `json:"decision_ttl"`     // governance answers within (30 s)
	ApprovalTTL    time.Duration `json:"approval_ttl"`     // a person answers within, if the decision names no expiry (10 min)
	ApprovedTTL    time.Duration `json:"approved_ttl"`     // an approval lasts, if it names no expiry (5 min)
	ExecuteTTL     time.Duration `json:"execute_ttl"`      // an action takes at most, if its rung says nothing (30 s)
	VerifyTTL      time.Duration `json:"verify_ttl"`       // a verdict takes at most, if its rung says nothing (60 s)
	UndoTTL        time.Duration `json:"undo_ttl"`         // one undo takes at most (60 s)
	DegradedTTL    time.Duration `json:"degraded_ttl"`     // in safe mode before a person is called (30 min)
	EscalatedTTL   time.Duration `json:"escalated_ttl"`    // with a person before it counts as failed (1 h)
	ClearDwell     time.Duration `json:"clear_dwell"`      // HEALTHY that long before a cause counts as gone (2 s)
	CalledDwell    time.Duration `json:"called_dwell"`     // the same once a person was called for what healing can't mend, and that much longer for each relapse (15 s)
	RestoreDwell   time.Duration `json:"restore_dwell"`    // shadow HEALTHY that long before safe mode is left (7 s)
	RestoreVerify  time.Duration `json:"restore_verify"`   // HEALTHY that long after leaving safe mode before it counts (1 s)
	RestoreRetry   time.Duration `json:"restore_retry"`    // after a refusal to leave safe mode (1 min)
	RelapseWindow  time.Duration `json:"relapse_window"`   // a relapse within this reopens (10 min)
	MaxRelapses    int           `json:"max_relapses"`     // this many relapses in the window call a person (4)
	FlapWindow     time.Duration `json:"flap_window"`      // window of MaxModeChanges; doubles when the breaker trips (3 min)
	MaxModeChanges int           `json:"max_mode_changes"` // changes of mode in the window (3)
	MaxAsks        int           `json:"max_asks"`         // times an expired approval is asked again (3)
	Resend         time.Duration `json:"resend"`           // unanswered effects are performed again after (2 s)
}

// Package api is the contract of AURA's HTTP API: its wire types, the small interfaces that answer it, and the
// refusals they may return.
//
// It owns the JSON names (snake_case; a change is a change for every client, and the golden OpenAPI document shows it)
// and imports nothing of ours, so that the server (web), its page (web/page) and a client may all use it. The process
// implements the interfaces (app adapts agents, store and mlops to them). Every method must be safe for concurrent
// use, may block as long as its context lives, and returns either a *Refusal (the caller can do something about it) or
// any other error (something is broken: the caller gets a 500 without detail, the log gets the error).
package api

import (
	"context"
	"encoding/json"
	"time"
)

// Backend is what the server asks. A nil Faults means that fault injection is off: its routes don't exist then.
type Backend struct {
	Applications Applications
	Feedback     Feedback
	Agents       Agents
	Models       Models
	Modes        Modes
	Faults       Faults
	Health       Health
	Overview     Overviews
	Incidents    Incidents
	Signals      Signals
	Approvals    Approvals
	Healing      Healer
	Records      Records
	Operations   Operations
}

// Applications takes applications and knows their records.
type Applications interface {
	// Submit commits an application and waits for its decision as long as the submission says. Decided is false if
	// there was none yet: the application is accepted all the same and will be decided. Refusals: Invalid (features,
	// each field named), Conflict (the id is known with another body), Full (with RetryAfter), Unavailable (not
	// committed: the client should send it again).
	Submit(ctx context.Context, s Submission) (Submitted, error)
	// Rejected hears of a submission that is refused before Submit, counts it, and says what is wrong with its features
	// as well (nil features: none came), so that everything is named at once.
	Rejected(features json.RawMessage) []Field
	// Application returns the record of an application by its own or the client's id. Refusal: NotFound.
	Application(ctx context.Context, id string) (Record, error)
	// Decisions lists decided applications, newest first: at most limit, older than the cursor if there is one.
	// Refusal: Malformed (a cursor that isn't one).
	Decisions(ctx context.Context, limit int, cursor string) (List[Record], error)
}

// Submission is one application as it came.
type Submission struct {
	// ApplicationID is the client's id; empty if it gave none.
	ApplicationID string
	// Features is the JSON object of the body: valid JSON, UTF-8, at most api.MaxDepth deep, otherwise unchecked.
	Features json.RawMessage
	// Wait is how long the client waits for the decision after acceptance; 0 = don't wait.
	Wait time.Duration
	// TraceID is the W3C trace id (32 lower-case hex digits), taken from the request or made for it.
	TraceID string
}

// Submitted is what became of a submission so far.
type Submitted struct {
	Record  Record
	Decided bool
}

// Feedback takes outcomes. Refusals: Invalid. An outcome that joins nothing (yet) is kept and is no refusal.
type Feedback interface {
	AddFeedback(ctx context.Context, f Outcome) (FeedbackResult, error)
}

// Agents shows and restarts agents. Refusals of Restart: NotFound, Conflict (it cannot be restarted now).
type Agents interface {
	Agents(ctx context.Context) ([]Agent, error)
	Restart(ctx context.Context, name string, by Change) (Agent, error)
}

// Models shows the registry and moves its aliases. Refusals: NotFound, Conflict (broken or missing target),
// Malformed (cursor). Promote and Rollback return after the live model agents have loaded the target.
type Models interface {
	Models(ctx context.Context, limit int, cursor string) (List[Model], error)
	Model(ctx context.Context, version int) (Model, error)
	// Import registers a model and has the gate judge it on stored outcomes. Refusals: Invalid, Conflict.
	Import(ctx context.Context, m ModelImport) (Imported, error)
	// ONNX returns a version, or the champion for 0, as an ONNX file.
	ONNX(ctx context.Context, version int) (ModelFile, error)
	Promote(ctx context.Context, version int, by Change) (Switch, error)
	Rollback(ctx context.Context, by Change) (Switch, error)
	History(ctx context.Context, limit int, cursor string) (List[AliasChange], error)
	// Mirror is the state of the registry's mirror; nil without one.
	Mirror() *Mirror
}

// Modes reads and sets who decides. Once SetMode has returned, no decision in the old mode commits.
type Modes interface {
	Mode(ctx context.Context) (Mode, error)
	SetMode(ctx context.Context, mode string, by Change) (Mode, error)
}

// Faults injects faults. Refusals: Invalid, NotFound.
type Faults interface {
	Faults(ctx context.Context) ([]Fault, error)
	Inject(ctx context.Context, f FaultRequest) (Fault, error)
	Remove(ctx context.Context, id string) error
	// Clear ends every fault and returns how many there were.
	Clear(ctx context.Context) (int, error)
}

// Health says whether the process can take applications. Checks must be cheap: they are asked often.
type Health interface {
	Ready(ctx context.Context) []Check
}

// Overviews gives the page all it shows in one value. It is asked once a second, whoever looks, and must be cheap.
type Overviews interface {
	Overview(ctx context.Context) (Overview, error)
}

// Incidents shows what happened and what was done about it. Refusals: NotFound, Malformed (cursor).
type Incidents interface {
	// Incidents lists them, newest first.
	Incidents(ctx context.Context, f IncidentFilter, limit int, cursor string) (List[Incident], error)
	Incident(ctx context.Context, id string) (IncidentDetail, error)
	// Actions lists them, newest first, of one incident or of all.
	Actions(ctx context.Context, incidentID string, limit int, cursor string) (List[Action], error)
	// Memories lists what actions were worth, newest first, for one type of incident or all.
	Memories(ctx context.Context, incidentType string, limit int) ([]Memory, error)
	// Ranking is what memory makes of the playbook, for each class of fault that it knows of one type or all.
	Ranking(ctx context.Context, incidentType string) ([]Ranking, error)
	Scoreboard(ctx context.Context, window time.Duration) (Scoreboard, error)
	// Tell hands an incident what a person wants: retry, escalate or close. Refusals: NotFound, Conflict (it doesn't fit the
	// incident as it is), Unavailable (no healing agent runs).
	Tell(ctx context.Context, id, verb string, by Change) (IncidentDetail, error)
	// Judge keeps a person's verdict on the executed actions of an incident, or (action given) on one of them: needless, or
	// needed. The latest verdict on an action counts. Refusals: NotFound, Conflict (nothing was executed).
	Judge(ctx context.Context, id, action string, needless bool, by Change) (IncidentDetail, error)
	// Graph is the machine of every incident, as its code declares it.
	Graph() Graph
}

// IncidentFilter selects incidents; empty fields select all.
type IncidentFilter struct{ Status, Type string }

// Signals shows what monitoring says.
type Signals interface {
	Signals(ctx context.Context) (SignalReport, error)
}

// Approvals shows policy requests and lets people decide them.
type Approvals interface {
	// Approvals lists what waits, oldest first, or (decided) what was decided, newest first.
	Approvals(ctx context.Context, decided bool, limit int, cursor string) (List[Approval], error)
	// Decide approves, approves with narrower parameters, or denies for a person. Refusals: NotFound, Conflict (too late:
	// decided, withdrawn or expired), Forbidden (role, or their own proposal), Invalid (a parameter that isn't narrower),
	// Unavailable (no governance runs).
	Decide(ctx context.Context, requestID string, r Ruling, by Principal) (Approval, error)
}

// Healer is the loop's switch. Pause stops new forward actions within a second; what is under way is finished or undone.
// Refusals: Unavailable (no healing agent runs).
type Healer interface {
	Healing(ctx context.Context) (Healing, error)
	Pause(ctx context.Context, by Change) (Healing, error)
	Resume(ctx context.Context, by Change) (Healing, error)
}

// Records shows the audit and answers read-only queries. Refusals: Malformed (cursor), Invalid (the query).
type Records interface {
	Audit(ctx context.Context, subject string, limit int, cursor string) (List[AuditEntry], error)
	VerifyAudit(ctx context.Context) (AuditReport, error)
	Query(ctx context.Context, sql string, limit int) (QueryResult, error)
}

// Operations are what operators change in a running process without restarting it.
type Operations interface {
	Playbook(ctx context.Context) (Playbook, error)
	// Reload reads the configuration again and takes over the playbook, profile, rules and limits. Refusals: Invalid (each key
	// that is wrong; the old ones stay in force), Conflict (nothing to read), Unavailable (it can't be recorded).
	Reload(ctx context.Context, by Change) (Reload, error)
	// RotateKey makes governance sign with a new key. What the old one signed and was not executed is asked for again.
	// Refusals: Unavailable (no governance runs, or it can't be recorded).
	RotateKey(ctx context.Context, by Change) (KeyRotation, error)
}

// MaxDepth is how deep the JSON of a body may nest.
const MaxDepth = 16

// Change says who changes something and why.
type Change struct {
	By     string
	Reason string
}

// List is one page of a list, with the cursor of the next one; empty at its end.
type List[T any] struct {
	Items      []T    `json:"items"`
	NextCursor string `json:"next_cursor,omitempty" doc:"Pass as cursor to get the next page; absent on the last one."`
}

package healing

import (
	"context"
	"time"

	"aura/healing/incident"
	"aura/store"
)

// Refused is an action that can't run here and now: nothing changed, and the next rung may be tried.
type Refused struct {
	Reason string
	Until  time.Time // a person's hold, which ends by itself; zero: nobody knows
}

func (r *Refused) Error() string { return r.Reason }

// Later is a question that can't be answered yet: it is asked again.
type Later struct{ Reason string }

func (l *Later) Error() string { return l.Reason }

// Targets are the parts of the system that actions change. Only the Executor calls what takes an ActionProof. Each such
// method makes its change, the use of the nonce and the record of the action in one transaction of the store, and returns
// the effect recorded before where the action had taken effect.
type Targets struct {
	Modes      Modes
	Models     Models
	Trainer    Trainer
	References References
	Agents     Agents
	// Settle sees to it that the running system follows an effect that is recorded, and returns when it does. It is
	// called after every execution, also for one that is found to have happened before a crash.
	Settle func(ctx context.Context, e store.Effect) error
}

// Modes changes who decides.
type Modes interface {
	SetMode(ctx context.Context, p store.ActionProof, m store.Mode, reason string) (store.Effect, error)
}

// Model names a version of the registry, with the digest of its file.
type Model struct {
	Version int
	Digest  string
}

// Models moves the champion.
type Models interface {
	// Current returns the version in charge and the one that a rollback would go to; Version 0 for none.
	Current(ctx context.Context) (champion, previous Model, err error)
	// Check loads and scores a version without changing anything; *Refused if that fails.
	Check(ctx context.Context, version int) (Model, error)
	// PutInCharge checks version against digest and makes it the champion; previous becomes the version that a rollback
	// goes to (0: none).
	PutInCharge(ctx context.Context, p store.ActionProof, to Model, previous int, reason string) (store.Effect, error)
}

// Training is one retraining: on applications accepted since the change, whose outcomes were observed before Cut.
type Training struct {
	ActionID, IncidentID string
	Kind, Target         string
	Params               map[string]string
	Since, Cut           time.Time
	// Tell hears how far it is, in words for people. Each text becomes a line of the incident's timeline, so it is called when
	// something has changed. It may be nil, and waits for the store.
	Tell func(progress string)
}

// Trained is what the gate made of it: Outcome promote, keep or none, and the parameters that the follow-ups need
// (version and digest of what is to be promoted).
type Trained struct {
	Outcome string             `json:"outcome"`
	Params  map[string]string  `json:"params,omitempty"`
	Numbers map[string]float64 `json:"numbers,omitempty"`
	Reason  string             `json:"reason,omitempty"`
	// Blameless: it came to nothing because of its data, which says nothing about training.
	Blameless bool `json:"blameless,omitempty"`
}

// Trainer trains candidates and lets the gate choose. It changes no desired state; a candidate is registered at most.
type Trainer interface {
	Retrain(ctx context.Context, t Training) (Trained, error)
}

// References changes what monitoring compares with.
type References interface {
	// InForce is the id of the reference in force, "" for none.
	InForce(ctx context.Context) (string, error)
	// Earlier finds a reference that was in force before and that the rows accepted since fit, with the version that was in
	// charge then; "" if none does, *Later while there are too few rows to tell.
	Earlier(ctx context.Context, since time.Time) (id string, version int, err error)
	// Accept builds the reference id from labelled rows accepted since, waiting for enough of them while ctx lives, and
	// puts it in force; *Refused where there are not enough.
	Accept(ctx context.Context, p store.ActionProof, id string, since time.Time, reason string) (store.Effect, error)
	// Set puts a kept reference in force.
	Set(ctx context.Context, p store.ActionProof, id, reason string) (store.Effect, error)
}

// Agents restarts agents.
type Agents interface {
	// Slowest names the agent, and the instance of it, that makes decisions late; *Refused where none stands out.
	Slowest(ctx context.Context) (agent, instance string, err error)
	// Incarnation is the life that an instance of an agent is in, the worst where none is named; *Refused where it can't be
	// restarted.
	Incarnation(ctx context.Context, agent, instance string) (of string, n int64, err error)
	// Restart raises the least incarnation of an agent's instance; none: of the one that is worst.
	Restart(ctx context.Context, p store.ActionProof, agent, instance string, least int64, reason string) (store.Effect, error)
}

// Facts tests what a rung requires, beyond what the signal knows.
type Facts interface {
	Fact(ctx context.Context, name string, in incident.Incident) (holds bool, why string, err error)
}

// Notice calls a person.
type Notice struct {
	ID         string              `json:"id"`
	IncidentID string              `json:"incident_id"` // empty where the store is down and none could be written yet
	Kind       string              `json:"incident_type"`
	Target     string              `json:"target"`
	Why        incident.Escalation `json:"why"`
	Text       string              `json:"text"`
	At         time.Time           `json:"at"`
	// Epoch is that of the lease under which the call was claimed in the store, 0 for one that the store knows nothing of. Who
	// makes the call says so there.
	Epoch int64 `json:"-"`
}

// Caller calls a person outside of the process (a webhook); it must not block and drops what it has had by its ID.
type Caller interface{ Call(n Notice) }

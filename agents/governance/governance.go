// Package governance is the agent that allows or denies: it decides policy requests by rules and limits, signs what it
// allows, and takes the decisions of people.
//
// It owns the private key: nobody else can sign a decision. Requests and decisions are rows of the store; the events on
// policy-requests and policy-decisions only announce them, and what was not heard is found once a second. One request is
// decided at a time, by rule in one process: under a lease that is taken when there is something to decide. People's decisions
// need none. What can't be evaluated, doesn't fit its digest, or comes too late is denied. Decide blocks for two
// transactions of the store and may be called by many at once.
//
// It imports agents, agents/bus, agents/event, healing/incident (what an action touches), healing/policy and store. Test it
// with the real store and a handler called by hand.
package governance

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"sync"
	"time"

	"aura/agents"
	"aura/agents/bus"
	"aura/agents/event"
	"aura/agents/tracing"
	"aura/healing/policy"
	"aura/store"
	"aura/store/complaint"
)

// Name of the agent: the principal that decides by rule.
const Name = "governance"

const (
	// sweepEvery is how often rows are looked through that nobody announced.
	sweepEvery = time.Second
	// sweepLimit bounds one look.
	sweepLimit = 200
	// envelopeTTL is how long a signed decision may be used.
	envelopeTTL = time.Minute
	// leaseTTL is how long others decide nothing after one has; another process goes on after it.
	leaseTTL = 5 * time.Second
	// undoTTL is longer: an undo must not fail because it waited.
	undoTTL = policy.MaxTTL
)

// Publisher sends events; bus.Transport implements it.
type Publisher interface {
	Publish(ctx context.Context, messages ...*bus.Message) error
}

// Rules are what is in force.
type Rules struct {
	Config policy.Config
	Policy *policy.Policy
}

// Options of the agent.
type Options struct {
	Store     *store.Store
	Publisher Publisher
	Key       ed25519.PrivateKey
	// Rules gives the policy in force; it may change while the agent runs.
	Rules func() Rules
	// Unhealthy is the share of agents that are not healthy, 0 to 1; nil for unknown (0).
	Unhealthy func() float64
	// Instance names this process: its agent sweeps at its own beats.
	Instance string
	Now      func() time.Time
	Log      *slog.Logger
}

// Agent is the governance agent of one process.
type Agent struct {
	o     Options
	mu    sync.Mutex  // one decision at a time: budgets count what was allowed before
	lease store.Lease // as last taken here
	life  int64       // that took it
	taken time.Time   // when
	// yieldUntil is until when the lease is left to a process that has the key.
	yieldUntil time.Time
	unheard    complaint.Log // what the bus would not take
	// otherKey is said where decisions are not ours to sign.
	otherKey complaint.Log
}

// New makes the agent.
func New(o Options) (*Agent, error) {
	if o.Store == nil || o.Publisher == nil || o.Rules == nil || o.Now == nil || len(o.Key) != ed25519.PrivateKeySize {
		return nil, errors.New("governance: it needs a store, a publisher, rules, a clock and a key")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Log = o.Log.With("component", Name)
	return &Agent{o: o}, nil
}

// UseKey signs with another key from now on.
func (a *Agent) UseKey(key ed25519.PrivateKey) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.o.Key, a.yieldUntil = key, time.Time{}
}

// Spec describes the agent to the supervisor.
func (a *Agent) Spec() agents.Spec {
	return agents.Spec{
		Name: Name,
		Inputs: []agents.Input{
			{Topic: event.PolicyRequests, Everywhere: true},
			{Topic: event.Metrics, Everywhere: true, Filter: agents.OwnBeats(Name, a.o.Instance, sweepEvery)},
		},
		NewHandler: func(l agents.Life) agents.Handler { return &handler{a, l} },
		Restart:    agents.RestartAuto,
		GiveUp:     func(context.Context, *bus.Message, error) error { return nil }, // the row is swept
	}
}

type handler struct {
	agent *Agent
	life  agents.Life
}

// Handle implements agents.Handler.
func (h *handler) Handle(ctx context.Context, m *bus.Message, _ *agents.Outbox) error {
	var err error
	switch e := m.Event.(type) {
	case *event.PolicyRequest:
		err = h.agent.announced(ctx, h.life, e.RequestID)
	case *event.AgentMetrics:
		err = h.agent.sweep(ctx, h.life)
	}
	if err != nil {
		return errors.Join(agents.ErrNotReady, err)
	}
	return nil
}

// announced decides one request now.
func (a *Agent) announced(ctx context.Context, life agents.Life, id string) error {
	r, err := a.o.Store.Request(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil // announced by nobody who may
	}
	if err != nil {
		return err
	}
	return a.decide(ctx, life, r)
}

// sweep decides what was not announced, and denies what nobody answered.
func (a *Agent) sweep(ctx context.Context, life agents.Life) error {
	rows, err := a.o.Store.PendingRequests(ctx, sweepLimit)
	if err != nil {
		return err
	}
	for _, r := range rows {
		if err := a.decide(ctx, life, r); err != nil {
			return err
		}
	}
	return nil
}

// lead takes the lease, or keeps it; false where another process decides now. The lock is held.
func (a *Agent) lead(ctx context.Context, life agents.Life, now time.Time) (bool, error) {
	if a.lease.Epoch != 0 && a.life == life.Incarnation && now.Sub(a.taken).Abs() < leaseTTL/2 {
		return true, nil
	}
	if now.Before(a.yieldUntil) {
		return false, nil
	}
	l, err := a.o.Store.AcquireLease(ctx, store.LeaseGovernance, life.Holder(), life.Incarnation, leaseTTL)
	var held *store.Refused
	if errors.As(err, &held) && held.Code == store.CodeLeaseHeld {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	a.lease, a.life, a.taken = l, life.Incarnation, now
	return true, nil
}

// Close gives the lease back, so that another process decides at once. Call it after the supervisor has stopped.
func (a *Agent) Close(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.yield(ctx)
}

func (a *Agent) yield(ctx context.Context) error {
	l := a.lease
	a.lease = store.Lease{}
	if l.Epoch == 0 {
		return nil
	}
	return a.o.Store.ReleaseLease(ctx, l)
}

func (a *Agent) announce(ctx context.Context, d store.PolicyDecision) {
	m := bus.NewMessage(&event.PolicyDecision{
		RequestID: d.RequestID, IncidentID: d.IncidentID, ActionID: d.ActionID, Verdict: d.Verdict, Envelope: d.Envelope, At: d.DecidedAt,
	}, a.o.Now())
	m.TraceParent = tracing.From(ctx)
	if err := a.o.Publisher.Publish(ctx, m); err != nil && ctx.Err() == nil {
		a.unheard.Say(a.o.Log, slog.LevelWarn, "a policy decision could not be announced; whoever waits finds the row", "request", d.RequestID, "err", err)
	}
}

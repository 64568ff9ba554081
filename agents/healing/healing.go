package healing

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"aura/agents"
	"aura/agents/bus"
	"aura/agents/event"
	"aura/agents/tracing"
	"aura/healing/detect"
	"aura/healing/incident"
	"aura/healing/playbook"
	"aura/store"
	"aura/store/complaint"
)

// Name is the agent's name and the proposer of its requests.
const Name = "healing"

// LeaseTTL is how long the lease lasts without being renewed; it is renewed with each tick.
const LeaseTTL = 5 * time.Second

const (
	// tickEvery is how often time passes for the incidents.
	tickEvery = 250 * time.Millisecond
	// reportAge is how old a report of monitoring may be to be believed.
	reportAge = 3 * time.Second
	// maxRunning bounds executions at one time.
	maxRunning = 8
	// storeTimeout bounds one step's work in the store.
	storeTimeout = 5 * time.Second
	// askEvery is how often a standby looks whether the lease is free.
	askEvery = 500 * time.Millisecond
)

// Publisher sends events; bus.Transport implements it.
type Publisher interface {
	Publish(ctx context.Context, messages ...*bus.Message) error
}

// Options of the agent.
type Options struct {
	Store     *store.Store
	Publisher Publisher
	Keys      map[string]ed25519.PublicKey // governance's, by policy.KeyID
	Targets   Targets
	Facts     Facts
	Caller    Caller // may be nil: people are called by event, log and page
	// Observe hears of each step once, after it was saved, by who saved it: before is zero for a new incident. It must not
	// block. May be nil.
	Observe func(before, after incident.Incident)
	// Playbook gives the ladders in force; it may change while the agent runs.
	Playbook func() playbook.Playbook
	Settings incident.Settings
	// ApprovalTTL is how long a request may wait for a person.
	ApprovalTTL time.Duration
	DryRun      bool
	// Instance names this process: the ticks of the agent are its own instance's beats.
	Instance string
	// Shared says that other processes may heal on this store: what persons want of incidents goes to who does.
	Shared bool
	// Heals names the agents that are restarted by incidents; the others' deaths are the supervisor's business.
	Heals []string
	Now   func() time.Time
	Log   *slog.Logger
	// Tracer may be nil: no spans.
	Tracer *tracing.Tracer
	// hook, in tests, is called at each point where a crash may happen.
	hook func(point string)
}

// Agent is the healing agent of one process.
type Agent struct {
	o        Options
	executor *Executor
	closed   context.Context
	close    context.CancelFunc

	mu    turn
	core  *core     // of the present life; nil for a standby
	asked time.Time // when a standby last asked whether the lease is free
	tasks sync.WaitGroup

	present atomic.Pointer[core] // the newest core, for who doesn't want to wait
	standby atomic.Bool          // another one holds the lease
	monitor atomic.Int64         // the epoch of who monitors, as the store last said
	outage  outage               // of the store
	silence outage               // of monitoring
	unheard complaint.Log        // what the bus would not take
}

// New makes the agent; nothing runs before its first message.
func New(o Options) (*Agent, error) {
	if o.Store == nil || o.Publisher == nil || o.Playbook == nil || o.Now == nil {
		return nil, errors.New("healing: it needs a store, a publisher, a playbook and a clock")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Log = o.Log.With("component", Name)
	if o.hook == nil {
		o.hook = func(string) {}
	}
	if o.Observe == nil {
		o.Observe = func(incident.Incident, incident.Incident) {}
	}
	a := &Agent{o: o, executor: NewExecutor(o.Store, o.Keys, o.Targets, o.Now), mu: newTurn()}
	a.closed, a.close = context.WithCancel(context.Background())
	return a, nil
}

// Close ends executions in progress, waits for them and gives the lease back. Call it after the supervisor has stopped.
func (a *Agent) Close(ctx context.Context) error {
	a.close()
	done := make(chan struct{})
	go func() { a.tasks.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		return fmt.Errorf("healing: executions still run: %w", ctx.Err())
	}
	a.mu.Lock()
	c := a.core
	a.core = nil
	a.mu.Unlock()
	if c == nil {
		return nil
	}
	return a.o.Store.ReleaseLease(ctx, c.lease)
}

// UseKeys makes the executor believe in these keys of governance, and in no other, from now on. A decision under way that
// an older one signed executes nothing; it is asked for again.
func (a *Agent) UseKeys(keys map[string]ed25519.PublicKey) { a.executor.UseKeys(keys) }

// Governs reports whether the present life holds the lease, hears monitoring and may act: then restarts of agents are its
// business.
func (a *Agent) Governs() bool {
	c := a.present.Load()
	return c != nil && c.governs()
}

// Spec describes the agent to the supervisor.
func (a *Agent) Spec() agents.Spec {
	return agents.Spec{
		Name: Name,
		Inputs: []agents.Input{
			{Topic: event.Alerts, Everywhere: true, Filter: newestReport},
			{Topic: event.PolicyDecisions, Everywhere: true},
			{Topic: event.Metrics, Everywhere: true, Filter: agents.OwnBeats(Name, a.o.Instance, tickEvery)},
		},
		NewHandler: func(l agents.Life) agents.Handler { return &handler{a, l} },
		Restart:    agents.RestartAuto, // nobody heals the healer
		// What can't be handled comes again: alerts are repeated, decisions are rows.
		GiveUp: func(context.Context, *bus.Message, error) error { return nil },
	}
}

// newestReport leaves of a batch only the newest report: it says all that the older ones and the single alerts say.
func newestReport(_ time.Time, _ int, batch []*bus.Message) []*bus.Message {
	for i := len(batch) - 1; i >= 0; i-- {
		if a, ok := batch[i].Event.(*event.Alert); ok && a.Kind == Heartbeat {
			return batch[i : i+1]
		}
	}
	return nil
}

// Heartbeat is the kind of the alert that carries a detect.Report.
const Heartbeat = "HEARTBEAT"

// handler is one lane's in one life; all lanes of a life share its core.
type handler struct {
	agent *Agent
	life  agents.Life
}

// Handle implements agents.Handler.
func (h *handler) Handle(ctx context.Context, m *bus.Message, _ *agents.Outbox) error {
	if e, ok := m.Event.(*event.Alert); ok {
		return h.hear(ctx, e)
	}
	c, err := h.agent.enter(ctx, h.life)
	if err != nil || c == nil {
		return notReady(err)
	}
	switch e := m.Event.(type) {
	case *event.PolicyDecision:
		return c.outcome(c.answered(ctx, e.IncidentID))
	case *event.AgentMetrics:
		return c.outcome(c.tick(ctx))
	}
	return nil
}

// hear takes a report of monitoring. That the store is down is told before it is asked for anything: it may keep who asks
// waiting.
func (h *handler) hear(ctx context.Context, e *event.Alert) error {
	r, err := reportOf(e)
	if err != nil {
		h.agent.o.Log.Error("a report of monitoring can't be read", "err", err)
		return nil
	}
	if !h.agent.believes(r) {
		return nil
	}
	h.agent.withoutStore(r, nil)
	c, err := h.agent.enter(ctx, h.life)
	if c != nil {
		err = c.outcome(c.report(ctx, r))
	} else {
		err = notReady(err)
	}
	if err != nil {
		h.agent.withoutStore(r, err)
	}
	return err
}

// believes reports whether a report is no older than it may be, none of a clock that has gone back since, and of no epoch that
// is known to be over.
func (a *Agent) believes(r detect.Report) bool {
	age := a.o.Now().Sub(r.At)
	return !r.At.IsZero() && age <= reportAge && age >= -reportAge && r.Epoch >= a.monitor.Load()
}

// notReady has a message wait that can't be handled yet.
func notReady(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", agents.ErrNotReady, err)
}

// enter returns the core of a life, making it if it is the newest. The core of an older life is stopped: its epoch is over.
// nil without an error: another process' agent holds the lease. It hears the same and everything it does is a row, so nothing
// of what comes meanwhile needs to be kept.
func (a *Agent) enter(ctx context.Context, life agents.Life) (*core, error) {
	if err := a.mu.take(ctx); err != nil {
		return nil, err
	}
	defer a.mu.Unlock()
	if a.closed.Err() != nil {
		return nil, errors.New("healing: closed")
	}
	if a.core != nil && a.core.life.Incarnation == life.Incarnation && !a.core.lost.Load() {
		return a.core, nil
	}
	if a.core != nil && a.core.life.Incarnation > life.Incarnation {
		return nil, errors.New("healing: this life is over")
	}
	if a.core != nil {
		a.core.cancel()
		a.core = nil
	}
	if a.standby.Load() {
		if free, err := a.free(ctx); err != nil || !free {
			return nil, err
		}
	}
	c, err := a.begin(ctx, life)
	var refused *store.Refused
	if errors.As(err, &refused) && refused.Code == store.CodeLeaseHeld {
		if !a.standby.Swap(true) {
			a.o.Log.Info("another one heals; this one stands by", "why", refused.Reason)
		}
		a.asked = a.o.Now()
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	a.standby.Store(false)
	a.core = c
	a.present.Store(c)
	return c, nil
}

// free looks, not too often, whether a standby may ask for the lease.
func (a *Agent) free(ctx context.Context) (bool, error) {
	now := a.o.Now()
	if now.Sub(a.asked).Abs() < askEvery {
		return false, nil
	}
	a.asked = now
	l, err := a.o.Store.LeaseOf(ctx, store.LeaseHealing)
	return l.Free, err
}

// Package monitoring is the agent that watches: it reads what the others count, never every event.
//
// It merges the slots of agent-metrics, steps the detectors of healing/detect under a lease, and reports: an alert for
// each signal that isn't healthy, repeated each second, and a HEARTBEAT alert with the whole report, each second and at
// once when something changed. It verifies on request (incident-log, step VERIFY): on data of applications accepted after
// an action. It never acts, and never reads the fault registry.
//
// Its clock is its own heartbeat: it steps when that comes back over the bus. Without it nothing is judged; Look, called
// by whoever owns the process, says so to a person. The state is checkpointed once a second, so that a restart goes on.
//
// It imports agents, agents/{event,bus,desired}, store, healing/detect. To test it, hand metrics to a handler and look at
// what it emits; time comes from Options.Now.
package monitoring

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"aura/agents"
	"aura/agents/bus"
	"aura/agents/desired"
	"aura/agents/event"
	"aura/healing/detect"
	"aura/store"
)

// Name of the agent.
const Name = "monitoring"

// Kinds of alerts that are no signal.
const (
	KindHeartbeat = "HEARTBEAT"
)

// StepVerify is the step of an incident that asks for a verification; its detail is a detect.Watch.
const StepVerify = "VERIFY"

// Store keeps the lease and the checkpoint, and knows what changed and what is open; *store.Store implements it.
type Store interface {
	AcquireLease(ctx context.Context, name, holder string, incarnation int64, ttl time.Duration) (store.Lease, error)
	RenewLease(ctx context.Context, l store.Lease, ttl time.Duration) (store.Lease, error)
	SaveCheckpoint(ctx context.Context, name string, epoch int64, state []byte) error
	LoadCheckpoint(ctx context.Context, name string) (state []byte, at time.Time, err error)
	ConfigHistory(ctx context.Context, limit int, before int64) ([]store.ConfigChange, error)
	OpenIncidents(ctx context.Context) ([]store.IncidentRow, error)
	Stats() store.Stats
}

// Options of the agent.
type Options struct {
	Store  Store
	View   *desired.View
	Config detect.Config
	// Reference is the sample in force, nil before the first.
	Reference func() *detect.Reference
	// Load reads another reference, for a verification against it.
	Load func(ctx context.Context, id string) (*detect.Reference, error)
	// Validated is a model version's accuracy on its hold-out of n rows; 0 where unknown.
	Validated func(ctx context.Context, version int) (accuracy float64, n int)
	Now       func() time.Time
	Log       *slog.Logger
}

// Monitoring is the agent with what outlives its lives: only the newest report, for whoever shows it.
type Monitoring struct {
	Options

	mu         sync.Mutex
	core       *core         // of the newest life
	looked     time.Time     // when somebody last looked
	unlooked   time.Duration // the longest time that nobody did, since the last step
	report     detect.Report
	histograms map[string]detect.Histogram
	rows       int64
	values     int64
}

// New makes the agent.
func New(o Options) *Monitoring {
	o.Log = o.Log.With("component", Name)
	return &Monitoring{Options: o}
}

// Spec describes the agent to the supervisor.
func (m *Monitoring) Spec() agents.Spec {
	return agents.Spec{
		Name:       Name,
		Inputs:     []agents.Input{{Topic: event.Metrics, Everywhere: true}, {Topic: event.IncidentLog, Everywhere: true}},
		NewHandler: m.handler,
		Restart:    agents.RestartAuto, // nobody heals without it
		GiveUp:     m.giveUp,
	}
}

// giveUp drops a message that could not be read three times: another slot comes.
func (m *Monitoring) giveUp(_ context.Context, msg *bus.Message, cause error) error {
	m.Log.Error("a message was left out of monitoring", "id", msg.ID, "err", cause)
	return nil
}

// Report is the newest report, zero before the first.
func (m *Monitoring) Report() detect.Report {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.report
}

// Histograms compare what came lately with the reference, by drift target; as of the newest full report.
func (m *Monitoring) Histograms() map[string]detect.Histogram {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.histograms
}

// Seen counts what was judged in all lives: applications, and their features' values, missing ones included.
func (m *Monitoring) Seen() (applications, values int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rows, m.values
}

func (m *Monitoring) saw(s detect.Slot) {
	var rows, values int64
	for _, sketch := range s.Sketches {
		rows, values = rows+int64(sketch.N), values+sketch.Values()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rows, m.values = m.rows+rows, m.values+values
}

// Look says whether monitoring is blind: it has not reported for longer than limit. Nothing on the bus can tell that.
//
// Who calls it regularly lets monitoring tell a bus that was gone from its own pause: then nobody looks either.
func (m *Monitoring) Look(now time.Time, limit time.Duration) (blind bool, since time.Time) {
	m.mu.Lock()
	if !m.looked.IsZero() {
		m.unlooked = max(m.unlooked, now.Sub(m.looked))
	}
	m.looked = now
	m.mu.Unlock()
	r := m.Report()
	if r.At.IsZero() || now.Sub(r.At) <= limit {
		return false, time.Time{}
	}
	return true, r.At
}

// awake reports whether the process ran on since this was last asked, as those who looked at it show.
func (m *Monitoring) awake(now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	longest := max(m.unlooked, now.Sub(m.looked))
	m.unlooked = 0
	return !m.looked.IsZero() && longest <= m.Config.Pause
}

func (m *Monitoring) publish(r detect.Report, histograms map[string]detect.Histogram) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.report = r
	if histograms != nil {
		m.histograms = histograms
	}
}

// handler makes the handler of one lane. All lanes of a life share one core.
func (m *Monitoring) handler(l agents.Life) agents.Handler {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.core == nil || m.core.life.Incarnation != l.Incarnation {
		m.core = newCore(m, l)
	}
	return &handler{core: m.core}
}

type handler struct{ core *core }

// Handle implements agents.Handler.
func (h *handler) Handle(_ context.Context, msg *bus.Message, _ *agents.Outbox) error {
	switch e := msg.Event.(type) {
	case *event.AgentMetrics:
		h.core.hear(e, msg.Arrived)
	case *event.IncidentEntry:
		if e.Step == StepVerify {
			return h.core.watch(e)
		}
	}
	return nil
}

// Finish implements agents.Finisher: what was heard together is one slot.
func (h *handler) Finish(ctx context.Context, out *agents.Outbox) error { return h.core.step(ctx, out) }

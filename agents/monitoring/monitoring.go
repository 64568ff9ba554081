// Package monitoring is the agent that watches: it reads what the others count, never every event.
//
// It merges the slots of agent-metrics, steps the detectors of healing/detect, and reports: an alert for each signal that
// isn't healthy, repeated each second, and a HEARTBEAT alert with the whole report, each second and at once when something
// changed. Of all processes' agents only the holder of a lease reports, each time with the lease's epoch; the others read and
// judge the same, so that one of them goes on where the holder ended. Whoever reads reports ignores those of an older epoch.
// It verifies on request (incident-log, step VERIFY): on data of applications accepted after
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
	"encoding/json"
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
	ReleaseLease(ctx context.Context, l store.Lease) error
	LeaseOf(ctx context.Context, name string) (store.Lease, error)
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
	resumed    time.Time     // when somebody looked again after a pause of the process
	lease      store.Lease   // the newest that a life here held
	report     detect.Report // the newest of a life here
	heard      detect.Report // the newest that another process' holder sent
	heardAt    time.Time     // when it came
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

// Report is the newest report of whoever holds the lease, here or in another process; zero before the first.
func (m *Monitoring) Report() detect.Report {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.heard.Epoch > m.report.Epoch {
		return m.heard
	}
	return m.report
}

// Own reports whether the newest report is of a life here.
func (m *Monitoring) Own() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.report.Epoch >= m.heard.Epoch
}

// Hear takes an alert that came over the bus. It reports whether it is of the newest epoch known: who held the lease before may
// not know yet that it is over.
func (m *Monitoring) Hear(e *event.Alert) (current bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch newest := max(m.heard.Epoch, m.report.Epoch); {
	case e.Epoch < newest:
		return false
	case e.Kind != KindHeartbeat || e.Epoch == m.report.Epoch: // its own report is here already
		return true
	}
	var r detect.Report
	if err := json.Unmarshal(e.Signal, &r); err != nil {
		m.Log.Error("a report of monitoring can't be read", "err", err)
		return false
	}
	m.heard = r
	m.heard.Epoch, m.heardAt = e.Epoch, m.Now()
	return true
}

func (m *Monitoring) lastHeard() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.heardAt
}

// leads notes that a life here holds the lease.
func (m *Monitoring) leads(l store.Lease) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l.Epoch >= m.lease.Epoch {
		m.lease = l
	}
}

// Close gives the lease back, so that another process' agent takes it at once. Call it after the supervisor has stopped.
func (m *Monitoring) Close(ctx context.Context) error {
	m.mu.Lock()
	l := m.lease
	m.mu.Unlock()
	if l.Epoch == 0 {
		return nil
	}
	return m.Store.ReleaseLease(ctx, l)
}

// Histograms compare what came lately with the reference, by drift target, as this process' agent saw it.
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

// Look says whether monitoring is blind: no report of it was seen for longer than limit. Nothing on the bus can tell that. After
// a pause of this process it counts from the first look again, since what was said meanwhile could not be heard.
//
// Who calls it regularly lets monitoring tell a bus that was gone from its own pause: then nobody looks either.
func (m *Monitoring) Look(now time.Time, limit time.Duration) (blind bool, since time.Time) {
	m.mu.Lock()
	if !m.looked.IsZero() {
		m.unlooked = max(m.unlooked, now.Sub(m.looked))
		if now.Sub(m.looked) > limit/2 {
			m.resumed = now
		}
	}
	m.looked = now
	resumed := m.resumed
	m.mu.Unlock()
	r := m.Report()
	if r.At.IsZero() || now.Sub(r.At) <= limit || now.Sub(resumed) <= limit {
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

func (m *Monitoring) publish(r detect.Report) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.report = r
}

func (m *Monitoring) draw(histograms map[string]detect.Histogram) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.histograms = histograms
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

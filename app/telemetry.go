package app

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"aura/agents"
	"aura/agents/event"
	"aura/agents/fault"
	"aura/agents/ingestion"
	"aura/app/cli"
	"aura/mlops/schema"
	"aura/store"
	"aura/web"
)

// telemetry counts what this process does: for /metrics, and for the page. Names are a contract with dashboards.
type telemetry struct {
	registry *prometheus.Registry

	decisions *prometheus.CounterVec
	durations *prometheus.HistogramVec
	accepted  *prometheus.CounterVec
	refused   *prometheus.CounterVec
	feedback  *prometheus.CounterVec
	control   *prometheus.HistogramVec

	hub       *web.Hub
	latency   latencies
	nAccepted atomic.Int64
	nDecided  atomic.Int64
	objective *objective
	nOutcome  [3]atomic.Int64 // by index in outcomes
}

var outcomes = [3]schema.Outcome{schema.Approve, schema.Refer, schema.Decline}

func newTelemetry(hub *web.Hub, o *objective) *telemetry {
	t := &telemetry{
		hub:       hub,
		objective: o,
		registry:  prometheus.NewRegistry(),
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "aura_decisions_total", Help: "Decisions written by this process.",
		}, []string{"mode", "outcome"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "aura_decision_duration_seconds", Help: "From acceptance to decision.",
			// 0.3 is the objective and must be an edge of its own.
			Buckets: []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .2, .3, .5, 1, 2, 5, 10, 30, 60},
		}, []string{"mode"}),
		accepted: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "aura_applications_accepted_total", Help: "Applications committed by this process.",
		}, []string{"source"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "aura_applications_refused_total", Help: "Applications refused at the edge, by reason.",
		}, []string{"source", "reason"}),
		feedback: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "aura_feedback_total", Help: "Outcomes received, by what became of them.",
		}, []string{"kind"}),
		control: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "aura_handler_duration_seconds", Help: "Handling of one message of the control plane, all attempts.",
			Buckets: []float64{.0001, .001, .01, .1, 1, 10},
		}, []string{"handler", "result"}),
	}
	t.registry.MustRegister(t.decisions, t.durations, t.accepted, t.refused, t.feedback, t.control,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	b := cli.ReadBuild()
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "aura_build_info", Help: "Always 1; the labels say what runs.",
	}, []string{"version", "commit", "go"})
	build.WithLabelValues(b.Version, b.Commit, b.Go).Set(1)
	t.registry.MustRegister(build)
	for _, m := range []event.Mode{event.ModeModel, event.ModeSafe} {
		for _, o := range outcomes {
			t.decisions.WithLabelValues(string(m), string(o))
		}
		t.durations.WithLabelValues(string(m))
	}
	for _, k := range []store.FeedbackKind{store.Joined, store.Early, store.Duplicate, store.Contradicting, store.Unknown} {
		t.feedback.WithLabelValues(string(k))
	}
	return t
}

// decided observes a decision that this process wrote. It is called on the decision agent's lanes.
func (t *telemetry) decided(d *event.Decision) {
	t.decisions.WithLabelValues(string(d.Mode), string(d.Decision)).Inc()
	t.durations.WithLabelValues(string(d.Mode)).Observe(d.LatencyMS / 1e3)
	t.latency.observe(time.Now(), time.Duration(d.LatencyMS*float64(time.Millisecond)))
	t.objective.observe(d.DecidedAt, d.LatencyMS <= millis(latencyObjective))
	t.nDecided.Add(1)
	publishDecision(t.hub, d)
	for i, o := range outcomes {
		if d.Decision == o {
			t.nOutcome[i].Add(1)
		}
	}
}

// Accepted, Refused and Feedback implement ingestion.Counter.
func (t *telemetry) Accepted(source string, n int) {
	t.accepted.WithLabelValues(source).Add(float64(n))
	t.nAccepted.Add(int64(n))
}

func (t *telemetry) Refused(source, why string) { t.refused.WithLabelValues(source, why).Inc() }

func (t *telemetry) Feedback(kind string) { t.feedback.WithLabelValues(kind).Inc() }

// live are the figures that are read when somebody asks.
type live struct {
	supervisor *agents.Supervisor
	window     *ingestion.Window
	faults     *fault.Registry
	store      *store.Store
	mode       func() event.Mode
}

var (
	agentUp      = describe("aura_agent_up", "1 while the agent's life is running.", "agent")
	agentBeat    = describe("aura_agent_heartbeat_age_seconds", "Since the agent's last heartbeat.", "agent")
	agentLife    = describe("aura_agent_incarnation", "The number of the agent's life.", "agent")
	agentHandled = describe("aura_agent_events_total", "Events by what became of them; ingestion's are submissions, which may hold many applications.", "agent", "result")
	agentZombies = describe("aura_agent_zombies", "Abandoned handlers that still run.", "agent")
	agentP50     = describe("aura_agent_handler_seconds", "Handling time over the last seconds.", "agent", "quantile")
	queueLength  = describe("aura_consumer_lag_messages", "Messages that wait or are at work.", "group")
	undecided    = describe("aura_applications_undecided", "Accepted applications without a known decision, in this process.")
	modeNow      = describe("aura_mode", "1 for the mode in force.", "mode")
	faultActive  = describe("aura_fault_active", "Injected faults that are active.", "fault")
	storeQueue   = describe("aura_store_queue_rows", "Rows that wait for the writer.")
	storeTx      = describe("aura_store_transactions_total", "Transactions of the writer.", "result")
	storeCommit  = describe("aura_store_last_commit_seconds", "The last commit, mostly the sync of the log.")
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// Describe implements prometheus.Collector.
func (l *live) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		agentUp, agentBeat, agentLife, agentHandled, agentZombies, agentP50, queueLength, undecided, modeNow,
		faultActive, storeQueue, storeTx, storeCommit,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (l *live) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := func(d *prometheus.Desc, v int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	for _, s := range l.supervisor.Statuses() {
		gauge(agentUp, oneIf(s.State == agents.Running || s.State == agents.Slow), s.Agent)
		if !s.LastBeat.IsZero() {
			gauge(agentBeat, time.Since(s.LastBeat).Seconds(), s.Agent)
		}
		gauge(agentLife, float64(s.Incarnation), s.Agent)
		count(agentHandled, s.Handled, s.Agent, "handled")
		count(agentHandled, s.Failed, s.Agent, "failed")
		count(agentHandled, s.Refused, s.Agent, "refused")
		gauge(agentZombies, float64(s.Zombies), s.Agent)
		gauge(agentP50, s.P50.Seconds(), s.Agent, "0.5")
		gauge(agentP50, s.P99.Seconds(), s.Agent, "0.99")
		gauge(queueLength, float64(s.Queue), event.Group(s.Agent))
	}
	gauge(undecided, float64(l.window.Undecided()))
	for _, m := range []event.Mode{event.ModeModel, event.ModeSafe} {
		gauge(modeNow, oneIf(l.mode() == m), string(m))
	}
	active := map[string]int{}
	for _, f := range l.faults.List() {
		active[string(f.Kind)]++
	}
	for _, k := range fault.Kinds {
		gauge(faultActive, float64(active[string(k)]), string(k))
	}
	s := l.store.Stats()
	gauge(storeQueue, float64(s.QueueAccepts+s.QueueDecisions+s.QueueJobs))
	count(storeTx, s.Transactions, "committed")
	count(storeTx, s.Failed, "failed")
	gauge(storeCommit, s.LastCommit.Seconds())
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

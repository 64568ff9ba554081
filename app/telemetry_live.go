package app

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"aura/agents"
	"aura/agents/event"
	"aura/agents/fault"
	"aura/agents/ingestion"
	"aura/store"
)

// live are the figures of this process that are read when somebody asks.
type live struct {
	supervisor *agents.Supervisor
	topics     *ingestion.Topics // nil where none are read
	window     *ingestion.Window
	capacity   int // of the window
	faults     *fault.Registry
	store      *store.Store
	mode       func() event.Mode
	champion   func() int
}

var (
	agentUp      = describe("aura_agent_up", "1 while the agent's life is running.", "agent")
	agentBeat    = describe("aura_agent_heartbeat_age_seconds", "Since the agent's last heartbeat.", "agent")
	agentLife    = describe("aura_agent_incarnation", "The number of the agent's life.", "agent")
	agentHandled = describe("aura_agent_events_total", "Events by what became of them; ingestion's are submissions, which may hold many applications.", "agent", "result")
	agentZombies = describe("aura_agent_zombies", "Abandoned handlers that still run.", "agent")
	agentTime    = describe("aura_agent_handler_seconds", "Handling time over the last seconds, at a rank: median or p99.", "agent", "rank")
	agentQueue   = describe("aura_agent_queue_age_seconds", "Age of the oldest message that waits or is at work.", "agent")
	queueLength  = describe("aura_consumer_lag_messages", "Messages that wait or are at work.", "group")
	undecided    = describe("aura_applications_undecided", "Accepted applications without a known decision, in this process.")
	oldest       = describe("aura_applications_oldest_seconds", "Age of the oldest accepted application without a known decision; 0 without any.")
	windowSize   = describe("aura_applications_window", "How many applications may be undecided; past it the API answers 429.")
	modeNow      = describe("aura_mode", "1 for the mode in force.", "mode")
	championNow  = describe("aura_champion_info", "Always 1; the label says which version is in charge.", "version")
	faultActive  = describe("aura_fault_active", "Injected faults that are active.", "fault")
	storeQueue   = describe("aura_store_queue_rows", "Rows that wait for the writer.")
	storeTx      = describe("aura_store_transactions_total", "Transactions of the writer.", "result")
	storeCommit  = describe("aura_store_commit_duration_seconds", "The COMMIT of a transaction, mostly the sync of the log.")
	storeFailing = describe("aura_store_failing_seconds", "For how long every write has failed; 0 while they succeed.")
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// Describe implements prometheus.Collector.
func (l *live) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		agentUp, agentBeat, agentLife, agentHandled, agentZombies, agentTime, agentQueue, queueLength, undecided, oldest, windowSize,
		modeNow, championNow, faultActive, storeQueue, storeTx, storeCommit, storeFailing,
	} {
		ch <- d
	}
}

// samples sends what a collector has.
type samples chan<- prometheus.Metric

func (s samples) gauge(d *prometheus.Desc, v float64, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (s samples) count(d *prometheus.Desc, v int64, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}

// Collect implements prometheus.Collector.
func (l *live) Collect(ch chan<- prometheus.Metric) {
	out := samples(ch)
	l.agents(out)
	out.gauge(undecided, float64(l.window.Undecided()))
	out.gauge(oldest, l.window.OldestAge(now()).Seconds())
	out.gauge(windowSize, float64(l.capacity))
	for _, m := range []event.Mode{event.ModeModel, event.ModeSafe} {
		out.gauge(modeNow, oneIf(l.mode() == m), string(m))
	}
	out.gauge(championNow, 1, strconv.Itoa(l.champion()))
	active := map[fault.Kind]int{}
	for _, f := range l.faults.List() {
		active[f.Kind]++
	}
	for _, k := range fault.Kinds {
		out.gauge(faultActive, float64(active[k]), string(k))
	}
	l.writer(out)
}

func (l *live) agents(out samples) {
	for _, s := range l.supervisor.Statuses() {
		out.gauge(agentUp, oneIf(s.State == agents.Running || s.State == agents.Slow), s.Agent)
		if !s.LastBeat.IsZero() {
			out.gauge(agentBeat, time.Since(s.LastBeat).Seconds(), s.Agent)
		}
		out.gauge(agentLife, float64(s.Incarnation), s.Agent)
		out.count(agentHandled, s.Handled, s.Agent, "handled")
		out.count(agentHandled, s.Failed, s.Agent, "failed")
		out.count(agentHandled, s.Refused, s.Agent, "refused")
		out.gauge(agentZombies, float64(s.Zombies), s.Agent)
		out.gauge(agentTime, s.P50.Seconds(), s.Agent, "median")
		out.gauge(agentTime, s.P99.Seconds(), s.Agent, "p99")
		out.gauge(agentQueue, s.QueueAge.Seconds(), s.Agent)
		lag := s.Queue
		if s.Agent == ingestion.Name && l.topics != nil {
			lag += l.topics.Depth()
		}
		out.gauge(queueLength, float64(lag), event.Group(s.Agent))
	}
}

func (l *live) writer(out samples) {
	s := l.store.Stats()
	out.gauge(storeQueue, float64(s.QueueAccepts+s.QueueDecisions+s.QueueJobs))
	out.count(storeTx, s.Transactions, "committed")
	out.count(storeTx, s.Failed, "failed")
	failing := 0.0
	if !s.FailingSince.IsZero() {
		failing = time.Since(s.FailingSince).Seconds()
	}
	out.gauge(storeFailing, failing)
	upTo := map[float64]uint64{}
	for i, edge := range s.Commits.Edges {
		upTo[edge.Seconds()] = uint64(s.Commits.UpTo[i])
	}
	out <- prometheus.MustNewConstHistogram(storeCommit, uint64(s.Commits.N), s.Commits.Sum.Seconds(), upTo)
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

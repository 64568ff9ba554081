package app

import (
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"aura/agents/event"
	"aura/app/cli"
	"aura/mlops/schema"
	"aura/store"
	"aura/web"
)

// telemetry counts what this process does: for /metrics, and for the page. Names are a contract with the rules and dashboards
// in deploy; labels take values from lists that the code has, never from a client, and never an id.
type telemetry struct {
	registry *prometheus.Registry

	decisions *prometheus.CounterVec
	durations *prometheus.HistogramVec
	accepted  *prometheus.CounterVec
	refused   *prometheus.CounterVec
	feedback  *prometheus.CounterVec
	technical prometheus.Counter
	control   *prometheus.HistogramVec
	loop      *loopTelemetry
	verified  prometheus.Gauge
	broken    prometheus.Gauge
	spansLost prometheus.Counter

	hub       *web.Hub
	latency   latencies
	nAccepted atomic.Int64
	nDecided  atomic.Int64
	objective *objective
	nOutcome  [3]atomic.Int64 // by index in outcomes
}

var outcomes = [3]schema.Outcome{schema.Approve, schema.Refer, schema.Decline}

// Where applications come from, and why they are refused: a source that isn't listed is counted as another.
var (
	sources  = []string{sourceHTTP, sourceSimulator, sourceCSV, sourceKafka}
	refusals = []string{"invalid", "full", "conflict"}
)

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
		technical: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "aura_technical_referrals_total", Help: "Applications that no agent could handle: referred to a person, with a copy in the dead letters.",
		}),
		spansLost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "aura_trace_spans_lost_total", Help: "Spans that the collector of tracing.endpoint did not take, or that found no room to wait for it.",
		}),
		verified: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "aura_audit_verified_timestamp_seconds", Help: "When this process last verified the audit on somebody's demand; 0 for not yet.",
		}),
		broken: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "aura_audit_broken", Help: "1 if the last verification found a broken record or a row that doesn't hold.",
		}),
		control: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "aura_handler_duration_seconds", Help: "Handling of one message of the control plane, all attempts.",
			Buckets: []float64{.0001, .001, .01, .1, .3, 1, 10},
		}, []string{"handler", "result"}),
	}
	t.loop = newLoopTelemetry(t.registry)
	t.registry.MustRegister(t.decisions, t.durations, t.accepted, t.refused, t.feedback, t.technical, t.control, t.verified, t.broken, t.spansLost,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	b := cli.ReadBuild()
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "aura_build_info", Help: "Always 1; the labels say what runs.",
	}, []string{"version", "commit", "go"})
	build.WithLabelValues(b.Version, b.Commit, b.Go).Set(1)
	t.registry.MustRegister(build)
	// A counter is there before its first event: increase() can't see the step from nothing to 1.
	for _, m := range []event.Mode{event.ModeModel, event.ModeSafe} {
		for _, o := range outcomes {
			t.decisions.WithLabelValues(string(m), string(o))
		}
		t.durations.WithLabelValues(string(m))
	}
	for _, k := range []store.FeedbackKind{store.Joined, store.Early, store.Duplicate, store.Contradicting, store.Unknown} {
		t.feedback.WithLabelValues(string(k))
	}
	for _, s := range sources {
		t.accepted.WithLabelValues(s)
		for _, why := range refusals {
			t.refused.WithLabelValues(s, why)
		}
	}
	return t
}

// traceDigits is the length of a W3C trace id.
const traceDigits = 32

// decided observes a decision that this process wrote. It is called on the decision agent's lanes.
func (t *telemetry) decided(d *event.Decision) {
	t.decisions.WithLabelValues(string(d.Mode), string(d.Decision)).Inc()
	late := d.LatencyMS > millis(latencyObjective)
	duration := t.durations.WithLabelValues(string(d.Mode))
	if by, can := duration.(prometheus.ExemplarObserver); can && late && len(d.TraceID) == traceDigits && utf8.ValidString(d.TraceID) {
		// Who asks why decisions were late gets one of them by its trace; the quick ones don't pay for it. An id that is none, as
		// may come over a bus, would make it panic.
		by.ObserveWithExemplar(d.LatencyMS/1e3, prometheus.Labels{"trace_id": d.TraceID})
	} else {
		duration.Observe(d.LatencyMS / 1e3)
	}
	t.latency.observe(time.Now(), time.Duration(d.LatencyMS*float64(time.Millisecond)))
	t.objective.observe(d.ID, d.DecidedAt, !late)
	if d.Rule == store.RuleTechnical {
		t.technical.Inc()
	}
	t.nDecided.Add(1)
	publishDecision(t.hub, d)
	for i, o := range outcomes {
		if d.Decision == o {
			t.nOutcome[i].Add(1)
		}
	}
}

// audited notes what a verification of the audit has found.
func (t *telemetry) audited(ok bool) {
	t.verified.SetToCurrentTime()
	t.broken.Set(oneIf(!ok))
}

// Accepted, Refused and Feedback implement ingestion.Counter.
func (t *telemetry) Accepted(source string, n int) {
	t.accepted.WithLabelValues(listed(sources, source)).Add(float64(n))
	t.nAccepted.Add(int64(n))
}

func (t *telemetry) Refused(source, why string) {
	t.refused.WithLabelValues(listed(sources, source), listed(refusals, why)).Inc()
}

func (t *telemetry) Feedback(kind string) { t.feedback.WithLabelValues(kind).Inc() }

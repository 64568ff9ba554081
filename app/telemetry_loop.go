package app

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"aura/agents/healing"
	"aura/healing/incident"
)

// loopTelemetry counts what the healing loop of this process did. Each step of an incident is counted once, by the process
// that saved it, so that the sum over all processes is right.
type loopTelemetry struct {
	incidents *prometheus.CounterVec
	recovery  *prometheus.HistogramVec
	actions   *prometheus.CounterVec
	results   *prometheus.CounterVec
	needless  prometheus.Counter
	approval  prometheus.Histogram
	called    *prometheus.CounterVec
	webhook   *prometheus.CounterVec
}

var (
	incidentKinds = []string{incident.LatencySLOBreach, incident.PerfDrop, incident.DataDrift, incident.AgentDown, incident.BusDown}
	actionTypes   = []string{
		incident.EnableSafeMode, incident.DisableSafeMode, incident.RollbackModel, incident.RestoreModel, incident.TriggerRetraining,
		incident.PromoteModel, incident.AcceptReference, incident.RestoreReference, incident.RestartAgent,
	}
	// aglDecisions are what governance said of an action in the end; notDecided where it ended without that.
	aglDecisions  = []string{incident.AGLApproved, incident.AGLDenied, incident.AGLModified, notDecided}
	actionResults = []string{
		string(incident.Verified), string(incident.Undone), string(incident.Stood), string(incident.NotHeld), string(incident.HandedOver),
		string(incident.TakenOver), string(incident.Refused), string(incident.Denied), string(incident.Withdrawn),
		string(incident.ErrorResult), string(incident.DryRunResult),
	}
	escalations = []string{
		string(incident.EscLadderEnd), string(incident.EscDataBug), string(incident.EscNotifyOnly), string(incident.EscWaited),
		string(incident.EscSuspicion), string(incident.EscNoDecision), string(incident.EscUndoFailed), string(incident.EscFlapping),
		string(incident.EscDegraded), string(incident.EscPerson),
	}
	recoveryOutcomes = []string{recoveryHealed, recoverySelf, recoveryPerson, recoveryFailed, recoverySuperseded}
	webhookResults   = []string{webhookDelivered, webhookFailed, webhookDropped}
)

const notDecided = "none"

// How an incident ended.
const (
	recoveryHealed     = "healed"     // by an action, shown on data from after it
	recoverySelf       = "self"       // by itself
	recoveryPerson     = "person"     // healthy again after a person was called
	recoveryFailed     = "failed"     // nobody could, in time
	recoverySuperseded = "superseded" // a person changed the very setting
)

// What came of a call by webhook.
const (
	webhookDelivered = "delivered"
	webhookFailed    = "failed"
	webhookDropped   = "dropped"
)

// listed keeps a label to its list, whatever comes over the bus.
func listed(list []string, value string) string {
	if slices.Contains(list, value) {
		return value
	}
	return "other"
}

func newLoopTelemetry(r prometheus.Registerer) *loopTelemetry {
	t := &loopTelemetry{
		incidents: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "aura_incidents_total", Help: "Incidents detected; one that comes back counts again.",
		}, []string{"type"}),
		recovery: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "aura_incident_recovery_seconds", Help: "From an incident's detection to its end: verified on newer data, by itself, or failed.",
			Buckets: []float64{1, 2, 5, 10, 30, 60, 120, 300, 600}, // 60, 120 and 300 are the targets of the types
		}, []string{"type", "outcome"}),
		actions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "aura_actions_total", Help: "Actions that have ended, by what governance had said of them.",
		}, []string{"action", "agl_decision"}),
		results: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "aura_action_results_total", Help: "Actions that have ended, by how.",
		}, []string{"action", "result"}),
		needless: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "aura_actions_needless_total", Help: "Executed actions against what had ended by itself.",
		}),
		approval: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "aura_approval_wait_seconds", Help: "From an action's proposal to a person's answer, or to the end of its time.",
			Buckets: []float64{5, 10, 30, 60, 120, 300, 600},
		}),
		called: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "aura_people_called_total", Help: "Calls of a person.",
		}, []string{"type", "reason"}),
		webhook: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "aura_webhook_calls_total", Help: "Calls by webhook, by what came of them after all tries.",
		}, []string{"result"}),
	}
	r.MustRegister(t.incidents, t.recovery, t.actions, t.results, t.needless, t.approval, t.called, t.webhook)
	for _, kind := range incidentKinds {
		t.incidents.WithLabelValues(kind)
		for _, o := range recoveryOutcomes {
			t.recovery.WithLabelValues(kind, o)
		}
		for _, e := range escalations {
			t.called.WithLabelValues(kind, e)
		}
	}
	for _, a := range actionTypes {
		for _, d := range aglDecisions {
			t.actions.WithLabelValues(a, d)
		}
		for _, r := range actionResults {
			t.results.WithLabelValues(a, r)
		}
	}
	for _, r := range webhookResults {
		t.webhook.WithLabelValues(r)
	}
	return t
}

// step implements healing.Options.Observe.
func (t *loopTelemetry) step(before, after incident.Incident) {
	kind := listed(incidentKinds, after.Kind)
	if !after.DetectedAt.IsZero() && !after.DetectedAt.Equal(before.DetectedAt) {
		t.incidents.WithLabelValues(kind).Inc()
	}
	if outcome, took, ended := recoveryOf(before, after); ended {
		t.recovery.WithLabelValues(kind, outcome).Observe(took)
	}
	for i, a := range after.Actions {
		var b incident.Action
		if i < len(before.Actions) {
			b = before.Actions[i]
		}
		t.action(b, a)
	}
}

// recoveryOf tells how an incident ended with a step, if it did, and how many seconds that took from its detection. A
// suspicion that was never confirmed recovered from nothing.
func recoveryOf(before, after incident.Incident) (outcome string, seconds float64, ended bool) {
	if after.DetectedAt.IsZero() {
		return "", 0, false
	}
	end := after.ResolvedAt
	switch {
	case before.State.Final() && before.State != incident.Resolved && before.State != incident.Cancelled:
		return "", 0, false // it had failed, or was taken over
	case after.State == incident.Failed && before.ResolvedAt.IsZero():
		outcome, end = recoveryFailed, after.ClosedAt
	case after.State == incident.Superseded && before.ResolvedAt.IsZero():
		outcome, end = recoverySuperseded, after.ClosedAt
	case after.ResolvedAt.IsZero() || after.ResolvedAt.Equal(before.ResolvedAt):
		return "", 0, false
	case calledSince(after):
		outcome = recoveryPerson
	case after.SelfRecovered:
		outcome = recoverySelf
	default:
		outcome = recoveryHealed
	}
	return outcome, max(end.Sub(after.DetectedAt).Seconds(), 0), true
}

// calledSince reports whether a person was called since an incident was detected, or before for its first suspicion.
func calledSince(in incident.Incident) bool {
	return slices.ContainsFunc(in.Timeline, func(e incident.Entry) bool {
		return e.State == incident.Escalated && (len(in.Detections) == 0 || !e.At.Before(in.DetectedAt))
	})
}

// action counts what became of an action in a step.
func (t *loopTelemetry) action(before, after incident.Action) {
	if before.Result == "" && after.Result != "" {
		kind, agl := listed(actionTypes, after.Type), after.AGL
		if agl == "" || agl == incident.AGLPending || agl == incident.AGLEscalated {
			agl = notDecided
		}
		t.actions.WithLabelValues(kind, listed(aglDecisions, agl)).Inc()
		t.results.WithLabelValues(kind, listed(actionResults, string(after.Result))).Inc()
	}
	if before.NoCredit == "" && after.NoCredit == incident.NoCreditSelf && after.Purpose == incident.Forward && !after.ExecutedAt.IsZero() {
		t.needless.Inc()
	}
	if before.AGL == incident.AGLEscalated && slices.Contains(aglDecisions, after.AGL) {
		t.approval.Observe(max(after.DecidedAt.Sub(after.ProposedAt).Seconds(), 0))
	}
}

// call counts that a person is called.
func (t *loopTelemetry) call(n healing.Notice) {
	t.called.WithLabelValues(listed(incidentKinds, n.Kind), listed(escalations, string(n.Why))).Inc()
}

func (t *loopTelemetry) hook(result string) { t.webhook.WithLabelValues(result).Inc() }

package app

import (
	"context"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"aura/healing/detect"
	"aura/healing/incident"
	"aura/store"
	"aura/web/api"
)

// deploymentTelemetry are figures of the whole deployment, read when somebody asks: what monitoring reports, and rows. Every process that
// can says the same, so rules take the largest, not the sum.
type deploymentTelemetry struct {
	store   *store.Store
	report  func() detect.Report
	healing func(store.Setting) string // the loop's state as the API says it, from the row of the switch
}

var (
	storeUp       = describe("aura_store_up", "1 if incidents, approvals and the state of healing could be read in time; else they are left out.")
	incidentsOpen = describe("aura_incidents_open", "Incidents that are not over, by their state.", "type", "state")
	approvals     = describe("aura_approvals_waiting", "Requests that wait for a person.")
	approvalAge   = describe("aura_approvals_oldest_seconds", "Age of the oldest request that waits for a person; 0 without any.")
	healingState  = describe("aura_healing_state", "1 for the loop's state: ACTIVE, PAUSED by a person, or OFF.", "state")
	reportAge     = describe("aura_monitoring_report_age_seconds", "Since monitoring last reported.")
	signalCount   = describe("aura_signals", "What monitoring watches, by what it knows of it.", "type", "state")
	driftPSI      = describe("aura_drift_psi", "How far a feature, or the score, is from the reference.", "feature")
	modelAccuracy = describe("aura_model_accuracy_ratio", "Accuracy on the newest outcomes.")
	modelFloor    = describe("aura_model_accuracy_floor_ratio", "The least accuracy that is no incident.")
	latencyMedian = describe("aura_decision_latency_median_seconds", "As monitoring has it: what is late and not decided yet counts.")
)

// Describe implements prometheus.Collector.
func (t *deploymentTelemetry) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		storeUp, incidentsOpen, approvals, approvalAge, healingState, reportAge, signalCount, driftPSI, modelAccuracy, modelFloor, latencyMedian,
	} {
		ch <- d
	}
}

// rowsWithin bounds the reads of one scrape: a store that hangs must not take the other metrics with it.
const rowsWithin = time.Second

// Collect implements prometheus.Collector.
func (t *deploymentTelemetry) Collect(ch chan<- prometheus.Metric) {
	out := samples(ch)
	ctx, cancel := context.WithTimeout(context.Background(), rowsWithin)
	defer cancel()
	out.gauge(storeUp, oneIf(t.rows(ctx, out) == nil))
	r := t.report()
	if r.At.IsZero() {
		return // monitoring isn't here, or hasn't spoken yet
	}
	out.gauge(reportAge, max(now().Sub(r.At).Seconds(), 0))
	t.signals(r, out)
}

// maxApprovals bounds how many requests one scrape reads.
const maxApprovals = 200

// rows sends nothing unless all of them could be read.
func (t *deploymentTelemetry) rows(ctx context.Context, out samples) error {
	state, err := t.store.Desired(ctx)
	if err != nil {
		return err
	}
	open, err := t.store.OpenIncidents(ctx)
	if err != nil {
		return err
	}
	pending, err := t.store.PendingRequests(ctx, maxApprovals)
	if err != nil {
		return err
	}
	is := t.healing(state.Settings[settingPaused])
	for _, s := range []string{api.HealingActive, api.HealingPaused, api.HealingOff} {
		out.gauge(healingState, oneIf(s == is), s)
	}
	n := map[[2]string]int{}
	for _, r := range open {
		n[[2]string{r.Type, r.State}]++
	}
	for _, kind := range incidentKinds {
		for _, s := range incident.Graph().States {
			if !s.Final() {
				out.gauge(incidentsOpen, float64(n[[2]string{kind, string(s)}]), kind, string(s))
			}
		}
	}
	waiting, age := 0, time.Duration(0)
	for _, r := range pending {
		if r.Status == store.RequestEscalated {
			waiting++
			age = max(age, now().Sub(r.CreatedAt))
		}
	}
	out.gauge(approvals, float64(waiting))
	out.gauge(approvalAge, age.Seconds())
	return nil
}

func (t *deploymentTelemetry) signals(r detect.Report, out samples) {
	n := map[[2]string]int{}
	for _, s := range r.Signals {
		n[[2]string{string(s.Kind), string(s.State)}]++
		if s.State == detect.Unknown || math.IsNaN(s.Value) || s.N == 0 {
			continue // what isn't known has no figure
		}
		switch s.Kind {
		case detect.DataDrift:
			out.gauge(driftPSI, s.Value, s.Target)
		case detect.PerfDrop:
			out.gauge(modelAccuracy, s.Value)
			out.gauge(modelFloor, s.Threshold)
		case detect.LatencyBreach:
			out.gauge(latencyMedian, s.Value/1e3)
		}
	}
	for _, kind := range incidentKinds {
		for _, s := range []detect.State{detect.Healthy, detect.Warming, detect.Unknown, detect.Suspect, detect.Confirmed} {
			out.gauge(signalCount, float64(n[[2]string{kind, string(s)}]), kind, string(s))
		}
	}
}

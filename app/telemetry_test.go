package app

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"

	"aura/agents/event"
	"aura/agents/fault"
	"aura/agents/ingestion"
	"aura/app/config"
	"aura/healing/incident"
	"aura/mlops/schema"
)

// TestMetrics runs the whole process through a healing, under requests of somebody who would like to make series, and then
// looks at every metric there is: form, bounds, docs.
func TestMetrics(t *testing.T) {
	t.Parallel()
	var families map[string]*dto.MetricFamily
	e := &edge{}
	virtually(t, func(c *config.Config) {
		c.Agents.Select, c.Simulate.Rate = append(c.Agents.Select, webName), 20
	}, func(w *world) {
		gather := w.parts.Telemetry.registry
		time.Sleep(20 * time.Second)
		e.hostile(0)
		w.inject(fault.Fault{Target: "model", Kind: fault.Latency, Delay: 2 * time.Second, Share: 1, TTL: 20 * time.Second})
		time.Sleep(60 * time.Second)
		if answer := e.request(http.MethodGet, "audit/verify", ""); answer.Code != http.StatusOK {
			t.Fatalf("audit: %d %s", answer.Code, answer.Body)
		}
		before := seriesOf(t, gather)
		for round := range 20 {
			e.hostile(1 + round)
		}
		synctest.Wait()
		after := seriesOf(t, gather)
		for name, n := range after {
			if n > before[name] {
				t.Errorf("%s had %d series, and %d after requests with other values", name, before[name], n)
			}
		}
		if problems, err := testutil.GatherAndLint(gather); err != nil || len(problems) > 0 {
			t.Errorf("lint: %v %v", problems, err)
		}
		families = gathered(t, gather)
	}, inBursts(), e.instead())

	for sample, want := range map[string]float64{
		`aura_incidents_total{type="LATENCY_SLO_BREACH"}`:                            1,
		`aura_incidents_total{type="DATA_DRIFT"}`:                                    0,
		`aura_incident_recovery_seconds{outcome="healed",type="LATENCY_SLO_BREACH"}`: 1,
		`aura_incident_recovery_seconds{outcome="failed",type="LATENCY_SLO_BREACH"}`: 0,
		`aura_actions_total{action="ENABLE_SAFE_MODE",agl_decision="APPROVED"}`:      1,
		`aura_action_results_total{action="ENABLE_SAFE_MODE",result="VERIFIED"}`:     1,
		`aura_action_results_total{action="DISABLE_SAFE_MODE",result="VERIFIED"}`:    1,
		`aura_incidents_open{state="VERIFYING",type="LATENCY_SLO_BREACH"}`:           0,
		`aura_healing_state{state="ACTIVE"}`:                                         1,
		`aura_mode{mode="MODEL"}`:                                                    1,
		`aura_store_up`:                                                              1,
		`aura_audit_broken`:                                                          0,
		`aura_people_called_total{reason="LADDER_END",type="LATENCY_SLO_BREACH"}`:    0,
		`aura_applications_refused_total{reason="invalid",source="http"}`:            21,
		`aura_champion_info{version="1"}`:                                            1,
		`aura_signals{state="CONFIRMED",type="LATENCY_SLO_BREACH"}`:                  0,
		`aura_agent_up{agent="model"}`:                                               1,
		`aura_actions_needless_total`:                                                0,
		`aura_applications_window`:                                                   10_000,
	} {
		if got, ok := sampleOf(families, sample); !ok || got != want {
			t.Errorf("%s is %v (there: %t), want %v", sample, got, ok, want)
		}
	}
	t.Run("Latencies", func(t *testing.T) { edges(t, families) })
	t.Run("Exemplars", func(t *testing.T) { exemplars(t, families["aura_decision_duration_seconds"]) })
	t.Run("Docs", func(t *testing.T) { documented(t, families) })
	k := &metricNames{families: families, recorded: map[string][]string{}, used: map[string]bool{}}
	t.Run("Rules", k.rules)
	t.Run("Dashboards", k.dashboards)
	t.Run("Readers", k.readers)
}

// hostile sends what a client can choose freely, with values that differ from round to round.
func (e *edge) hostile(round int) {
	odd := fmt.Sprintf("x%d", round) + `\"}{,` + strings.Repeat("\u00e9", round)
	path := fmt.Sprintf("q%dz", round)
	features := `"features":{"credit_score":700,"debt_ratio":30,"income":50000,"loan_amount":15000,"employment_years":5}`
	for _, r := range [][3]string{
		{http.MethodPost, "applications", fmt.Sprintf(`{"application_id":"m-%d",%s}`, round, features)},
		{http.MethodPost, "applications", fmt.Sprintf(`{"application_id":"n-%d","source":%q,%s}`, round, odd, features)},
		{"X" + strings.ToUpper(path), "applications", ""},
		{http.MethodGet, path, ""},
		{http.MethodGet, path + "/" + path, ""},
		{http.MethodGet, "applications/" + path, ""},
		{http.MethodPost, "feedback", fmt.Sprintf(`{"application_id":%q,"outcome":%q}`, odd, odd)},
		{http.MethodPost, "feedback", fmt.Sprintf(`{"application_id":%q,"defaulted":true}`, path)},
		{http.MethodPost, "faults", fmt.Sprintf(`{"target":%q,"kind":%q,"ttl":"1s"}`, odd, odd)},
		{http.MethodPost, "agents/" + path + "/restart", `{"reason":"r"}`},
		{http.MethodPut, "mode", fmt.Sprintf(`{"mode":%q,"reason":"r"}`, odd)},
		{http.MethodPost, "models/" + path + "/promote", `{"reason":"r"}`},
		{http.MethodPost, "approvals/" + path + "/decision", fmt.Sprintf(`{"decision":%q,"reason":"r"}`, odd)},
		{http.MethodPost, "incidents/" + path + "/retry", `{"reason":"r"}`},
		{http.MethodGet, "incidents?type=" + path, ""},
	} {
		e.request(r[0], r[1], r[2])
	}
}

func gathered(t *testing.T, g prometheus.Gatherer) map[string]*dto.MetricFamily {
	t.Helper()
	list, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*dto.MetricFamily{}
	for _, f := range list {
		out[f.GetName()] = f
	}
	return out
}

func seriesOf(t *testing.T, g prometheus.Gatherer) map[string]int {
	out := map[string]int{}
	for name, f := range gathered(t, g) {
		out[name] = len(f.GetMetric())
	}
	return out
}

// sampleOf reads a sample as /metrics would name it; of a histogram it is the count.
func sampleOf(families map[string]*dto.MetricFamily, sample string) (value float64, ok bool) {
	name, _, _ := strings.Cut(sample, "{")
	for _, m := range families[name].GetMetric() {
		var labels []string
		for _, l := range m.GetLabel() {
			labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
		}
		named := name
		if len(labels) > 0 {
			named += "{" + strings.Join(labels, ",") + "}"
		}
		if named == sample {
			return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount()), true
		}
	}
	return 0, false
}

// edges sees that the share of what took less than the objective can be read from every histogram of a latency.
func edges(t *testing.T, families map[string]*dto.MetricFamily) {
	for name, f := range families {
		if f.GetType() != dto.MetricType_HISTOGRAM || !strings.HasSuffix(name, "_duration_seconds") {
			continue
		}
		if !slices.ContainsFunc(f.GetMetric()[0].GetHistogram().GetBucket(), func(b *dto.Bucket) bool {
			return b.GetUpperBound() == latencyObjective.Seconds()
		}) {
			t.Errorf("%s has no edge at %s", name, latencyObjective)
		}
	}
}

// exemplars sees that late decisions, and no others, are told by a trace.
func exemplars(t *testing.T, f *dto.MetricFamily) {
	late := 0
	for _, m := range f.GetMetric() {
		for _, b := range m.GetHistogram().GetBucket() {
			e := b.GetExemplar()
			if e == nil {
				continue
			}
			late++
			if e.GetValue() <= latencyObjective.Seconds() || e.GetLabel()[0].GetName() != "trace_id" || len(e.GetLabel()[0].GetValue()) != 32 {
				t.Errorf("an exemplar %v", e)
			}
		}
	}
	if late == 0 {
		t.Error("there were late decisions, and no exemplar")
	}
}

// TestSourcesAreListed: who brings applications can't make series by its name.
func TestSourcesAreListed(t *testing.T) {
	tel := newTelemetry(newHub(), newObjective(nil, ingestion.NewWindow(1)))
	for n := range 50 {
		tel.Accepted(fmt.Sprint("source ", n), 2)
		tel.Refused(fmt.Sprint("source ", n), fmt.Sprint("reason ", n))
	}
	families := gathered(t, tel.registry)
	for sample, want := range map[string]float64{
		`aura_applications_accepted_total{source="other"}`:               100,
		`aura_applications_refused_total{reason="other",source="other"}`: 50,
		`aura_applications_accepted_total{source="http"}`:                0,
	} {
		if got, ok := sampleOf(families, sample); !ok || got != want {
			t.Errorf("%s is %v (there: %t), want %v", sample, got, ok, want)
		}
	}
}

// TestATraceThatIsNoneHarmsNothing: what comes over a bus as a trace id may be anything.
func TestATraceThatIsNoneHarmsNothing(t *testing.T) {
	tel := newTelemetry(newHub(), newObjective(nil, ingestion.NewWindow(1)))
	ids := []string{"", "short", strings.Repeat("a", 200), strings.Repeat("\xff", traceDigits), strings.Repeat("0", traceDigits)}
	for _, id := range ids {
		tel.decided(&event.Decision{Subject: event.Subject{TraceID: id}, Mode: event.ModeModel, Decision: schema.Refer, LatencyMS: 1e3})
	}
	sample := `aura_decision_duration_seconds{mode="MODEL"}`
	if n, _ := sampleOf(gathered(t, tel.registry), sample); n != float64(len(ids)) {
		t.Errorf("%v of %d decisions are counted", n, len(ids))
	}
}

const (
	metricsDoc   = "../docs/operations.md"
	metricsBegin = "<!-- metrics: go test ./app -run TestMetrics -update -->\n"
	metricsEnd   = "<!-- end of metrics -->\n"
)

// documented compares the table of metrics with what there is; with -update it writes the table.
func documented(t *testing.T, families map[string]*dto.MetricFamily) {
	doc, err := os.ReadFile(metricsDoc)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, begins := bytes.Cut(doc, []byte(metricsBegin))
	table, tail, ends := bytes.Cut(rest, []byte(metricsEnd))
	if !begins || !ends {
		t.Fatalf("%s has no place for the table between %q and %q", metricsDoc, metricsBegin, metricsEnd)
	}
	want := tableOf(families)
	if string(table) == want {
		return
	}
	if !*updateGolden {
		t.Fatalf("the table in %s is not of the metrics that there are; -update writes it. Want\n%s", metricsDoc, want)
	}
	if err := os.WriteFile(metricsDoc, slices.Concat(head, []byte(metricsBegin), []byte(want), []byte(metricsEnd), tail), 0o600); err != nil {
		t.Fatal(err)
	}
}

func tableOf(families map[string]*dto.MetricFamily) string {
	var out strings.Builder
	out.WriteString("| metric | type | labels | what |\n|---|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(families)) {
		if !strings.HasPrefix(name, "aura_") {
			continue // the Go runtime's and the process'
		}
		f := families[name]
		fmt.Fprintf(&out, "| `%s` | %s | %s | %s |\n", name, strings.ToLower(f.GetType().String()), strings.Join(labelsOf(f), ", "), f.GetHelp())
	}
	return out.String()
}

func labelsOf(f *dto.MetricFamily) (names []string) {
	for _, l := range f.GetMetric()[0].GetLabel() {
		names = append(names, l.GetName())
	}
	return names
}

// TestLoopTelemetry counts steps of incidents.
func TestLoopTelemetry(t *testing.T) {
	at := time.Date(2026, 11, 29, 5, 0, 0, 0, time.UTC)
	sec := func(n int) time.Time { return at.Add(time.Duration(n) * time.Second) }
	called := []incident.Entry{{At: sec(10), State: incident.Escalated}}
	open := incident.Incident{Kind: incident.AgentDown, State: incident.Detected, DetectedAt: at}
	resolved := func(change func(*incident.Incident)) incident.Incident {
		in := open
		in.State, in.ResolvedAt = incident.Resolved, sec(40)
		if change != nil {
			change(&in)
		}
		return in
	}
	for _, c := range []struct {
		name          string
		before, after incident.Incident
		detected      float64
		outcome       string // "" for not ended
		seconds       float64
	}{
		{name: "a suspicion", after: incident.Incident{Kind: incident.AgentDown, State: incident.Suspected, OpenedAt: at}},
		{name: "a suspicion that was nothing", after: incident.Incident{Kind: incident.AgentDown, State: incident.Cancelled, OpenedAt: at, ResolvedAt: sec(3)}},
		{name: "confirmed", before: incident.Incident{State: incident.Suspected}, after: open, detected: 1},
		{name: "goes on", before: open, after: open},
		{name: "healed", before: open, after: resolved(nil), outcome: recoveryHealed, seconds: 40},
		{name: "healed in safe mode", before: open, after: resolved(func(in *incident.Incident) { in.State, in.Degraded = incident.Degraded, true }), outcome: recoveryHealed, seconds: 40},
		{name: "the model is back", before: resolved(func(in *incident.Incident) { in.State = incident.Degraded }), after: resolved(nil)},
		{name: "by itself", before: open, after: resolved(func(in *incident.Incident) { in.SelfRecovered = true }), outcome: recoverySelf, seconds: 40},
		{name: "with a person", before: open, after: resolved(func(in *incident.Incident) { in.Timeline = called }), outcome: recoveryPerson, seconds: 40},
		{name: "a person was called the last time", before: open, after: resolved(func(in *incident.Incident) {
			in.Timeline, in.Detections, in.DetectedAt = called, []time.Time{at}, sec(20)
		}), detected: 1, outcome: recoveryHealed, seconds: 20},
		{name: "comes back", before: resolved(nil), after: incident.Incident{Kind: incident.AgentDown, State: incident.Detected, DetectedAt: sec(60), Detections: []time.Time{at}}, detected: 1},
		{name: "failed", before: open, after: incident.Incident{Kind: incident.AgentDown, State: incident.Failed, DetectedAt: at, ClosedAt: sec(3600)}, outcome: recoveryFailed, seconds: 3600},
		{name: "stays failed", before: incident.Incident{State: incident.Failed, DetectedAt: at}, after: incident.Incident{Kind: incident.AgentDown, State: incident.Failed, DetectedAt: at, ClosedAt: sec(3600)}},
		{name: "superseded", before: open, after: incident.Incident{Kind: incident.AgentDown, State: incident.Superseded, DetectedAt: at, ClosedAt: sec(9)}, outcome: recoverySuperseded, seconds: 9},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := prometheus.NewRegistry()
			newLoopTelemetry(r).step(c.before, c.after)
			families := gathered(t, r)
			if n, _ := sampleOf(families, `aura_incidents_total{type="AGENT_DOWN"}`); n != c.detected {
				t.Errorf("detected %v, want %v", n, c.detected)
			}
			var ended []string
			for _, m := range families["aura_incident_recovery_seconds"].GetMetric() {
				if h := m.GetHistogram(); h.GetSampleCount() > 0 {
					ended = append(ended, fmt.Sprint(m.GetLabel()[0].GetValue(), h.GetSampleCount(), h.GetSampleSum()))
				}
			}
			var want []string
			if c.outcome != "" {
				want = []string{fmt.Sprint(c.outcome, 1, c.seconds)}
			}
			if !slices.Equal(ended, want) {
				t.Errorf("ended %v, want %v", ended, want)
			}
		})
	}
}

// TestLoopTelemetryOfActions counts each action once, when it ends.
func TestLoopTelemetryOfActions(t *testing.T) {
	at := time.Date(2026, 11, 29, 5, 0, 0, 0, time.UTC)
	steps := []incident.Action{
		{Type: incident.EnableSafeMode, Purpose: incident.Forward, ProposedAt: at},
		{Type: incident.EnableSafeMode, Purpose: incident.Forward, ProposedAt: at, AGL: incident.AGLEscalated},
		{Type: incident.EnableSafeMode, Purpose: incident.Forward, ProposedAt: at, AGL: incident.AGLModified, DecidedAt: at.Add(45 * time.Second)},
		{Type: incident.EnableSafeMode, Purpose: incident.Forward, AGL: incident.AGLModified, ExecutedAt: at.Add(time.Minute)},
		{Type: incident.EnableSafeMode, Purpose: incident.Forward, AGL: incident.AGLModified, ExecutedAt: at.Add(time.Minute), Result: incident.Stood, NoCredit: incident.NoCreditSelf},
	}
	r := prometheus.NewRegistry()
	loop := newLoopTelemetry(r)
	before := incident.Incident{}
	for _, a := range append(steps, steps[len(steps)-1]) {
		after := incident.Incident{Kind: incident.LatencySLOBreach, Actions: []incident.Action{a}}
		loop.step(before, after)
		before = after
	}
	before.Actions = slices.Clone(before.Actions)
	odd := incident.Incident{Kind: "SOMETHING", DetectedAt: at, Actions: []incident.Action{steps[4], {Type: "ELSE", AGL: incident.AGLPending, Result: "ODD"}}}
	loop.step(before, odd)
	families := gathered(t, r)
	for sample, want := range map[string]float64{
		`aura_actions_total{action="ENABLE_SAFE_MODE",agl_decision="MODIFIED"}`: 1,
		`aura_action_results_total{action="ENABLE_SAFE_MODE",result="STOOD"}`:   1,
		`aura_actions_needless_total`:                                           1,
		`aura_approval_wait_seconds`:                                            1,
		`aura_actions_total{action="other",agl_decision="none"}`:                1,
		`aura_action_results_total{action="other",result="other"}`:              1,
		`aura_incidents_total{type="other"}`:                                    1,
		`aura_incidents_total{type="LATENCY_SLO_BREACH"}`:                       0,
		`aura_actions_total{action="ENABLE_SAFE_MODE",agl_decision="none"}`:     0,
	} {
		if got, ok := sampleOf(families, sample); !ok || got != want {
			t.Errorf("%s is %v (there: %t), want %v", sample, got, ok, want)
		}
	}
	if s := families["aura_approval_wait_seconds"].GetMetric()[0].GetHistogram().GetSampleSum(); s != 45 {
		t.Errorf("the approval took %v s", s)
	}
}

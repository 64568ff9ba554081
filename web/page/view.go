package page

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"
	"time"

	"aura/web/api"
	"aura/web/chart"
)

// view is a Model with what the templates compute from it.
type view struct {
	Model
	Safe bool
	// NotReady are the checks that fail; Troubled the agents that don't run as they should.
	NotReady []api.Check
	Troubled []api.Agent
	// Waiting says what is missing before an application can be decided by the model; "" for nothing.
	Waiting string
}

func newView(m Model) view {
	v := view{Model: m, Safe: m.Overview.Mode.Mode == api.ModeSafe}
	for _, c := range m.Overview.Ready {
		if !c.OK {
			v.NotReady = append(v.NotReady, c)
		}
	}
	for _, a := range m.Overview.Agents {
		if k := kindOf(a.State); k == chart.Bad || k == chart.Warn {
			v.Troubled = append(v.Troubled, a)
		}
	}
	switch {
	case len(m.Overview.Agents) == 0:
		v.Waiting = "No agent runs in this process."
	case m.Overview.Champion == nil && !v.Safe:
		v.Waiting = "No model is in charge yet; applications wait for the first one."
	}
	return v
}

// Several reports whether agents of more than one process are listed.
func (v view) Several() bool {
	return slices.ContainsFunc(v.Overview.Agents, func(a api.Agent) bool { return a.Elsewhere })
}

// Calm reports whether nothing needs a person's eye.
func (v view) Calm() bool {
	return v.Waiting == "" && !v.Safe && !v.Stale && len(v.NotReady)+len(v.Troubled)+len(v.Overview.Faults) == 0 &&
		len(v.OpenIncidents())+len(v.Overview.Approvals) == 0 && v.Overview.Healing.State != api.HealingPaused
}

// kindOf is how an agent in a state is doing.
func kindOf(state string) chart.Kind {
	switch state {
	case "RUNNING":
		return chart.Good
	case "STARTING":
		return chart.Busy
	case "SLOW", "SILENT":
		return chart.Warn
	case "HUNG", "CRASHED", "QUARANTINED":
		return chart.Bad
	}
	return chart.Quiet
}

// Rate is decisions a second: the mean of the last five samples, so that the figure can be read.
func (v view) Rate() string {
	points := v.Points[max(0, len(v.Points)-5):]
	if len(points) > 1 && len(v.Points) <= 5 {
		points = points[1:] // the first sample of all has no rate
	}
	sum := 0.0
	for _, p := range points {
		sum += p.Rate
	}
	return rate(sum / float64(max(1, len(points))))
}

// RateLine and LatencyLine are the charts over the last minutes.
func (v view) RateLine() template.HTML {
	values := make([]float64, len(v.Points))
	for i, p := range v.Points {
		values[i] = p.Rate
	}
	if len(values) > 0 {
		values[0] = math.NaN()
	}
	return svg(chart.Line{Title: "Decisions a second over the last minutes", Unit: "/s", Values: values, Slots: v.slots()}.SVG())
}

// slots is how many samples a chart has room for: it grows with them from one minute to five.
func (v view) slots() int { return max(60, len(v.Points)) }

// LatencyLine draws the 99th percentile with the limit of 300 ms.
func (v view) LatencyLine() template.HTML {
	values := make([]float64, len(v.Points))
	for i, p := range v.Points {
		values[i] = math.NaN()
		if p.Known {
			values[i] = p.P99MS
		}
	}
	return svg(chart.Line{
		Title: "99th percentile of latency over the last minutes", Unit: " ms", Values: values, Slots: v.slots(), Limit: 300,
	}.SVG())
}

// Window draws how much of the admission window is used.
func (v view) Window() template.HTML {
	return svg(chart.Meter("Undecided applications in the window", v.Overview.Undecided, v.Overview.Window))
}

// outcomes in the order in which they are shown.
var outcomes = []string{api.Approve, api.Refer, api.Decline}

// OutcomeNames are the outcomes in their order.
func (view) OutcomeNames() []string { return outcomes }

// Outcomes draws the shares of the decisions.
func (v view) Outcomes() template.HTML {
	parts := make([]chart.Part, 0, len(outcomes))
	for _, o := range outcomes {
		parts = append(parts, chart.Part{Name: o, Class: strings.ToLower(o), Count: v.Overview.Outcomes[o]})
	}
	return svg(chart.Shares("Decisions since the start", parts))
}

// OutcomeShare is the share of an outcome among all decisions.
func (v view) OutcomeShare(outcome string) string {
	total := int64(0)
	for _, n := range v.Overview.Outcomes {
		total += n
	}
	if total <= 0 {
		return "–"
	}
	return fmt.Sprintf("%.0f %%", 100*float64(v.Overview.Outcomes[outcome])/float64(total))
}

// Flow draws the pipeline, wide and tall; style sheets show the one that fits.
func (v view) Flow() template.HTML {
	p := chart.Pipeline{Title: "The pipeline", Around: "rules instead of the model", AroundActive: v.Safe}
	topics := map[string]string{"ingestion": "intake", "feature": "raw-events", "model": "features", "decision": "predictions"}
	control := map[string]string{"monitoring": "metrics", "healing": "alerts", "governance": "requests"}
	at := map[string]int{}
	for _, a := range v.Overview.Agents {
		if topic, known := control[a.Name]; known && !slices.ContainsFunc(p.Control, func(n chart.Node) bool { return n.Name == a.Name }) {
			p.Control, p.ControlFlows = append(p.Control, node(a, false)), append(p.ControlFlows, topic)
			continue
		}
		topic, known := topics[a.Name]
		if !known || slices.ContainsFunc(p.Nodes, func(n chart.Node) bool { return n.Name == a.Name }) {
			continue // other agents, and further instances, stand in the table
		}
		at[a.Name] = len(p.Nodes)
		p.Nodes = append(p.Nodes, node(a, v.Safe && a.Name == "model"))
		p.Flows = append(p.Flows, topic)
	}
	if len(p.Nodes) == 0 {
		return ""
	}
	p.Flows = append(p.Flows, "decisions")
	if len(p.Control) > 0 {
		p.ControlFlows = append(p.ControlFlows, map[bool]string{true: "actions"}[len(p.Control) > 1])
	}
	if from, ok := at["feature"]; ok {
		if to, ok := at["decision"]; ok {
			p.From, p.To = from, to
		}
	}
	return svg(p.Wide() + p.Tall())
}

func node(a api.Agent, bypassed bool) chart.Node {
	n := chart.Node{
		Name: a.Name, Kind: kindOf(a.State), State: strings.ToLower(a.State), Life: fmt.Sprintf("life %d", a.Incarnation),
		Rate: map[bool]string{true: "elsewhere", false: rate(a.Rate) + "/s"}[a.Elsewhere], Bypassed: bypassed,
		Facts: [3]chart.Fact{
			{Name: "queue", Value: count(int64(a.Queue))},
			{Name: "p50", Value: millis(a.P50MS)},
			{Name: "p99", Value: millis(a.P99MS)},
		},
	}
	if a.Elsewhere { // its times are not known here
		n.Facts[1].Value, n.Facts[2].Value = "–", "–"
	}
	if a.QueueAgeMS > 1000 {
		n.Facts[0].Kind = chart.Warn
	}
	if a.P99MS > 300 {
		n.Facts[2].Kind = chart.Warn
	}
	if bypassed {
		n.Life += " · bypassed"
	}
	return n
}

// svg marks a figure of ours as HTML: package chart has escaped every text in it.
func svg(s string) template.HTML { return template.HTML(s) } //nolint:gosec // see above

// Uptime is how long the process runs.
func (v view) Uptime() string { return age(v.Overview.At.Sub(v.Overview.Started)) }

// Left is how long something lasts yet.
func (v view) Left(until time.Time) string { return age(until.Sub(v.Overview.At)) }

// Ago is how long ago something was.
func (v view) Ago(t time.Time) string { return age(v.Overview.At.Sub(t)) }

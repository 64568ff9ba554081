package page

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"aura/web/api"
)

// fillLoop fills everything of the loop with the text s and the figure n.
func fillLoop(o *api.Overview, s string, n float64) {
	numbers := map[string]float64{s: n, "accuracy": n}
	in := api.Incident{
		ID: s, Type: s, Status: "MITIGATING", State: s, Target: s, Reason: s, WaitsFor: s, DetectedAt: now, OnsetAt: now.Add(-time.Second), ResolvedAt: now,
		Degraded: true, SelfRecovered: true, Escalation: s, LastAction: s, Links: []string{s},
	}
	d := api.IncidentDetail{
		Incident: in, OrderReason: s, DryRun: true,
		Signal:   api.Evidence{State: s, Words: s, Value: n, Threshold: n, N: math.MaxInt64, DataBug: s, Numbers: numbers},
		Timeline: []api.TimelineStep{{At: now, State: s, Event: s, Text: s}, {}},
		ActionLog: []api.Action{{
			Type: s, Params: map[string]string{s: s}, AGLDecision: s, Rule: s, Approver: s, Result: s, Reason: s, Undo: true, ProposedAt: now,
			ExecutedAt: now, EndedAt: now, Before: numbers, After: numbers, Verdict: &api.Verdict{State: s, Lower: n, Upper: n, N: -1},
		}, {}},
	}
	for _, state := range []string{api.StepDone, api.StepNow, api.StepWaiting, api.StepFailed, api.StepSkipped, s} {
		d.Steps = append(d.Steps, api.Step{Name: s, State: state, At: now, SinceOnsetS: &n, TookS: &n, Text: s}, api.Step{Name: s, State: state})
		d.Ladder = append(d.Ladder, api.Rung{Action: s, Params: map[string]string{s: s}, Protect: true, Why: s, State: state, Note: s})
	}
	o.Incidents = []api.Incident{in, {}, {Type: s, Status: "RESOLVED", DetectedAt: now, ResolvedAt: now}}
	o.Current = []api.IncidentDetail{d, d, {}}
	o.Approvals = []api.Approval{{RequestID: s, IncidentID: s, ActionType: s, Params: map[string]string{s: s}, Inverse: s, Proposer: s, Rule: s, Reason: s, Status: "ESCALATED", CreatedAt: now, ExpiresAt: now}, {}}
	o.Memories = []api.Memory{{Type: s, ActionType: s, IncidentID: s, Healed: true, TookS: n, Before: numbers, After: numbers}, {}}
	o.Healing = api.Healing{State: api.HealingPaused, Profile: s, By: s, Reason: s, Since: now}
	o.Signals = api.SignalReport{Blind: true, Items: []api.Signal{
		{Kind: "DATA_DRIFT", Target: s, State: s, Value: n, Threshold: n, Unit: s, N: -1, Bug: s, Histogram: &api.Histogram{Bins: []string{s, s}, Reference: []float64{n, n}, Now: []float64{n}}},
		{Kind: "DATA_DRIFT", Target: s, State: "CONFIRMED", Unit: "PSI"},
		{Kind: s, Target: s, State: s, Value: n, Threshold: n, Unit: "ms"},
		{Kind: s, Value: n, Unit: "share"},
		{Kind: s, Value: n, Unit: "s"},
	}}
	times := api.Times{P50S: &n, P95S: &n, N: 3}
	share := api.Share{Share: &n, Count: 1, N: 2}
	o.Scoreboard = api.Scoreboard{At: now, WindowS: n, SLO: api.SLO{Share: share, Undecided: 2173, LimitMS: n, Target: n}, Items: []api.Score{
		{Type: s, FromDetection: times, FromOnset: times, Success: share, Needless: share, TargetS: n}, {Type: "ALL"},
	}}
}

func TestThePageShowsTheLoop(t *testing.T) {
	sec := func(v float64) *float64 { return &v }
	m := Model{FaultsEnabled: true, Overview: api.Overview{
		At: now, Mode: api.Mode{Mode: api.ModeSafe}, Agents: []api.Agent{{Name: "model", State: "RUNNING"}, {Name: "healing", State: "RUNNING"}},
		FaultKinds: []string{"latency", "drift"}, Features: []string{"credit_score", "income"},
		Healing: api.Healing{State: api.HealingActive, Profile: "supervised"},
		Current: []api.IncidentDetail{{
			Incident: api.Incident{ID: "i-1", Type: "LATENCY_SLO_BREACH", Status: "MITIGATING", State: "VERIFYING", Target: "service", DetectedAt: now},
			Signal:   api.Evidence{State: "CONFIRMED", Words: "a median of 2004 ms against 300 ms", Value: 2004, Threshold: 300, N: 100},
			Steps:    []api.Step{{Name: "detect", State: api.StepDone, At: now, SinceOnsetS: sec(1.25)}, {Name: "propose", State: api.StepNow}},
			Ladder:   []api.Rung{{Action: "ENABLE_SAFE_MODE", Why: "it protects at once", State: api.StepNow}},
			Timeline: []api.TimelineStep{{At: now.Add(2 * time.Second), State: "DETECTED", Text: "signal confirmed"}},
		}},
		Incidents: []api.Incident{{ID: "i-1", Type: "LATENCY_SLO_BREACH", Status: "MITIGATING", Target: "service", DetectedAt: now}},
		Approvals: []api.Approval{{RequestID: "r-1", ActionType: "ROLLBACK_MODEL", Proposer: "healing", ExpiresAt: now.Add(90 * time.Second)}},
		Signals: api.SignalReport{Items: []api.Signal{
			{Kind: "DATA_DRIFT", Target: "income", Value: .01, Threshold: .2, State: "HEALTHY"},
			{Kind: "DATA_DRIFT", Target: "credit_score", Value: .9, Threshold: .2, State: "CONFIRMED", Bug: "unit: factor 12"},
		}},
		Memories:   []api.Memory{{Type: "PERF_DROP", ActionType: "ROLLBACK_MODEL", Healed: true, TookS: 3.2, Before: map[string]float64{"accuracy": .6}, After: map[string]float64{"accuracy": .93}}},
		Scoreboard: api.Scoreboard{SLO: api.SLO{Undecided: 2173}, Items: []api.Score{{Type: "PERF_DROP", FromDetection: api.Times{P50S: sec(4), P95S: sec(200), N: 7}, TargetS: 120}}},
	}}
	html := render(t, m)
	for _, want := range []string{
		">&#43;1.2 s<", "it protects at once", "confirmed: a median of 2004 ms against 300 ms", ">&#43;2.0 s<", `href="/incidents/i-1"`,
		`name="request" value="r-1"`, `value="APPROVED"`, `value="DENIED"`, "denied in 1 min 30 s", "1 action waits for a decision",
		"LATENCY_SLO_BREACH of service.", "unit: factor 12", "of them late and not decided yet", "0.900", "accuracy 0.6 → 0.93", "3 min 20 s", "Pause healing", "a person decides each action, profile supervised",
		`value="latency"`, `value="drift"`, "MTTR from detection, p50", "MTTR from onset, p95",
	} {
		if !strings.Contains(html, want) {
			t.Errorf("the page doesn't say %q", want)
		}
	}
	if !(strings.Index(html, ">credit_<wbr>score") < strings.Index(html, `"row">income`)) {
		t.Error("the drift table doesn't begin with the largest PSI")
	}
	for _, wrong := range []string{"All is well", `value="bad-model"`} {
		if strings.Contains(html, wrong) {
			t.Errorf("the page says %q", wrong)
		}
	}
}

// TestWhatASuspicionTook: one that was never confirmed recovered from nothing, and its band in the chart ends all the same.
func TestWhatASuspicionTook(t *testing.T) {
	n := api.Incident{Type: "AGENT_DOWN", Status: "RESOLVED", State: "CANCELLED", DetectedAt: now.Add(-time.Minute), UpdatedAt: now.Add(-30 * time.Second)}
	if got := took(n); got != "never confirmed" {
		t.Errorf("took %q", got)
	}
	band := func() string {
		return string(view{Model: Model{Overview: api.Overview{At: now, Incidents: []api.Incident{n}}}}.LatencyChart())
	}
	unconfirmed := band()
	n.ResolvedAt = n.UpdatedAt
	if got := took(n); got != "30 s" || band() != unconfirmed {
		t.Errorf("took %q; the band differs: %v", got, band() != unconfirmed)
	}
}

// TestALeaveIsOnlyClaimedWhereItWasGiven: what governance was never asked for was denied by nobody.
func TestALeaveIsOnlyClaimedWhereItWasGiven(t *testing.T) {
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	for want, a := range map[string]api.Action{
		`<span class="quiet">not asked</span>`:   {Result: "REFUSED", Reason: "it needs previous_better: the signal says no"},
		`<span class="quiet">not decided</span>`: {Result: "WITHDRAWN", Asked: true},
		`</svg>denied</span>`:                    {Result: "DENIED", Asked: true, AGLDecision: "DENIED", Reason: "nobody decided in time"},
		`</svg>pending</span>`:                   {Asked: true, AGLDecision: "PENDING"},
	} {
		var buf bytes.Buffer
		if err := p.RenderIncident(&buf, &IncidentPage{At: now, Detail: &api.IncidentDetail{ActionLog: []api.Action{a}}}); err != nil {
			t.Fatal(err)
		}
		if html := buf.String(); !strings.Contains(html, want) || !strings.Contains(html, a.Reason) {
			t.Errorf("%+v is not shown as %s", a, want)
		}
	}
}

func TestTheIncidentsOwnPage(t *testing.T) {
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{hostile, "plain"} {
		for _, n := range []float64{.5, math.NaN(), math.Inf(-1), 1e300} {
			var o api.Overview
			fillLoop(&o, s, n)
			for i := range o.Current {
				var buf bytes.Buffer
				if err := p.RenderIncident(&buf, &IncidentPage{At: now, Detail: &o.Current[i]}); err != nil {
					t.Fatal(err)
				}
				html := buf.String()
				if strings.Contains(html, "<script>alert") || strings.Contains(html, "<img src=x") {
					t.Error("a text became markup")
				}
				if bad := forbidden.FindString(html); bad != "" && s != hostile {
					t.Errorf("%v: the page has %q", n, bad)
				}
			}
		}
	}
}

// TestWordsForPeople: a code says why a person was called to programs only, and a figure is shown where there is one.
func TestWordsForPeople(t *testing.T) {
	d := func(escalation, reason string, states ...string) *api.IncidentDetail {
		d := &api.IncidentDetail{Incident: api.Incident{Escalation: escalation, Reason: reason}}
		for _, s := range states {
			d.Steps = append(d.Steps, api.Step{State: s})
		}
		return d
	}
	digest := strings.Repeat("5b3f6a93", 8)
	for _, test := range []struct{ got, want string }{
		{said("a person was called: LADDER_END"), "a person was called: nothing is left to try"},
		{said("a person was called: DATA_BUG: income: divided by 1000"), "a person was called: what comes in is broken, and no model may learn from it: income: divided by 1000"},
		{said("a person was called: NEW_CODE: more"), "a person was called: NEW_CODE: more"},
		{said("nobody decided in time"), "nobody decided in time"},
		{called(d("LADDER_END", "a person was called: LADDER_END")), ""},
		{called(d("LADDER_END", "a person decides")), "a person was called: nothing is left to try"},
		{called(d("", "healthy")), ""},
		{idle(d("", "", api.StepDone, api.StepFailed, api.StepSkipped)), "not reached"},
		{idle(d("", "", api.StepDone, api.StepSkipped)), "not needed"},
		{idle(&api.IncidentDetail{Incident: api.Incident{State: "ESCALATED"}}), "left to a person"},
		{reading(api.Signal{State: "UNKNOWN", Unit: "share"}), none},
		{reading(api.Signal{State: "HEALTHY", Unit: "s"}), "0.0 s"},
		{reading(api.Signal{State: "UNKNOWN", Unit: "PSI", Value: .25, N: 12}), "0.250"},
		{span(120), "2 min"},
		{span(125), "2 min 05 s"},
		{span(86400), "24 h"},
		{span(3660), "1 h 01 min"},
		{params(map[string]string{"digest": digest, "agent": "model"}), "agent model, digest 5b3f6a935b3f…"},
		{purpose(api.Action{Purpose: "RESTORE"}), "restore"},
		{purpose(api.Action{Purpose: "FORWARD"}), ""},
	} {
		if test.got != test.want {
			t.Errorf("%q, want %q", test.got, test.want)
		}
	}
}

// A verdict says what its figures are: a PSI isn't a share.
func TestVerdictWords(t *testing.T) {
	for _, c := range []struct {
		kind string
		v    api.Verdict
		want string
	}{
		{"LATENCY_SLO_BREACH", api.Verdict{State: "HEALTHY", Upper: 0.029, N: 1250}, "verdict healthy: 0.0 % to 2.9 % bad (95 %) of 1\u202f250 samples"},
		{"DATA_DRIFT", api.Verdict{State: "CONFIRMED", Lower: 0.31, N: 500}, "verdict confirmed: PSI at least 0.31 on 500 rows"},
		{"DATA_DRIFT", api.Verdict{State: "UNKNOWN"}, "verdict unknown"},
	} {
		if got := verdictWords(c.kind, &c.v); got != c.want {
			t.Errorf("%s: %q, want %q", c.kind, got, c.want)
		}
	}
}

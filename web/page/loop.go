package page

import (
	"cmp"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"aura/web/api"
	"aura/web/chart"
)

// What the page shows of the loop that watches and heals.

// Current is the incident shown whole: the newest open one, else the last; nil where there was none.
func (v view) Current() *api.IncidentDetail {
	if len(v.Overview.Current) == 0 {
		return nil
	}
	return &v.Overview.Current[0]
}

// OpenIncidents are those still worked on.
func (v view) OpenIncidents() []api.Incident {
	var out []api.Incident
	for _, n := range v.Overview.Incidents {
		if n.Open() {
			out = append(out, n)
		}
	}
	return out
}

// kindOfStatus is how an incident is doing.
func kindOfStatus(status string) chart.Kind {
	switch status {
	case "OPEN", "FAILED", "DENIED", "CONFIRMED":
		return chart.Bad
	case "MITIGATING", "ESCALATED", "PENDING", "SUSPECT", api.HealingPaused:
		return chart.Warn
	case "RESOLVED", "APPROVED", "MODIFIED", "HEALTHY", "VERIFIED", api.HealingActive:
		return chart.Good
	}
	return chart.Quiet
}

// kindOfStep is the shape of one of the six steps.
func kindOfStep(state string) chart.Kind {
	switch state {
	case api.StepDone:
		return chart.Good
	case api.StepNow:
		return chart.Busy
	case api.StepFailed:
		return chart.Bad
	}
	return chart.Quiet
}

// since writes seconds since the onset: +2.4 s.
func since(s *float64) string {
	if s == nil || math.IsNaN(*s) || math.IsInf(*s, 0) {
		return none
	}
	return "+" + span(*s)
}

// span writes a duration in seconds with what digits it deserves.
func span(s float64) string {
	switch {
	case math.IsNaN(s) || math.IsInf(s, 0) || math.Abs(s) > 1e9:
		return none
	case math.Abs(s) < 10:
		return fmt.Sprintf("%.1f s", s)
	case math.Abs(s) < 120:
		return fmt.Sprintf("%.0f s", s)
	}
	return strings.NewReplacer(" min 00 s", " min", " h 00 min", " h").Replace(age(time.Duration(s * float64(time.Second))))
}

// judged says a person's verdict on an action.
func judged(needless *bool) string {
	if *needless {
		return "needless, by verdict of a person"
	}
	return "needed, by verdict of a person"
}

// took is how long an incident lasted from detection.
func took(n api.Incident) string {
	s, why := n.Recovery()
	switch {
	case why != "":
		return why
	case s == 0:
		return none
	}
	return span(s)
}

// figure writes a signal's value with its unit.
func figure(v float64, unit string) string {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0) || math.Abs(v) > 1e9:
		return none
	case unit == "ms":
		return millis(v)
	case unit == "share":
		return percent(&v)
	case unit == "s":
		return span(v)
	}
	return fmt.Sprintf("%.3f", v)
}

// reading is a signal's value; what was judged on nothing has none.
func reading(s api.Signal) string {
	if s.N == 0 && s.State == "UNKNOWN" {
		return none
	}
	return figure(s.Value, s.Unit)
}

// purpose says what an action was for, other than to heal.
func purpose(a api.Action) string {
	if a.Purpose == "" || a.Purpose == "FORWARD" {
		return ""
	}
	return strings.ToLower(a.Purpose)
}

// waits reports whether an action waits for a person.
func waits(a api.Action) bool { return a.AGLDecision == "ESCALATED" && a.Result == "" }

// acts says who decides under a profile.
func acts(profile string) string {
	switch profile {
	case "supervised":
		return "a person decides each action"
	case "off":
		return "it only watches"
	}
	return "it acts by itself"
}

// worth is what a verified action did: leaving safe mode heals nothing.
func worth(action string) string {
	if action == "DISABLE_SAFE_MODE" {
		return "held"
	}
	return "healed"
}

// evidenceText says what the signal is now.
func evidenceText(d api.IncidentDetail) string {
	if d.Signal.State == "" {
		return ""
	}
	return strings.ToLower(d.Signal.State) + ": " + d.Signal.Words
}

// calls says why a person was called.
var calls = map[string]string{
	"LADDER_END": "nothing is left to try", "DATA_BUG": "what comes in is broken, and no model may learn from it",
	"NOTIFY_ONLY": "only a person can mend this", "WAITED": "nothing could be done in time", "SUSPICION": "suspect for long, never confirmed",
	"NO_DECISION": "governance did not answer", "UNDO_FAILED": "an action stands that should not", "FLAPPING": "it comes and goes",
	"DEGRADED": "safe mode stands for long", "PERSON": "somebody asked for it", "APPROVAL": "an action waits for a decision",
}

const calling = "a person was called: "

// said puts words in the place of the code that a call for a person is kept with.
func said(text string) string {
	before, after, found := strings.Cut(text, calling)
	if !found {
		return text
	}
	code, more, _ := strings.Cut(after, ":")
	return before + calling + cmp.Or(calls[code], code) + strings.TrimSuffix(":"+more, ":")
}

// called says that a person was called and why, unless the incident's reason does.
func called(d *api.IncidentDetail) string {
	if d.Escalation == "" || strings.Contains(d.Reason, calling+d.Escalation) {
		return ""
	}
	return said(calling + d.Escalation)
}

// idle says why a step was skipped: it was not reached, is left to a person, or nothing was left to do.
func idle(d *api.IncidentDetail) string {
	if slices.ContainsFunc(d.Steps, func(s api.Step) bool { return s.State == api.StepFailed }) {
		return "not reached"
	}
	if d.State == "ESCALATED" {
		return "left to a person"
	}
	return "not needed"
}

// newest are the last steps of a timeline, the newest first.
func newest(n int, steps []api.TimelineStep) []api.TimelineStep {
	out := slices.Clone(steps[max(0, len(steps)-n):])
	slices.Reverse(out)
	return out
}

// sinceStart is when a step was, counted from the incident's onset or detection, before a relapse from that episode's.
func sinceStart(d api.IncidentDetail, t time.Time) string {
	s, episode, known := d.Since(t)
	switch {
	case !known:
		return none
	case episode <= len(d.EarlierDetectedAt):
		return fmt.Sprintf("+%s (episode %d)", span(s), episode)
	}
	return "+" + span(s)
}

// part writes a part of a whole.
func part(s api.Share) string { return percent(s.Share) }

func seconds(s *float64) string {
	if s == nil {
		return none
	}
	return span(*s)
}

// inTarget says whether a figure keeps its target; true where there is no figure.
func inTarget(s api.Score) bool {
	return s.TargetS == 0 || s.FromDetection.P95S == nil || *s.FromDetection.P95S <= s.TargetS
}

// digest is a SHA-256, of which the page shows the beginning.
var digest = regexp.MustCompile(`^[0-9a-f]{64}$`)

// params writes an action's parameters in order.
func params(m map[string]string) string {
	words := make([]string, 0, len(m))
	for k, v := range m {
		if digest.MatchString(v) {
			v = short(13, v)
		}
		words = append(words, k+" "+v)
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}

// changes writes numbers before and after an action, by name.
func changes(before, after map[string]float64) string {
	names := make([]string, 0, len(after))
	for k := range after {
		if _, ok := before[k]; ok && k != "n" && k != "threshold" {
			names = append(names, k)
		}
	}
	slices.Sort(names)
	words := make([]string, 0, len(names))
	for _, k := range names[:min(len(names), 3)] {
		words = append(words, fmt.Sprintf("%s %s → %s", strings.ReplaceAll(k, "_", " "), plainNumber(before[k]), plainNumber(after[k])))
	}
	return strings.Join(words, ", ")
}

// verdictWords says what a verification found, with what it rests on: of drift the lower bound of the largest PSI, of all else
// how large the share of bad samples may be.
func verdictWords(kind string, v *api.Verdict) string {
	words := "verdict " + strings.ToLower(v.State)
	switch {
	case v.N == 0:
		return words
	case kind == "DATA_DRIFT":
		return fmt.Sprintf("%s: PSI at least %s on %s rows", words, plainNumber(v.Lower), count(v.N))
	}
	return fmt.Sprintf("%s: %s to %s bad (95 %%) of %s samples", words, percent(&v.Lower), percent(&v.Upper), count(v.N))
}

func plainNumber(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) || math.Abs(v) > 1e12 {
		return none
	}
	return fmt.Sprintf("%.4g", v)
}

// Drill is one button of the page: a fault with an expected ending.
type Drill struct{ Name, Kind, Feature, Title, Text string }

// drills are the page's, in order.
var drills = []Drill{
	{"latency", "latency", "", "Slow model", "+2 s in the model agent for 30 s"},
	{"crash", "crash", "", "Crash", "the model agent panics"},
	{"hang", "hang", "", "Hang", "the model agent blocks for 30 s"},
	{"drift", "drift", "credit_score", "Drift", "credit_score to a mean of 550 for 3 min"},
	{"bad-model", "bad-model", "", "Bad model", "a worse model takes charge"},
	{"label-flip", "label-flip", "", "Label flip", "outcomes are inverted for 1 min"},
	{"label-noise", "label-noise", "", "Label noise", "two outcomes in five are wrong for 5 min"},
	{"unit", "unit", "income", "Wrong unit", "income by the month for 2 min"},
	{"stuck", "stuck", "credit_score", "Stuck value", "credit_score is always 700 for 2 min"},
}

// SourceFaults are the kinds of the form for what comes in.
func (v view) SourceFaults() []string {
	return slices.DeleteFunc(slices.Clone(v.Overview.FaultKinds), func(k string) bool {
		return slices.Contains([]string{"latency", "error", "crash", "hang"}, k)
	})
}

// Drills are those that this process can inject.
func (v view) Drills() []Drill {
	var out []Drill
	for _, d := range drills {
		if d.Feature != "" && !slices.Contains(v.Overview.Features, d.Feature) {
			continue
		}
		if len(v.Overview.FaultKinds) == 0 && slices.Contains([]string{"latency", "crash", "hang"}, d.Kind) || slices.Contains(v.Overview.FaultKinds, d.Kind) {
			out = append(out, d)
		}
	}
	return out
}

// IncidentPage is one incident by itself.
type IncidentPage struct {
	At     time.Time
	Detail *api.IncidentDetail
}

package healing

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"aura/agents/event"
	"aura/healing/detect"
	"aura/healing/incident"
)

// What monitoring says, as the incident machine understands it.

// reportOf reads what a heartbeat of monitoring carries.
func reportOf(a *event.Alert) (detect.Report, error) {
	var r detect.Report
	if a.Kind != Heartbeat {
		return r, nil
	}
	if err := json.Unmarshal(a.Signal, &r); err != nil {
		return r, fmt.Errorf("healing: report: %w", err)
	}
	return r, nil
}

// signalOf translates a signal for the incident machine; of names the cause that it is a consequence of.
func signalOf(r detect.Report, s detect.Signal, of string) incident.Signal {
	out := incident.Signal{
		Kind: string(s.Kind), Target: s.Target, Fingerprint: s.Fingerprint(), State: incident.SignalState(s.State),
		Value: s.Value, Threshold: s.Threshold, N: s.N, Words: s.Words(), ObservedAt: r.At, WindowFrom: r.At.Add(-s.Window), OnsetAt: s.Onset,
		Facts: map[string]bool{}, Numbers: shareOf(s, numbers(s.Evidence)), Evidence: encode(s.Evidence),
	}
	if s.Kind == detect.AgentDown {
		out.Instance, _ = s.Evidence["instance"].(string)
		out.Facts["model_agent"] = s.Target == "model"
		out.Facts[incident.FactGone] = s.Evidence["cause"] == detect.AgentGone
		_, out.Facts[incident.FactProcess] = detect.ProcessOf(s.Target)
		out.Facts[incident.FactQuarantined] = s.Evidence["cause"] == detect.AgentQuarantined
		if s.Since.After(out.WindowFrom) { // beats are judged one by one: a state that is younger than the window rests on less
			out.WindowFrom = s.Since
		}
	}
	if s.State == detect.Warming && s.Evidence["clear"] == true { // too small a reference for an alarm, not for the rule
		out.State = incident.Healthy
	}
	for _, cause := range r.Causes {
		with := cause.Signal
		if cause.Of == out.Fingerprint && with.Kind == detect.DataDrift && with.Target != detect.TargetScore && with.State == detect.Confirmed {
			out.With = append(out.With, incident.Drift{Target: with.Target, PSI: with.Value, OnsetAt: with.Onset})
		}
	}
	if s.Bug != nil {
		out.DataBug = s.Bug.String()
	}
	if of != "" {
		out.NotYet = "it is a consequence of " + of
	}
	return out
}

// numbers of an evidence.
func numbers(evidence map[string]any) map[string]float64 {
	out := map[string]float64{}
	for name, v := range evidence {
		switch x := v.(type) {
		case float64:
			out[name] = x
		case int64:
			out[name] = float64(x)
		case int:
			out[name] = float64(x)
		}
	}
	return out
}

func shadowOf(r detect.Report) *incident.Shadow {
	return &incident.Shadow{
		State: incident.SignalState(r.Shadow.State), N: r.Shadow.N, ObservedAt: r.At, Numbers: r.Shadow.Numbers, Reason: r.Shadow.Reason,
	}
}

// badShare is the share of decisions that were late, or wrong.
const badShare = "bad_share"

// shareOf adds to a signal's numbers what a verification will measure.
func shareOf(s detect.Signal, numbers map[string]float64) map[string]float64 {
	switch s.Kind {
	case detect.LatencyBreach:
		if all := numbers["slow"] + numbers["fast"]; all > 0 {
			numbers[badShare] = numbers["slow"] / all
		}
	case detect.PerfDrop:
		numbers[badShare] = 1 - s.Value
	}
	return numbers
}

func verdictOf(v detect.WatchVerdict) *incident.Verdict {
	out := &incident.Verdict{
		State: incident.Unknown, Worse: v.Worse, Lower: v.Low, Upper: v.High, N: v.N, From: v.Since, ObservedAt: v.At, Reason: v.Reason,
		Numbers: map[string]float64{"n": float64(v.N), "bad": float64(v.Bad), "llr": v.LLR},
	}
	// Named as in the signal, so that before and after are of one kind.
	name := badShare
	if v.PSI {
		name = "value"
	}
	out.Numbers[name] = v.Value
	switch v.Finding {
	case detect.Cured:
		out.State = incident.Healthy
	case detect.Broken:
		out.State = incident.Confirmed
	}
	return out
}

// explained reports whether a signal that got worse is no harm that the action did: what can't be heard, what the
// incident's own cause, or the one that it took over, brought with it, or an agent that is down and has nothing to do with it.
func explained(in incident.Incident, action, worse string) bool {
	if agent, down := strings.CutPrefix(worse, string(detect.AgentDown)+":"); down {
		at := slices.IndexFunc(in.Actions, func(a incident.Action) bool { return a.ID == action })
		if at >= 0 && !incident.MayBringDown(in.Actions[at], agent) {
			return true
		}
	}
	return strings.HasPrefix(worse, string(detect.BusDown)+":") || slices.Contains(in.Covers, worse)
}

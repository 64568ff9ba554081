package monitoring

import (
	"testing"
	"time"

	"aura/healing/detect"
)

// TestWorse: an action is blamed for what may be its doing, not for a fault of its own that began before it, nor for what
// another signal explains.
func TestWorse(t *testing.T) {
	acted := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	agentDown := func(agent string, s detect.State, at time.Duration) detect.Signal {
		return detect.Signal{Kind: detect.AgentDown, Target: agent, State: s, Since: acted.Add(at), Onset: acted.Add(at)}
	}
	latency := func(at time.Duration) detect.Signal {
		return detect.Signal{
			Kind: detect.LatencyBreach, Target: "service", State: detect.Confirmed, Since: acted.Add(at), Onset: acted.Add(at),
			Value: 1000, Threshold: 300,
		}
	}
	drift := func(target string) detect.Signal {
		return detect.Signal{Kind: detect.DataDrift, Target: target, State: detect.Confirmed, Since: acted.Add(time.Second)}
	}
	back := agentDown("feature", detect.Healthy, time.Second)
	back.Recovered = acted.Add(time.Second)
	unknown := latency(time.Second)
	unknown.Onset = time.Time{}
	for _, test := range []struct {
		name    string
		signals []detect.Signal
		before  map[string]bool
		life    int64 // that a restart began after
		want    string
	}{
		{name: "nothing else"},
		{name: "began after the action", signals: []detect.Signal{latency(time.Second)}, want: "LATENCY_SLO_BREACH:service"},
		{name: "began with the action", signals: []detect.Signal{latency(0)}, want: "LATENCY_SLO_BREACH:service"},
		{name: "began before the action", signals: []detect.Signal{latency(-time.Second)}},
		{name: "nobody can say when it began", signals: []detect.Signal{unknown}, want: "LATENCY_SLO_BREACH:service"},
		{name: "was there before", signals: []detect.Signal{latency(time.Second)}, before: map[string]bool{"LATENCY_SLO_BREACH:service": true}},
		{name: "its own", signals: []detect.Signal{agentDown("model", detect.Confirmed, time.Second)}},
		{name: "others apply", signals: []detect.Signal{drift("income")}},
		{name: "scores that no feature explains", signals: []detect.Signal{drift("score")}, want: "DATA_DRIFT:score"},
		{name: "scores that follow a feature", signals: []detect.Signal{drift("income"), drift("score")}},
		{
			name:    "latency behind an agent that hung before the action",
			signals: []detect.Signal{agentDown("feature", detect.Confirmed, -time.Second), latency(time.Second)},
		},
		{
			name:    "an agent that went down after it is blamed, not the latency that it explains",
			signals: []detect.Signal{agentDown("feature", detect.Confirmed, time.Second), latency(time.Second)},
			want:    "AGENT_DOWN:feature",
		},
		{
			name:    "another agent that went down after a restart",
			signals: []detect.Signal{agentDown("feature", detect.Confirmed, time.Second), latency(time.Second)}, life: 1,
		},
		{name: "latency after a restart", signals: []detect.Signal{latency(time.Second)}, life: 1, want: "LATENCY_SLO_BREACH:service"},
		{
			name:    "latency behind an agent that is just back",
			signals: []detect.Signal{back, latency(time.Second)},
		},
	} {
		w := &watch{Watch: detect.Watch{Kind: detect.AgentDown, Target: "model", Since: acted, Incarnation: test.life}, before: test.before}
		causes := detect.Rank(test.signals, detect.Scene{Now: acted.Add(2 * time.Second), Path: detect.DefaultPath})
		if got := w.worse(test.signals, consequences(causes)); got != test.want {
			t.Errorf("%s: blamed for %q, want %q", test.name, got, test.want)
		}
	}
}

package detect

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

func signal(k Kind, target string, s State, onset time.Duration) Signal {
	return Signal{Kind: k, Target: target, State: s, Since: at.Add(onset + time.Second), Onset: at.Add(onset), Value: 1}
}

// unwellSince is the signal of an agent whose trouble began then.
func unwellSince(s Signal, onset time.Duration) Signal {
	s.Evidence = map[string]any{evidenceUnwell: at.Add(onset)}
	return s
}

func TestRank(t *testing.T) {
	drift, sd := DataDrift, time.Second
	bug := signal(drift, "income", Confirmed, 0)
	bug.Bug = &Bug{Kind: BugUnit, Feature: "income", Factor: 12, Share: 1}
	broken := signal(drift, "income", Confirmed, -130*sd)
	broken.Bug = bug.Bug
	over, longOver := signal(drift, "income", Healthy, 0), signal(drift, "income", Healthy, 0)
	over.Recovered, longOver.Recovered = at.Add(20*sd), at.Add(-30*sd)
	back := signal(AgentDown, "model", Healthy, 0)
	back.Recovered = at.Add(27 * sd)
	stuck := signal(AgentDown, "model", Suspect, 0)
	stuck.Evidence = map[string]any{"cause": causeStuck}
	justStuck := stuck
	justStuck.Since = at.Add(26 * sd)
	long := back
	long.Recovered = at.Add(20 * sd)
	model := []Change{{Kind: "model", Target: "champion", At: at.Add(9 * sd), By: "operator"}}
	cases := map[string]struct {
		signals []Signal
		scene   Scene
		want    map[string]string // fingerprint -> of
	}{
		"hung agent explains latency, not an independent drift": {
			signals: []Signal{signal(LatencyBreach, "service", Suspect, 0), signal(AgentDown, "model", Confirmed, sd), signal(drift, "income", Confirmed, 0)},
			want:    map[string]string{"AGENT_DOWN:model": "", "LATENCY_SLO_BREACH:service": "AGENT_DOWN:model", "DATA_DRIFT:income": ""},
		},
		"in safe mode the model agent is not on the path": {
			signals: []Signal{signal(LatencyBreach, "service", Confirmed, 0), signal(AgentDown, "model", Confirmed, sd)},
			scene:   Scene{Mode: ModeSafe},
			want:    map[string]string{"AGENT_DOWN:model": "", "LATENCY_SLO_BREACH:service": ""},
		},
		"an agent off the path explains nothing": {
			signals: []Signal{signal(LatencyBreach, "service", Confirmed, 0), signal(AgentDown, "governance", Confirmed, sd)},
			want:    map[string]string{"AGENT_DOWN:governance": "", "LATENCY_SLO_BREACH:service": ""},
		},
		"in safe mode for its latency the model agent gets nowhere": {
			signals: []Signal{stuck},
			scene:   Scene{Mode: ModeSafe, Open: map[string]bool{"LATENCY_SLO_BREACH:service": true}},
			want:    map[string]string{"AGENT_DOWN:model": "LATENCY_SLO_BREACH:service"},
		},
		"in safe mode for something else the model agent gets nowhere": {
			signals: []Signal{stuck},
			scene:   Scene{Mode: ModeSafe, Open: map[string]bool{"PERF_DROP:model": true}},
			want:    map[string]string{"AGENT_DOWN:model": ""},
		},
		"the model agent gets nowhere before safe mode": {
			signals: []Signal{justStuck, signal(LatencyBreach, "service", Confirmed, 0)},
			scene:   Scene{Open: map[string]bool{"LATENCY_SLO_BREACH:service": true}},
			want:    map[string]string{"AGENT_DOWN:model": "", "LATENCY_SLO_BREACH:service": "AGENT_DOWN:model"},
		},
		"the model agent gets nowhere for long, and nothing convicts it": {
			signals: []Signal{stuck, signal(LatencyBreach, "service", Confirmed, 0)},
			want:    map[string]string{"AGENT_DOWN:model": "", "LATENCY_SLO_BREACH:service": ""},
		},
		"the model agent gets nowhere for long, and decisions may be late": {
			signals: []Signal{stuck, signal(LatencyBreach, "service", Suspect, 0)},
			want:    map[string]string{"AGENT_DOWN:model": "", "LATENCY_SLO_BREACH:service": "AGENT_DOWN:model"},
		},
		"in safe mode for its latency the model agent dies": {
			signals: []Signal{signal(AgentDown, "model", Confirmed, 0)},
			scene:   Scene{Mode: ModeSafe, Open: map[string]bool{"LATENCY_SLO_BREACH:service": true}},
			want:    map[string]string{"AGENT_DOWN:model": ""},
		},
		"a backlog just after a restart": {
			signals: []Signal{signal(LatencyBreach, "service", Confirmed, 0), back},
			want:    map[string]string{"LATENCY_SLO_BREACH:service": "AGENT_DOWN:model"},
		},
		"latency long after a restart": {
			signals: []Signal{signal(LatencyBreach, "service", Confirmed, 0), long},
			want:    map[string]string{"LATENCY_SLO_BREACH:service": ""},
		},
		"an agent dies after decisions became late": {
			signals: []Signal{signal(LatencyBreach, "service", Confirmed, 0), signal(AgentDown, "feature", Confirmed, 2500*time.Millisecond)},
			want:    map[string]string{"LATENCY_SLO_BREACH:service": "", "AGENT_DOWN:feature": ""},
		},
		"an agent that is back died after decisions became late": {
			signals: []Signal{signal(LatencyBreach, "service", Confirmed, 0), unwellSince(back, 2500*time.Millisecond)},
			want:    map[string]string{"LATENCY_SLO_BREACH:service": ""},
		},
		"an agent that is back died before decisions became late": {
			signals: []Signal{signal(LatencyBreach, "service", Confirmed, 0), unwellSince(back, -sd/2)},
			want:    map[string]string{"LATENCY_SLO_BREACH:service": "AGENT_DOWN:model"},
		},
		"an agent that dies again in the aftermath of its death": {
			signals: []Signal{signal(LatencyBreach, "service", Confirmed, 0), unwellSince(signal(AgentDown, "model", Confirmed, 8*sd), -sd/2)},
			want:    map[string]string{"LATENCY_SLO_BREACH:service": "AGENT_DOWN:model", "AGENT_DOWN:model": ""},
		},
		"of two agents the one that died before": {
			signals: []Signal{
				signal(LatencyBreach, "service", Confirmed, 0), signal(AgentDown, "feature", Confirmed, 3*sd), signal(AgentDown, "model", Confirmed, 0),
			},
			want: map[string]string{"LATENCY_SLO_BREACH:service": "AGENT_DOWN:model", "AGENT_DOWN:model": "", "AGENT_DOWN:feature": ""},
		},
		"accuracy after drift": {
			signals: []Signal{signal(PerfDrop, "model", Confirmed, 10*sd), signal(drift, "income", Confirmed, 0), signal(drift, "score", Suspect, sd)},
			want:    map[string]string{"DATA_DRIFT:income": "", "PERF_DROP:model": "DATA_DRIFT:income", "DATA_DRIFT:score": "DATA_DRIFT:income"},
		},
		"accuracy after drift and another model are two": {
			signals: []Signal{signal(PerfDrop, "model", Confirmed, 10*sd), signal(drift, "income", Confirmed, 0)},
			scene:   Scene{Changes: model},
			want:    map[string]string{"DATA_DRIFT:income": "", "PERF_DROP:model": ""},
		},
		"accuracy that fell long before the drift": {
			signals: []Signal{signal(PerfDrop, "model", Confirmed, -20*sd), signal(drift, "income", Confirmed, 0)},
			want:    map[string]string{"DATA_DRIFT:income": "", "PERF_DROP:model": ""},
		},
		"a drift only suspected explains no loss of accuracy": {
			signals: []Signal{signal(PerfDrop, "model", Confirmed, 10*sd), signal(drift, "income", Suspect, 0)},
			want:    map[string]string{"DATA_DRIFT:income": "", "PERF_DROP:model": ""},
		},
		"an open incident stays its own": {
			signals: []Signal{signal(PerfDrop, "model", Confirmed, 10*sd), signal(drift, "income", Confirmed, 0)},
			scene:   Scene{Open: map[string]bool{"PERF_DROP:model": true}},
			want:    map[string]string{"DATA_DRIFT:income": "", "PERF_DROP:model": ""},
		},
		"features that drift together are one population, later ones another": {
			signals: []Signal{signal(drift, "a", Suspect, 0), signal(drift, "b", Confirmed, sd), signal(drift, "c", Confirmed, 60*sd)},
			want:    map[string]string{"DATA_DRIFT:b": "", "DATA_DRIFT:a": "DATA_DRIFT:b", "DATA_DRIFT:c": ""},
		},
		"accuracy under a drift that nobody heals is its own": {
			signals: []Signal{signal(PerfDrop, "model", Confirmed, 10*sd), signal(drift, "income", Confirmed, 0)},
			scene:   Scene{Open: map[string]bool{"DATA_DRIFT:income": true}, Left: map[string]bool{"DATA_DRIFT:income": true}},
			want:    map[string]string{"DATA_DRIFT:income": "", "PERF_DROP:model": ""},
		},
		"accuracy under a drift that is healed waits": {
			signals: []Signal{signal(PerfDrop, "model", Confirmed, 10*sd), signal(drift, "income", Confirmed, 0)},
			scene:   Scene{Open: map[string]bool{"DATA_DRIFT:income": true}},
			want:    map[string]string{"DATA_DRIFT:income": "", "PERF_DROP:model": "DATA_DRIFT:income"},
		},
		"accuracy that is low for long waits no more": {
			signals: []Signal{signal(PerfDrop, "model", Confirmed, -95*sd), signal(drift, "income", Confirmed, -100*sd)},
			scene:   Scene{Open: map[string]bool{"DATA_DRIFT:income": true}},
			want:    map[string]string{"DATA_DRIFT:income": "", "PERF_DROP:model": ""},
		},
		"an open drift leads": {
			signals: []Signal{signal(drift, "a", Suspect, 0), signal(drift, "b", Confirmed, sd)},
			scene:   Scene{Open: map[string]bool{"DATA_DRIFT:a": true}},
			want:    map[string]string{"DATA_DRIFT:a": "", "DATA_DRIFT:b": "DATA_DRIFT:a"},
		},
		"a data bug leads": {
			signals: []Signal{signal(drift, "a", Confirmed, 0), bug, signal(drift, "score", Confirmed, 0), signal(PerfDrop, "model", Confirmed, 5*sd)},
			want: map[string]string{
				"DATA_DRIFT:income": "", "DATA_DRIFT:a": "DATA_DRIFT:income", "DATA_DRIFT:score": "DATA_DRIFT:income", "PERF_DROP:model": "DATA_DRIFT:income",
			},
		},
		"accuracy under a broken feed that is left to a person, for long": {
			signals: []Signal{signal(PerfDrop, "model", Confirmed, -125*sd), broken},
			scene:   Scene{Open: map[string]bool{"DATA_DRIFT:income": true}, Left: map[string]bool{"DATA_DRIFT:income": true}},
			want:    map[string]string{"DATA_DRIFT:income": "", "PERF_DROP:model": "DATA_DRIFT:income"},
		},
		"accuracy that fell under a drift that is just over": {
			signals: []Signal{signal(PerfDrop, "model", Suspect, 10*sd), over},
			want:    map[string]string{"PERF_DROP:model": "DATA_DRIFT:income"},
		},
		"another model that came as the drift began, by whose estimate it came just before": {
			signals: []Signal{signal(PerfDrop, "model", Confirmed, 10*sd), signal(drift, "income", Confirmed, 0)},
			scene:   Scene{Changes: []Change{{Kind: "model", Target: "champion", At: at.Add(-sd / 10)}}},
			want:    map[string]string{"DATA_DRIFT:income": "", "PERF_DROP:model": ""},
		},
		"accuracy under another model, beside a drift that is just over": {
			signals: []Signal{signal(PerfDrop, "model", Suspect, 0), over},
			scene:   Scene{Changes: []Change{{Kind: "model", Target: "champion", At: at.Add(25 * sd)}}},
			want:    map[string]string{"PERF_DROP:model": ""},
		},
		"accuracy that fell after a drift was over": {
			signals: []Signal{signal(PerfDrop, "model", Suspect, 21*sd), over},
			want:    map[string]string{"PERF_DROP:model": ""},
		},
		"accuracy that is low long after a drift was over": {
			signals: []Signal{signal(PerfDrop, "model", Suspect, -45*sd), longOver},
			want:    map[string]string{"PERF_DROP:model": ""},
		},
		"another model under a broken feed": {
			signals: []Signal{signal(PerfDrop, "model", Confirmed, 10*sd), bug},
			scene:   Scene{Changes: model},
			want:    map[string]string{"DATA_DRIFT:income": "", "PERF_DROP:model": ""},
		},
		"nothing can be heard": {
			signals: []Signal{signal(BusDown, "bus", Confirmed, 0), signal(AgentDown, "model", Confirmed, 0)},
			want:    map[string]string{"BUS_DOWN:bus": "", "AGENT_DOWN:model": "BUS_DOWN:bus"},
		},
		"two agents are two": {
			signals: []Signal{signal(AgentDown, "model", Confirmed, 0), signal(AgentDown, "feature", Confirmed, 0), signal(LatencyBreach, "service", Healthy, 0)},
			want:    map[string]string{"AGENT_DOWN:model": "", "AGENT_DOWN:feature": ""},
		},
	}
	for _, name := range sortedKeys(cases) {
		c := cases[name]
		t.Run(name, func(t *testing.T) {
			c.scene.Now, c.scene.Path = at.Add(30*sd), DefaultPath
			first := Rank(c.signals, c.scene)
			got := map[string]string{}
			for i, x := range first {
				got[x.Signal.Fingerprint()] = x.Of
				if x.Reason == "" {
					t.Errorf("%s has no reason", x.Signal.Fingerprint())
				}
				if i > 0 && x.Of == "" && first[i-1].Of != "" {
					t.Error("a cause comes after a consequence")
				}
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
			// The order of the signals doesn't matter.
			r := rand.New(rand.NewPCG(1, 1))
			for range 10 {
				r.Shuffle(len(c.signals), func(i, j int) { c.signals[i], c.signals[j] = c.signals[j], c.signals[i] })
				if again := Rank(c.signals, c.scene); !reflect.DeepEqual(again, first) {
					t.Fatalf("another order gives %+v, was %+v", again, first)
				}
			}
		})
	}
}

func TestRecentChangesAreEvidence(t *testing.T) {
	s := signal(PerfDrop, "model", Confirmed, 0)
	changes := []Change{
		{Kind: "config", Target: "x", At: at.Add(-11 * time.Minute)},
		{Kind: "mode", Target: "mode", At: at.Add(5 * time.Second)},
		{Kind: "restart", Target: "model", At: at.Add(-time.Minute)},
		{Kind: "model", Target: "champion", At: at.Add(-time.Second)},
	}
	got := Rank([]Signal{s}, Scene{Now: at.Add(time.Minute), Changes: changes})[0].Changes
	if len(got) != 3 || got[0].Kind != "model" || got[1].Kind != "restart" || got[2].Kind != "mode" {
		t.Errorf("%+v", got)
	}
}

package detect

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// deployment lets agents beat in several processes: those of a process by its name.
type deployment map[string][]string

func (d deployment) beats(now time.Time) (all []Beat) {
	for _, instance := range sortedKeys(d) {
		for _, agent := range d[instance] {
			all = append(all, Beat{Agent: agent, Instance: instance, Incarnation: 1, State: AgentRunning, At: now, Watermark: now.UnixMilli()})
		}
	}
	return all
}

// without is the deployment after something fell silent: a process, or one agent of it.
func (d deployment) without(instance, agent string) deployment {
	out := deployment{}
	for name, agents := range d {
		if name == instance {
			if agent == "" {
				continue
			}
			agents = slices.DeleteFunc(slices.Clone(agents), func(a string) bool { return a == agent })
		}
		out[name] = agents
	}
	return out
}

// noticing lets the supervisor of a process tell, after all beats, that some of its agents are in another state.
func (d deployment) noticing(state, instance string, agents ...string) func(time.Time) []Beat {
	return func(now time.Time) []Beat {
		beats := d.beats(now)
		for _, agent := range agents {
			beats = append(beats, Beat{Agent: agent, Instance: instance, Incarnation: 1, State: state})
		}
		return beats
	}
}

func all(more ...string) []string { return append(slices.Clone(DefaultPath), more...) }

// TestProcesses: who is down, and what of it can be healed from here.
func TestProcesses(t *testing.T) {
	type want struct {
		agent, process State
		cause          string // of the agent
		of             string // what the agent's signal is a consequence of
		words          string // of the process
	}
	for name, test := range map[string]struct {
		before        deployment
		lost, one     string // the process that falls silent, or one agent of it
		agent         string
		early, late   want // after 2 s, and after 6
		notice        string
		backIsHealthy bool
	}{
		"a replica is gone": {
			before: deployment{"p1": all(), "p2": all()}, lost: "p2", agent: "model", backIsHealthy: true,
			early: want{agent: Healthy, process: Suspect},
			late:  want{agent: Healthy, process: Confirmed, words: "process p2 is silent for 6.0 s against 5 s; of each of its agents (decision, feature, ingestion, model) another instance runs"},
		},
		"the last model agent is gone": {
			before: deployment{"p1": all()[:2], "p2": {"model"}, "p3": {"decision"}}, lost: "p2", agent: "model", backIsHealthy: true,
			early: want{agent: Suspect, process: Suspect, cause: AgentGone},
			late:  want{agent: Confirmed, process: Confirmed, cause: AgentGone, words: "of model no other instance runs"},
		},
		"the last feature agent is gone": {
			before: deployment{"p1": {"ingestion", "model", "decision"}, "p2": {"feature"}}, lost: "p2", agent: "feature", backIsHealthy: true,
			early: want{agent: Suspect, process: Suspect, cause: AgentGone, of: "AGENT_DOWN:instance/p2"},
			late:  want{agent: Confirmed, process: Confirmed, cause: AgentGone, of: "AGENT_DOWN:instance/p2", words: "of feature no other"},
		},
		"one agent of a replica beats no more": {
			before: deployment{"p1": all(), "p2": all()}, lost: "p2", one: "model", agent: "model", backIsHealthy: true,
			early: want{agent: Confirmed, process: "absent", cause: downMissing},
			late:  want{agent: Confirmed, process: "absent", cause: downMissing},
		},
		"the only agent of a process has died, and says so": {
			before: deployment{"p1": all(), "p2": {"model"}}, lost: "p2", agent: "model", notice: AgentCrashed,
			early: want{agent: Confirmed, process: "absent", cause: AgentCrashed},
			late:  want{agent: Confirmed, process: "absent", cause: AgentCrashed},
		},
		"a replica ends in order": {
			before: deployment{"p1": all(), "p2": {"model"}}, lost: "p2", agent: "model", notice: AgentStopped,
			early: want{agent: Healthy, process: Healthy, words: "process p2 has ended in order"}, late: want{agent: Healthy, process: Healthy, words: "ended"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t, 3, 1000)
			s.beats = test.before.beats
			s.run(2 * time.Second)
			if test.notice != "" {
				s.beats = test.before.noticing(test.notice, test.lost, test.agent)
				s.run(step)
			}
			check := func(w want) {
				t.Helper()
				s.want(AgentDown, test.agent, w.agent)
				process := Signal{State: "absent"}
				signals := s.m.Signals(s.now)
				for _, g := range signals {
					if g.Kind == AgentDown && g.Target == TargetProcess(test.lost) {
						process = g
					}
				}
				if process.State != w.process || !strings.Contains(process.Words(), w.words) {
					t.Errorf("the process is %s, want %s: %s", process.State, w.process, process.Words())
				}
				g := s.signal(AgentDown, test.agent)
				if cause, _ := g.Evidence["cause"].(string); cause != w.cause || cause != "" && g.Evidence["instance"] != test.lost {
					t.Errorf("cause %q of instance %v, want %q of %s: %s", cause, g.Evidence["instance"], w.cause, test.lost, g.Words())
				}
				for _, c := range Rank(signals, Scene{Now: s.now, Mode: "MODEL", Path: DefaultPath}) {
					if c.Signal.Fingerprint() == g.Fingerprint() && c.Of != w.of {
						t.Errorf("it is a consequence of %q, want %q", c.Of, w.of)
					}
				}
			}
			s.beats = test.before.without(test.lost, test.one).beats
			s.run(time.Second)
			if process := s.m.state.Processes[test.lost]; process != nil && test.notice != AgentStopped || test.notice == "" && test.one == "" && s.signal(AgentDown, test.agent).State != Healthy {
				t.Errorf("after a second of silence the process is %+v, the agent %s", process, s.signal(AgentDown, test.agent).State)
			}
			s.run(time.Second)
			check(test.early)
			s.run(4 * time.Second)
			check(test.late)
			if !test.backIsHealthy {
				return
			}
			s.beats = test.before.beats
			if test.one == "" { // it fell silent with its process, and is back with it, whoever beats first
				s.beats = test.before.without(test.lost, test.before[test.lost][0]).beats
				if len(test.before[test.lost]) == 1 {
					s.beats = test.before.beats
				}
				s.run(step)
				if g := s.signal(AgentDown, test.agent); g.State.Active() {
					t.Errorf("its process is back, and the agent %s: %s", g.State, g.Words())
				}
				s.beats = test.before.beats
			}
			s.run(time.Second)
			s.want(AgentDown, test.agent, Healthy)
			if p := s.m.state.Processes[test.lost]; p != nil && p.State != Healthy {
				t.Errorf("the process is back and %s", p.State)
			}
			s.run(keptBack + time.Second)
			if len(s.m.state.Processes) > 0 {
				t.Errorf("long after it is back it is still in sight: %+v", s.m.state.Processes)
			}
		})
	}
}

// TestAGoneReplicaIsForgotten: who never comes back is no signal for ever; the last instance of an agent is.
func TestAGoneReplicaIsForgotten(t *testing.T) {
	s := newService(t, 3, 1000)
	d := deployment{"p1": all(), "p2": {"model"}, "p3": {"extra"}}
	s.beats = d.beats
	s.run(time.Second)
	s.beats = d.without("p2", "").without("p3", "").beats
	s.run(s.m.config.Agent.Forget + 2*time.Second)
	if len(s.m.state.Processes) != 1 || s.m.state.Processes["p3"] == nil {
		t.Errorf("in sight: %+v", s.m.state.Processes)
	}
}

// TestOneReplicaFails: it is found though the others' attempts succeed.
func TestOneReplicaFails(t *testing.T) {
	s := newService(t, 3, 1000)
	s.beats = deployment{"p1": all(), "p2": {"model"}, "p3": {"model"}}.beats
	s.touch = func(slot *Slot, _ time.Time) {
		slot.Attempt("model", "p1", 5, 0)
		slot.Attempt("model", "p2", 5, 5)
		slot.Attempt("model", "p3", 5, 0)
	}
	s.run(3 * time.Second)
	if g := s.signal(AgentDown, "model"); g.State != Confirmed || g.Evidence["instance"] != "p2" || g.Evidence["cause"] != downFailing {
		t.Errorf("%+v", g)
	}
}

// TestTakingOverIsLate: decisions that are late while the others take over from a lost process are its consequence, for a while.
func TestTakingOverIsLate(t *testing.T) {
	lost := time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)
	process := Signal{Kind: AgentDown, Target: TargetProcess("p2"), State: Confirmed, Onset: lost, Since: lost.Add(5 * time.Second), Evidence: map[string]any{"instance": "p2", "agents": []string{"decision", "model"}}}
	watched := process
	watched.Evidence = map[string]any{"instance": "p2", "agents": []string{"healing", "monitoring"}}
	stored := process
	stored.Evidence = map[string]any{"instance": "p2", "agents": []any{"decision", "model"}}
	back := process
	back.State, back.Onset, back.Recovered = Healthy, time.Time{}, lost
	away := back
	away.Recovered, away.Evidence = lost.Add(6*time.Second), map[string]any{"instance": "p2", "agents": []string{"decision", "model"}, evidenceHeard: lost}
	for name, test := range map[string]struct {
		process Signal
		began   time.Duration // of the breach, after the loss
		now     time.Duration
		of      bool
	}{
		"at once":              {process, 2 * time.Second, 6 * time.Second, true},
		"it ran nothing there": {watched, 2 * time.Second, 6 * time.Second, false},
		"as it is read back":   {stored, 2 * time.Second, 6 * time.Second, true},
		"before":               {process, -10 * time.Second, 6 * time.Second, false},
		"it lasts":             {process, 2 * time.Second, 2 * time.Minute, false},
		"long after":           {process, 5 * time.Minute, 5 * time.Minute, false},
		"it comes back":        {back, 2 * time.Second, 6 * time.Second, true},
		"it was away":          {away, 2 * time.Second, 7 * time.Second, true},
		"before it was away":   {away, -10 * time.Second, 7 * time.Second, false},
		"long after it's back": {back, 2 * time.Minute, 2 * time.Minute, false},
	} {
		breach := Signal{Kind: LatencyBreach, Target: TargetService, State: Confirmed, Onset: lost.Add(test.began)}
		for _, c := range Rank([]Signal{breach, test.process}, Scene{Now: lost.Add(test.now), Mode: "MODEL", Path: DefaultPath}) {
			if c.Signal.Kind == LatencyBreach && (c.Of == "AGENT_DOWN:instance/p2") != test.of {
				t.Errorf("%s: a consequence of %q: %s", name, c.Of, c.Reason)
			}
		}
	}
}

// TestKilledAsItBeats: some of a process' agents have sent one beat more, or a few, than the others when it is killed. That says
// nothing of those: the process is gone, and no agent of it is to be restarted.
func TestKilledAsItBeats(t *testing.T) {
	for _, more := range []time.Duration{0, step, 3 * step} {
		s := newService(t, 3, 1000)
		before := deployment{"p1": all(), "p2": all()}
		s.beats = before.beats
		s.run(2 * time.Second)
		s.beats = before.without("p2", "feature").beats
		s.run(more)
		s.beats = before.without("p2", "").beats
		for range 70 {
			s.run(step)
			for _, agent := range DefaultPath {
				if g := s.signal(AgentDown, agent); g.State.Active() {
					t.Fatalf("%v more of the others, %v after: %s is %s: %s", more, s.now.Sub(at), agent, g.State, g.Words())
				}
			}
		}
		if p := s.m.state.Processes["p2"]; p == nil || p.State != Confirmed {
			t.Errorf("the process is %+v", p)
		}
	}
}

// TestSharingOutAnewIsLate: what is late when a process leaves or joins in order, beside others, is a consequence of that, for
// as long as a group may take; nothing else is, and what lasts is healed.
func TestSharingOutAnewIsLate(t *testing.T) {
	both := deployment{"p1": all(), "p2": all()}
	for name, test := range map[string]struct {
		before, after deployment
		leaves        string
		wait          time.Duration // before it is late
		of            bool
	}{
		"one of two leaves":           {before: both, after: both.without("p2", ""), leaves: "p2", of: true},
		"another joins":               {before: both.without("p2", ""), after: both, of: true},
		"one left long ago":           {before: both, after: both.without("p2", ""), leaves: "p2", wait: rebalance},
		"nobody moves":                {before: both, after: both},
		"what left had no part in it": {before: deployment{"p1": all("web"), "p2": {"web"}}, after: deployment{"p1": all("web")}, leaves: "p2"},
		"it comes with a new agent":   {before: both, after: deployment{"p1": all(), "p2": all("web")}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t, 3, 1000)
			s.beats = test.before.beats
			s.run(5 * time.Second)
			if test.leaves != "" {
				s.beats = test.after.noticing(AgentStopped, test.leaves, test.before[test.leaves]...)
				s.run(step)
			}
			s.beats = test.after.beats
			s.run(test.wait)
			usual := s.latency
			s.latency = func(*rand.Rand) time.Duration { return 600 * time.Millisecond }
			explained := func() (of string) {
				t.Helper()
				for _, c := range Rank(s.m.Signals(s.now), Scene{Now: s.now, Mode: "MODEL", Path: DefaultPath}) {
					if c.Signal.Kind == LatencyBreach {
						return "of " + c.Of
					}
				}
				return ""
			}
			s.run(3 * time.Second)
			want := "of "
			if test.of {
				want += "AGENT_DOWN:instance/p2"
			}
			if got := explained(); got != want {
				t.Errorf("late for three seconds it is %q, want %q", got, want)
			}
			s.run(rebalance)
			if got := explained(); got != "of " {
				t.Errorf("late for long it is %q, want a cause", got)
			}
			s.latency = usual
			s.run(keptBack)
			if len(s.m.state.Processes) > 0 {
				t.Errorf("long after it is still in sight: %+v", s.m.state.Processes)
			}
		})
	}
}

// TestAStartIsNoHandover: what monitoring finds at its start has not just come.
func TestAStartIsNoHandover(t *testing.T) {
	s := newService(t, 3, 1000)
	s.beats = deployment{"p1": all(), "p2": all()}.beats
	s.run(time.Second)
	if len(s.m.state.Processes) > 0 {
		t.Errorf("%+v", s.m.state.Processes)
	}
}

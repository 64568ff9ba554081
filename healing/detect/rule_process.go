package detect

import (
	"slices"
	"strings"
	"time"
)

// processView is a process of which nothing was heard lately, or that gave or took its part in order, by the instance name that
// its agents share.
type processView struct {
	// Lost is when it was last heard.
	Lost time.Time `json:"lost,omitzero"`
	// Handed is when the first of Parts, agents of it, ended in order while others went on, or began beside others.
	Handed time.Time `json:"handed,omitzero"`
	Parts  []string  `json:"parts,omitempty"`
	track
}

// TargetProcess is the target of AGENT_DOWN of all the agents of a process, by their instance.
func TargetProcess(instance string) string { return processPrefix + instance }

const processPrefix = "instance/"

// ProcessOf is the instance of a target that is a whole process.
func ProcessOf(target string) (instance string, is bool) {
	return strings.CutPrefix(target, processPrefix)
}

// keptBack is how long a process that is back stays in sight: who came back to its groups may have held others up.
const keptBack = time.Minute

// handOver notes that an agent of a process ended in order while another instance went on, or began beside one: for a moment
// nobody may have its part. What monitoring finds when it starts began before.
func (m *Monitor) handOver(now time.Time, instance, agent string) {
	if now.Sub(m.state.Started) <= m.config.Agent.Missing {
		return
	}
	p := m.state.Processes[instance]
	if p == nil {
		p = &processView{}
		p.set(Healthy, now)
		m.state.Processes[instance] = p
	}
	if now.Sub(p.Handed) > rebalance {
		p.Handed, p.Parts = now, nil
	}
	if !slices.Contains(p.Parts, agent) {
		p.Parts = append(p.Parts, agent)
	}
}

// silent reports whether nothing at all is heard of a process. An agent that was said to be dead beats no more and proves
// nothing; where all were, the process was there to say so.
func (m *Monitor) silent(now time.Time, instance string) bool {
	at, expected := m.lastHeard(instance)
	return expected && now.Sub(at) > m.config.Agent.Missing
}

// without is for how long a process was heard without one of its agents. Its agents beat together, so that one which is down by
// itself misses many beats that the others send; of a process that is killed as it beats some have sent one more.
func (m *Monitor) without(v *agentView) time.Duration {
	at, _ := m.lastHeard(v.Beat.Instance)
	return at.Sub(v.Heard)
}

// lastHeard is when one of the agents of a process that should beat last did.
func (m *Monitor) lastHeard(instance string) (at time.Time, expected bool) {
	for _, v := range m.state.Agents {
		if v.Beat.Instance == instance && (v.Down == "" || v.Down == downMissing) {
			expected = true
			if v.Heard.After(at) {
				at = v.Heard
			}
		}
	}
	return at, expected
}

// stepProcesses judges every process after its agents.
func (m *Monitor) stepProcesses(now time.Time) {
	if m.blind() {
		return
	}
	known := map[string]bool{}
	for _, v := range m.state.Agents {
		known[v.Beat.Instance] = true
	}
	for _, instance := range sortedKeys(known) {
		p := m.state.Processes[instance]
		if !m.silent(now, instance) {
			if p != nil {
				p.set(Healthy, now)
			}
			continue
		}
		if p == nil || !p.State.Active() {
			at, _ := m.lastHeard(instance)
			if p == nil {
				p = &processView{}
				m.state.Processes[instance] = p
			}
			p.Lost = at
		}
		if now.Sub(p.Lost) > m.config.Agent.Gone {
			p.set(Confirmed, now)
		} else {
			p.set(Suspect, now)
		}
	}
	for _, instance := range sortedKeys(m.state.Processes) {
		p := m.state.Processes[instance]
		if now.Sub(p.Handed) > rebalance && (!known[instance] || p.State == Healthy && now.Sub(p.track.Since) > keptBack) {
			delete(m.state.Processes, instance)
		}
	}
}

// Evidence of a process: when it was last heard before it fell silent, the agents it runs, and when which of them were given to
// others, or taken over from them, in order.
const (
	evidenceHeard  = "last_beat"
	evidenceAgents = "agents"
	evidenceHanded = "handed_over"
	evidenceParts  = "handed_agents"
)

// processSignals gives a signal of each process that is silent, or was until lately.
func (m *Monitor) processSignals(now time.Time) (signals []Signal) {
	for _, instance := range sortedKeys(m.state.Processes) {
		p := m.state.Processes[instance]
		s := Signal{
			Kind: AgentDown, Target: TargetProcess(instance), State: p.State, Since: p.track.Since, Recovered: p.Recovered,
			Value: now.Sub(p.Lost).Seconds(), Threshold: m.config.Agent.Gone.Seconds(),
			Evidence: map[string]any{"instance": instance},
		}
		if !p.Lost.IsZero() {
			s.Evidence[evidenceHeard] = p.Lost
		}
		if !p.Handed.IsZero() {
			s.Evidence[evidenceHanded], s.Evidence[evidenceParts] = p.Handed, slices.Clone(p.Parts)
		}
		ran, alone := m.ran(now, instance)
		s.Evidence[evidenceAgents] = ran
		if p.State.Active() {
			s.Onset = p.Lost
			s.Evidence["cause"], s.Evidence["not_elsewhere"] = AgentGone, alone
		} else {
			s.Value = 0
		}
		signals = append(signals, s)
	}
	return signals
}

// ran lists the agents of a process, and those of them of which no other instance lives.
func (m *Monitor) ran(now time.Time, instance string) (all, alone []string) {
	for key, v := range m.state.Agents {
		if v.Beat.Instance != instance {
			continue
		}
		all = append(all, v.Beat.Agent)
		if !m.othersLive(now, key, v.Beat.Agent) {
			alone = append(alone, v.Beat.Agent)
		}
	}
	slices.Sort(all)
	slices.Sort(alone)
	return all, alone
}

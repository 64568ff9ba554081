package detect

import (
	"cmp"
	"time"
)

// agentView is what is known of one agent instance.
type agentView struct {
	Beat Beat `json:"beat"`
	// Heard is when its last beat came, Moved when its watermark last moved or its queue was empty.
	Heard time.Time `json:"heard"`
	Moved time.Time `json:"moved"`
	// Down says why it was found down, Why in whose words; Good counts beats of a working life since.
	Down  string    `json:"down,omitempty"`
	Since time.Time `json:"down_since"`
	Why   string    `json:"why,omitempty"`
	Life  int64     `json:"down_incarnation,omitempty"`
	Died  time.Time `json:"died,omitzero"` // when that life did
	Good  int       `json:"good,omitempty"`
	// Along: it was found missing along with all of its process.
	Along bool `json:"along,omitempty"`
	// Failing is when it began to fail what it tries, Unwell when it was last well for longer than an aftermath.
	Failing time.Time `json:"failing,omitzero"`
	Unwell  time.Time `json:"unwell,omitzero"`
	track
}

// keepBeats takes in the slot's beats in the order they were heard.
func (m *Monitor) keepBeats(now time.Time, beats []Beat) {
	for _, b := range beats {
		key := b.Agent + "/" + b.Instance
		v := m.state.Agents[key]
		if v == nil {
			v = &agentView{Moved: now, Beat: Beat{State: AgentStopped}}
			m.state.Agents[key] = v
		}
		if b.Incarnation < v.Beat.Incarnation {
			continue // a zombie's, or late
		}
		if (b.State == AgentStopped) != (v.Beat.State == AgentStopped) && m.othersLive(now, key, b.Agent) {
			m.handOver(now, b.Instance, b.Agent)
		}
		if b.Watermark != v.Beat.Watermark || b.Queue == 0 {
			v.Moved = now
		}
		began := now // a hang began when its handler did, which the beat before it may have known
		if b.State == AgentHung {
			began = now.Add(-b.HandlerAge)
			if at := v.Heard.Add(-v.Beat.HandlerAge); v.Beat.HandlerAge > 0 && at.Before(began) {
				began = at
			}
		}
		v.Heard, v.Beat = now, b
		v.beaten(began, m.config.Agent.Recover)
	}
}

// beaten judges one beat: a notice of death convicts at once; a working life must beat a few times to acquit. began is when
// what it tells of began.
func (v *agentView) beaten(began time.Time, enough int) {
	switch v.Beat.State {
	case AgentCrashed, AgentHung, AgentQuarantined:
		v.convict(v.Beat.State, began)
		if v.Life != v.Beat.Incarnation {
			v.Died = began
		}
		v.Life, v.Why = v.Beat.Incarnation, v.Beat.Cause // the next life's beats have another one, or none
	case AgentRunning, AgentSlow:
		if v.Down == "" {
			return
		}
		// A life that was found dead doesn't come back; one that was only unheard may.
		if v.Life == v.Beat.Incarnation && v.Down != downMissing {
			return
		}
		if v.Good++; v.Good >= enough {
			v.Down, v.Why, v.Good, v.Life, v.Died = "", "", 0, 0, time.Time{}
		}
	}
}

const (
	downMissing = "MISSING"
	downFailing = "FAILING"
	causeStuck  = "no progress though messages wait"
)

func (v *agentView) convict(why string, began time.Time) {
	if v.Down == "" {
		v.Since = began
	}
	v.Down, v.Good, v.Along = why, 0, false
}

// rejoin acquits what was missing along with its process when that is heard again, by a beat of any of its agents: it gets as
// long to beat as any, and it isn't down because it fell silent with the others.
func (v *agentView) rejoin(now time.Time) {
	v.Down, v.Along, v.Good, v.Life, v.Died = "", false, 0, 0, time.Time{}
	v.Heard, v.Moved = now, now
}

// stepAgents judges every instance.
func (m *Monitor) stepAgents(now time.Time) {
	c := m.config.Agent
	defer m.stepProcesses(now)
	for _, key := range sortedKeys(m.state.Agents) {
		v := m.state.Agents[key]
		if v.Along && !m.silent(now, v.Beat.Instance) {
			v.rejoin(now)
		}
		age := now.Sub(v.Heard)
		if v.Beat.State == AgentStopped || age > c.Forget && m.othersLive(now, key, v.Beat.Agent) {
			delete(m.state.Agents, key)
			continue
		}
		if m.blind() {
			continue
		}
		without := m.without(v)
		if v.Down == "" && (age > c.Gone || without > c.Missing) {
			v.convict(downMissing, v.Heard)
			v.Along = m.silent(now, v.Beat.Instance)
		}
		attempts, failures := m.attempts(now, v.Beat)
		failing := attempts >= c.MinAttempts && float64(failures) > c.FailShare*float64(attempts)
		if !failing {
			v.Failing = time.Time{}
		} else if v.Failing.IsZero() {
			v.Failing = m.firstFailures(now, v.Beat)
		}
		switch {
		case v.Down != "" || failing:
			v.set(Confirmed, now)
		case without > c.Suspect, m.silent(now, v.Beat.Instance), v.Beat.Queue > 0 && now.Sub(v.Moved) > c.Stuck:
			v.set(Suspect, now)
		default:
			v.set(Healthy, now)
		}
		v.note(now)
	}
}

// note keeps since when an agent has been unwell. Its next death in the aftermath of one goes on with the same trouble.
func (v *agentView) note(now time.Time) {
	began := v.Heard
	switch {
	case !v.State.Active():
		if now.Sub(v.track.Since) >= aftermath {
			v.Unwell = time.Time{}
		}
		return
	case v.Down != "":
		began = v.Since
	case !v.Failing.IsZero():
		began = v.Failing
	case v.Beat.Queue > 0 && v.Moved.Before(v.Heard):
		began = v.Moved
	}
	if v.Unwell.IsZero() || began.Before(v.Unwell) {
		v.Unwell = began
	}
}

// firstFailures is the first slot of the window in which an agent failed more than it may.
func (m *Monitor) firstFailures(now time.Time, of Beat) time.Time {
	for _, e := range m.state.Ring {
		var attempts, failures int64
		for _, a := range e.Attempts {
			if a.of(of) {
				attempts, failures = attempts+a.Attempts, failures+a.Failures
			}
		}
		if now.Sub(e.At) < m.config.Agent.Window && float64(failures) > m.config.Agent.FailShare*float64(attempts) {
			return e.At
		}
	}
	return now
}

func (m *Monitor) othersLive(now time.Time, key, agent string) bool {
	for other, v := range m.state.Agents {
		if other != key && v.Beat.Agent == agent && now.Sub(v.Heard) <= m.config.Agent.Missing {
			return true
		}
	}
	return false
}

// of reports whether attempts are those of the instance that a beat is of.
func (a Attempts) of(b Beat) bool { return a.Agent == b.Agent && a.Instance == b.Instance }

// attempts sums up an instance's attempts over the window.
func (m *Monitor) attempts(now time.Time, of Beat) (attempts, failures int64) {
	for _, e := range m.state.Ring {
		if now.Sub(e.At) >= m.config.Agent.Window {
			continue
		}
		for _, a := range e.Attempts {
			if a.of(of) {
				attempts, failures = attempts+a.Attempts, failures+a.Failures
			}
		}
	}
	return attempts, failures
}

// pending reports whether a handler is past its deadline and may yet prove to be hung.
func (m *Monitor) pending(now time.Time) bool {
	for _, v := range m.state.Agents {
		b := v.Beat
		if v.Down == "" && b.Deadline > 0 && b.HandlerAge+now.Sub(v.Heard) > b.Deadline && b.HandlerAge > 0 {
			return true
		}
	}
	return false
}

// agentSignals gives one signal an agent: its worst instance speaks for it, of those whose process lives while there is one.
// What is gone with its process is nothing that can be healed from here, and the process has a signal of its own.
func (m *Monitor) agentSignals(now time.Time) []Signal {
	worst := map[string]string{}
	for _, key := range sortedKeys(m.state.Agents) {
		v := m.state.Agents[key]
		other, ok := worst[v.Beat.Agent]
		if !ok || m.urgency(now, v) > m.urgency(now, m.state.Agents[other]) {
			worst[v.Beat.Agent] = key
		}
	}
	var signals []Signal
	for _, agent := range m.config.Agent.Expect {
		if _, ok := worst[agent]; !ok {
			signals = append(signals, Signal{
				Kind: AgentDown, Target: agent, State: Unknown, Since: m.state.Started,
				Threshold: m.config.Agent.Missing.Seconds(), Evidence: map[string]any{"reason": "never heard"},
			})
		}
	}
	for _, agent := range sortedKeys(worst) {
		signals = append(signals, m.agentSignal(now, m.state.Agents[worst[agent]]))
	}
	return append(signals, m.processSignals(now)...)
}

// urgency orders the instances of an agent.
func (m *Monitor) urgency(now time.Time, v *agentView) int {
	if m.silent(now, v.Beat.Instance) {
		return severity(v.State) - severity(Confirmed) - 1
	}
	return severity(v.State)
}

func (m *Monitor) agentSignal(now time.Time, v *agentView) Signal {
	attempts, failures := m.attempts(now, v.Beat)
	age := now.Sub(v.Heard)
	s := Signal{
		Kind: AgentDown, Target: v.Beat.Agent, State: v.State, Since: v.track.Since, Recovered: v.Recovered,
		Value: age.Seconds(), Threshold: m.config.Agent.Missing.Seconds(), N: attempts, Window: m.config.Agent.Window,
		Evidence: map[string]any{
			"instance": v.Beat.Instance, "incarnation": v.Beat.Incarnation, "agent_state": v.Beat.State,
			"watermark": v.Beat.Watermark, "queue": v.Beat.Queue, "queue_age_ms": milliseconds(v.Beat.QueueAge),
			"attempts": attempts, "failures": failures, "fail_share": m.config.Agent.FailShare, "last_beat": v.Heard,
		},
	}
	if s.State == "" {
		s.State = Unknown
	}
	switch {
	case v.Down != "":
		s.Evidence["cause"], s.Onset = v.Down, v.Since
		if m.silent(now, v.Beat.Instance) {
			s.Evidence["cause"] = AgentGone
		}
		if v.Life != 0 {
			s.Evidence[evidenceDied], s.Evidence[evidenceDiedAt] = v.Life, v.Died
		}
		s.Evidence["down_for_s"], s.Evidence["deadline_ms"] = now.Sub(v.Since).Seconds(), milliseconds(v.Beat.Deadline)
	case v.State == Confirmed:
		s.Evidence["cause"], s.Onset = downFailing, v.track.Since
	case v.State == Suspect && m.silent(now, v.Beat.Instance):
		s.Evidence["cause"] = AgentGone
	case v.State == Suspect && age <= m.config.Agent.Suspect:
		s.Evidence["cause"] = causeStuck
	}
	if !v.Unwell.IsZero() {
		s.Evidence[evidenceUnwell] = v.Unwell
	}
	if why := cmp.Or(v.Why, v.Beat.Cause); why != "" {
		s.Evidence["detail"] = why
	}
	return s
}

// Of an agent that is down: which life died, and when.
const (
	evidenceDied   = "died_incarnation"
	evidenceDiedAt = "died_at"
)

// evidenceUnwell is since when an agent is unwell, or was until just now.
const evidenceUnwell = "unwell_since"

func severity(s State) int {
	switch s {
	case Confirmed:
		return 3
	case Suspect:
		return 2
	case Healthy:
		return 1
	}
	return 0
}

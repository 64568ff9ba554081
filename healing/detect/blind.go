package detect

import (
	"fmt"
	"time"
)

// notice finds out whether monitoring can be trusted: it stepped on time, hears its own beat, the store answers.
func (m *Monitor) notice(now time.Time, s Slot) {
	st := &m.state
	gap := now.Sub(st.LastStep)
	switch {
	case st.Started.IsZero():
		st.Started, st.Settle = now, now
		// The first beats are still on their way.
		st.OwnBeat, st.StoreBeat = now, time.Time{}
		st.Latency.restart(now, false)
	case gap > m.config.Pause || gap < 0:
		st.Settle = now.Add(m.config.Agent.Missing)
		st.BlindOf, st.BlindWhy = TargetMonitoring, pausedText(gap, m.config.Pause)
		if gap < 0 {
			st.BlindWhy = fmt.Sprintf("the clock went back by %v", (-gap).Round(time.Millisecond))
		} else if s.Awake && !st.Resumed {
			st.BlindOf, st.BlindWhy, st.Silence = TargetBus, "nothing came over the bus", gap
		}
		// Another holder took over, or the machine was busy for a moment: nothing is known, but nobody needs to come.
		st.Brief = st.Resumed || gap >= 0 && gap < briefPauses*m.config.Pause
		m.restartClocks(now)
	case st.Resumed:
		// Nobody was there to hear the agents between two lives: that time doesn't count against them.
		for _, a := range st.Agents {
			a.Heard, a.Moved = a.Heard.Add(gap), a.Moved.Add(gap)
		}
	}
	st.Resumed = false
	if s.OwnBeat.After(st.OwnBeat) {
		st.OwnBeat = s.OwnBeat
	}
	if s.StoreBeat.After(st.StoreBeat) {
		st.StoreBeat = s.StoreBeat
	}
	// A beat from the future was sent before the clock went back.
	st.OwnBeat, st.StoreBeat = earlier(st.OwnBeat, now), earlier(st.StoreBeat, now)
}

// settle decides whether monitoring is blind now. code says by what writes to the store fail, if they do.
func (m *Monitor) settle(now time.Time, code string) {
	st := &m.state
	limit := m.config.Agent.Missing
	switch silence := now.Sub(st.StoreBeat); {
	case !st.StoreBeat.IsZero() && silence > storeSilence*limit:
		st.BlindOf, st.BlindWhy, st.Silence = TargetStore, "the store doesn't answer", silence
		if code != "" {
			st.BlindWhy = "the store can't be written (" + code + ")"
		}
		// The healer could write nothing down meanwhile: the outage stays in sight until it can have done so.
		st.Settle, st.Brief = now.Add(limit), false
	case now.Before(st.Settle) && st.Brief:
		st.Blind.set(Unknown, now)
		return
	case now.Before(st.Settle):
		st.Blind.set(Confirmed, now)
		return
	case now.Sub(st.OwnBeat) > limit:
		st.BlindOf, st.BlindWhy, st.Silence = TargetBus, "monitoring doesn't hear its own beat", 0
	default:
		if m.blind() && st.BlindOf != TargetMonitoring && st.Blind.State != "" {
			// What was missed meanwhile must not count against anybody.
			m.restartClocks(now)
		}
		st.Blind.set(Healthy, now)
		st.BlindOf, st.BlindWhy, st.Silence = "", "", 0
		return
	}
	st.Blind.set(Confirmed, now)
}

// restartClocks forgets what depends on time that passed unseen.
func (m *Monitor) restartClocks(now time.Time) {
	st := &m.state
	st.Ring = nil
	// Applications that waited meanwhile are late for a reason that is over. While monitoring alone paused, none had to.
	st.Latency.restart(now, st.BlindOf != TargetMonitoring)
	st.OwnBeat = now
	if !st.StoreBeat.IsZero() {
		st.StoreBeat = now
	}
	for _, a := range st.Agents {
		a.Heard, a.Moved = now, now
	}
}

// blind reports whether nothing can be known now: before the first step too.
func (m *Monitor) blind() bool { return m.state.Blind.State != Healthy }

// storeSilence times the limit of a beat is how long the store may be silent: it is asked once a second, and one slow answer
// on a busy machine is no outage that a person must come for.
const storeSilence = 2

// briefPauses times the pause limit is a pause that a person is told of.
const briefPauses = 5

func earlier(t, limit time.Time) time.Time {
	if t.After(limit) {
		return limit
	}
	return t
}

func (m *Monitor) busSignal(now time.Time, late bool) Signal {
	st := &m.state
	s := Signal{
		Kind: BusDown, Target: TargetBus, State: st.Blind.State, Since: st.Blind.Since,
		Value: now.Sub(st.OwnBeat).Seconds(), Threshold: m.config.Agent.Missing.Seconds(), Evidence: map[string]any{},
	}
	switch {
	case st.Blind.State == "":
		s.State = Unknown
	case late:
		s.State, s.Target, s.Since = Confirmed, TargetMonitoring, st.LastStep
		s.Evidence["cause"] = "monitoring has not stepped for " + now.Sub(st.LastStep).Round(time.Millisecond).String()
	case m.blind():
		s.Target = st.BlindOf
		if st.Silence > 0 {
			s.Value = st.Silence.Seconds()
		}
		switch {
		case s.Target == TargetStore:
			s.Threshold *= storeSilence
		case st.Silence > 0: // no slot at all
			s.Threshold = m.config.Pause.Seconds()
		}
		s.Evidence["cause"] = st.BlindWhy
	}
	return s
}

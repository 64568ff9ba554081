package detect

import (
	"math"
	"time"
)

// second is what the rules over the last seconds need of one slot.
type second struct {
	At       time.Time  `json:"at"`
	Fast     int64      `json:"fast,omitempty"`
	Slow     int64      `json:"slow,omitempty"`
	Latency  Latency    `json:"latency,omitzero"`
	Attempts []Attempts `json:"attempts,omitempty"`
}

type latencyState struct {
	track
	Slow *ESR `json:"slow"`
	// Alarmed is whether the detector alarms (until R has fallen to A/100).
	Alarmed bool `json:"alarmed"`
	// Breach is when the rule began to hold; Held when it had held for the dwell but a handler was past its deadline.
	Breach time.Time `json:"breach"`
	Held   time.Time `json:"held"`
	// Overdue is the gauge of the last slot.
	Overdue int64 `json:"overdue"`
	// After is the time of acceptance from which decisions count; Drained is whether what waited before it is done, so that the
	// gauge can be believed.
	After   time.Time `json:"after"`
	Drained bool      `json:"drained"`
	// Behind: nothing could be decided in the blind time, which was over at Blind. Until the backlog is drained nothing counts;
	// Least is the lowest that the gauge has been since, at LeastAt.
	Behind  bool      `json:"behind"`
	Blind   time.Time `json:"blind"`
	Least   int64     `json:"least"`
	LeastAt time.Time `json:"least_at"`
}

// A backlog that hasn't become less for stuckTime is no backlog: something is slow now. None is waited for longer than drainTime;
// the gauge alone is left out for no longer than gaugeTime.
const (
	gaugeTime = 10 * time.Second
	stuckTime = 10 * time.Second
	drainTime = time.Minute
)

// restart leaves out what was accepted before now; behind tells that it has become a backlog, and leaves out what queues behind it.
func (l *latencyState) restart(now time.Time, behind bool) {
	l.Breach, l.Held = time.Time{}, time.Time{}
	l.After, l.Blind, l.Drained, l.Behind = now, now, false, behind
	l.Least, l.LeastAt = math.MaxInt64, now
}

// drain follows the backlog of a blind time. A slot without the gauge's agent says nothing of it.
func (l *latencyState) drain(now time.Time, s Slot) {
	if l.Drained {
		return
	}
	told := s.Overdue > 0
	for _, d := range s.Decisions {
		told = told || !d.Shadow && d.Fast+d.Slow > 0
	}
	if told && s.Overdue < l.Least {
		l.Least, l.LeastAt = s.Overdue, now
	}
	l.Drained = told && s.Overdue == 0
	if !l.Behind {
		l.Drained = l.Drained || now.Sub(l.Blind) > gaugeTime
		return
	}
	l.Drained = l.Drained || now.Sub(l.LeastAt) > stuckTime || now.Sub(l.Blind) > drainTime
	if !l.Drained {
		l.After = now
	}
}

// keepSlot puts a slot into the ring and drops what is older than the rules look back.
func (m *Monitor) keepSlot(now time.Time, s Slot) {
	e := second{At: now, Latency: s.Latency, Attempts: s.Attempts}
	l := &m.state.Latency
	l.drain(now, s)
	for _, d := range s.Decisions {
		// An application of unknown acceptance counts but right after a blind time.
		old := d.Accepted.Before(l.After.Truncate(decisionWidth)) && (!d.Accepted.IsZero() || !l.Drained)
		if !d.Shadow && !old {
			e.Fast, e.Slow = e.Fast+d.Fast, e.Slow+d.Slow
		}
	}
	ring := append(m.state.Ring, e)
	back := max(m.config.Latency.Window, m.config.Agent.Window)
	from := 0
	for from < len(ring) && now.Sub(ring[from].At) >= back {
		from++
	}
	m.state.Ring = ring[from:]
	if l.Overdue = s.Overdue; !l.Drained {
		l.Overdue = 0
	}
}

// window sums decisions up. Those in flight past the SLO were counted once, perhaps before the window began; as long as
// they wait they weigh as slow ones now.
func (m *Monitor) window(now time.Time) (fast, slow int64) {
	for _, e := range m.state.Ring {
		if now.Sub(e.At) < m.config.Latency.Window {
			fast, slow = fast+e.Fast, slow+e.Slow
		}
	}
	return fast, max(slow, m.state.Latency.Overdue)
}

// stepLatency judges the median: it is above the SLO when more than half of the decisions are.
func (m *Monitor) stepLatency(now time.Time, s Slot) {
	l, c := &m.state.Latency, m.config.Latency
	last := m.state.Ring[len(m.state.Ring)-1]
	// One bet a slot, not a decision (§E4): decisions of one stall are slow together. Its weight is the slot's share.
	if n := last.Fast + last.Slow; n > 0 {
		counts := []uint32{1, 0}
		if 2*last.Slow > n {
			counts = []uint32{0, 1}
		}
		l.Slow.Step(m.slow, counts, now)
	}
	statistic := l.Slow.Statistic(m.slow)
	l.Alarmed = statistic >= m.threshold || l.Alarmed && statistic >= m.threshold/100
	fast, slow := m.window(now)
	n := fast + slow
	if n < c.MinSamples {
		l.Breach, l.Held = time.Time{}, time.Time{}
		l.set(Unknown, now)
		return
	}
	wasBreach := l.State == Confirmed
	breach := 2*slow > n || wasBreach && float64(slow) > c.Clear*float64(n)
	if !breach {
		l.Breach, l.Held = time.Time{}, time.Time{}
		if l.Alarmed && float64(slow) > c.Clear*float64(n) {
			l.set(Suspect, now)
			return
		}
		l.set(Healthy, now)
		return
	}
	if l.Breach.IsZero() {
		l.Breach = now
	}
	if now.Sub(l.Breach) < c.Dwell && !wasBreach {
		l.set(Suspect, now)
		return
	}
	if !wasBreach && m.pending(now) {
		if l.Held.IsZero() {
			l.Held = now
		}
		if now.Sub(l.Held) < c.Hold {
			l.set(Suspect, now)
			return
		}
	}
	l.set(Confirmed, now)
}

func (m *Monitor) latencySignal(now time.Time) Signal {
	l, c := &m.state.Latency, m.config.Latency
	fast, slow := m.window(now)
	var sum Latency
	for _, e := range m.state.Ring {
		sum.Merge(e.Latency)
	}
	s := Signal{
		Kind: LatencyBreach, Target: TargetService, State: l.State, Since: l.Since, Recovered: l.Recovered,
		Threshold: milliseconds(c.SLO), N: fast + slow, Window: c.Window,
		Evidence: map[string]any{
			"slow": slow, "fast": fast, "in_flight_past_slo": l.Overdue, "min_samples": c.MinSamples,
			"p99_ms": milliseconds(sum.Quantile(0.99)), "detector": l.Slow.Statistic(m.slow), "detector_threshold": m.threshold,
		},
	}
	// Applications in flight have no latency yet but that they are late.
	s.Value = milliseconds(sum.quantile(0.5, l.Overdue))
	if 2*slow > fast+slow {
		s.Value = max(s.Value, milliseconds(c.SLO)+1)
	}
	if s.State == "" {
		s.State = Unknown
	}
	if !l.Breach.IsZero() {
		s.Onset = l.Breach
	}
	if !l.Held.IsZero() && l.State == Suspect {
		s.Evidence["held"] = "a handler is past its deadline: slow or hung is not known yet"
	}
	return s
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

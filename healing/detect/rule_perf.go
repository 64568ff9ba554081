package detect

import (
	"math"
	"time"
)

type perfState struct {
	track
	Detector *ESR        `json:"detector"`
	Alarmed  bool        `json:"alarmed"`
	Blocks   []perfBlock `json:"blocks"`
	// After is the time of acceptance from which outcomes count: since the champion changed, or a healing.
	After time.Time `json:"after"`
}

type perfBlock struct {
	At      time.Time `json:"at"`
	N       int64     `json:"n"`
	Correct int64     `json:"correct"`
}

// Names of the evidence of how bad it is: outcomes since the estimated onset, and how many of them were wrong.
const (
	EvidenceOutcomes = "outcomes_since_onset"
	EvidenceWrong    = "wrong_since_onset"
)

// perfKeep is how many outcomes back the rule can look.
const perfKeep = 1000

// floor is the accuracy below which the champion isn't good enough: a healthy model on hard data is no incident.
func (m *Monitor) floor() float64 {
	if m.state.Desired.Validated <= 0 {
		return m.config.Perf.Floor
	}
	return min(m.config.Perf.Floor, m.state.Desired.Validated-m.config.Perf.Margin)
}

// baseError is the rate of wrong scores that is no change: the upper bound of the validated one, below the floor's.
func (m *Monitor) baseError() float64 {
	d := m.state.Desired
	if d.Validated <= 0 {
		return min(max(1-m.config.Perf.Floor, 0.01), 0.9)
	}
	wrong := 1 - d.Validated
	upper := wrong + 0.02
	if d.ValidatedN > 0 {
		upper = UpperRate(int64(math.Round(wrong*float64(d.ValidatedN))), int64(d.ValidatedN), 0.01)
	}
	limit := max(1-m.floor()-0.01, wrong)
	return min(max(min(upper, limit), 0.005), 0.9)
}

// stepPerf judges the champion's outcomes: in safe mode only scores that decided nothing (shadow ones) tell of it.
func (m *Monitor) stepPerf(now time.Time, s Slot) {
	p, c := &m.state.Perf, m.config.Perf
	safe := m.state.Desired.Mode == ModeSafe
	var n, correct int64
	for _, o := range s.Outcomes {
		if o.Version != m.state.Desired.Champion || o.Version == 0 || o.Accepted.Before(p.After) {
			continue
		}
		if o.Shadow == safe && (safe || o.Mode != ModeSafe) {
			n, correct = n+o.N, correct+o.Correct
		}
	}
	if n > 0 {
		p.Detector.Step(m.perf, []uint32{uint32(correct), uint32(n - correct)}, now)
		p.Blocks = append(p.Blocks, perfBlock{At: now, N: n, Correct: correct})
	}
	p.trim(now, c.Stale)
	statistic := p.Detector.Statistic(m.perf)
	p.Alarmed = statistic >= m.threshold || p.Alarmed && statistic >= m.threshold/100
	n, correct = p.recent(c.Window)
	if n < c.MinSamples || safe && !p.fresh(now) {
		p.set(Unknown, now)
		return
	}
	below := PosteriorBelow(m.floor(), correct, n)
	accuracy := float64(correct) / float64(n)
	switch {
	case p.Alarmed && accuracy < m.floor() && (below >= c.Posterior || p.State == Confirmed && below > 0.5):
		p.set(Confirmed, now)
	case p.Alarmed:
		p.set(Suspect, now)
	default:
		p.set(Healthy, now)
	}
}

// trim drops what is too old or too far back.
func (p *perfState) trim(now time.Time, stale time.Duration) {
	var sum int64
	for i := len(p.Blocks) - 1; i >= 0; i-- {
		if sum >= perfKeep || now.Sub(p.Blocks[i].At) > stale {
			p.Blocks = append([]perfBlock(nil), p.Blocks[i+1:]...)
			return
		}
		sum += p.Blocks[i].N
	}
}

// recent sums up the newest blocks that together hold at least window outcomes, or all there are.
func (p *perfState) recent(window int64) (n, correct int64) {
	for i := len(p.Blocks) - 1; i >= 0 && n < window; i-- {
		n, correct = n+p.Blocks[i].N, correct+p.Blocks[i].Correct
	}
	return n, correct
}

// since sums up the blocks after a time.
func (p *perfState) since(t time.Time) (n, correct int64) {
	for _, b := range p.Blocks {
		if b.At.After(t) {
			n, correct = n+b.N, correct+b.Correct
		}
	}
	return n, correct
}

// fresh reports whether the newest outcome is young enough to tell of a model that decides nothing.
func (p *perfState) fresh(now time.Time) bool {
	return len(p.Blocks) > 0 && now.Sub(p.Blocks[len(p.Blocks)-1].At) < time.Minute
}

func (m *Monitor) perfSignal(time.Time) Signal {
	p, c := &m.state.Perf, m.config.Perf
	s := Signal{Kind: PerfDrop, Target: TargetModel, State: p.State, Since: p.Since, Recovered: p.Recovered, Threshold: m.floor(), Evidence: map[string]any{}}
	if s.State == "" {
		s.State = Unknown
	}
	n, correct := p.recent(c.Window)
	s.N = n
	if n > 0 {
		s.Value = float64(correct) / float64(n)
		s.Evidence["accuracy_low"] = LowerBound(correct, n, 0.025)
		s.Evidence["accuracy_high"] = UpperBound(correct, n, 0.025)
		s.Evidence["probability_below_floor"] = PosteriorBelow(m.floor(), correct, n)
		s.Window = p.Blocks[len(p.Blocks)-1].At.Sub(p.Blocks[0].At)
	}
	s.Evidence["validated"] = m.state.Desired.Validated
	s.Evidence["model_version"] = m.state.Desired.Champion
	s.Evidence["shadow"] = m.state.Desired.Mode == ModeSafe
	s.Evidence["min_samples"] = c.MinSamples
	if p.Detector != nil {
		s.Evidence["detector"] = p.Detector.Statistic(m.perf)
		s.Evidence["detector_threshold"] = m.threshold
		if p.Alarmed {
			_, s.Onset = p.Detector.Best(m.perf)
			n, correct := p.since(s.Onset)
			s.Evidence[EvidenceOutcomes], s.Evidence[EvidenceWrong] = n, n-correct
		}
	}
	return s
}

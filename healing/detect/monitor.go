package detect

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Monitor judges slot by slot. It is a plain value: MarshalJSON is its whole state but for the sample of rows, which
// refills within seconds. Not safe for use by two goroutines.
type Monitor struct {
	config    Config
	reference *Reference
	state     monitorState
	perf      *Alternatives
	slow      *Alternatives
	columns   map[string]*columnBets
	threshold float64
	rows      []sampledRow
}

// monitorState is what is checkpointed.
type monitorState struct {
	Started   time.Time               `json:"started"`
	LastStep  time.Time               `json:"last_step"`
	Blind     track                   `json:"blind"`
	BlindOf   string                  `json:"blind_of,omitempty"`
	BlindWhy  string                  `json:"blind_why,omitempty"`
	Resumed   bool                    `json:"-"`
	Brief     bool                    `json:"brief,omitempty"`
	Silence   time.Duration           `json:"silence,omitempty"` // of the store, or of all, in this outage
	Settle    time.Time               `json:"settle"`
	OwnBeat   time.Time               `json:"own_beat"`
	StoreBeat time.Time               `json:"store_beat"`
	Desired   Desired                 `json:"desired"`
	Ring      []second                `json:"ring"`
	Latency   latencyState            `json:"latency"`
	Perf      perfState               `json:"perf"`
	Drift     map[string]*drift       `json:"drift"`
	Agents    map[string]*agentView   `json:"agents"`
	Processes map[string]*processView `json:"processes,omitempty"`
}

// track is a state and when it began.
type track struct {
	State State     `json:"state"`
	Since time.Time `json:"since"`
	// Recovered is when it last ceased to be CONFIRMED.
	Recovered time.Time `json:"recovered,omitzero"`
}

func (t *track) set(s State, now time.Time) {
	if t.State != s {
		if t.State == Confirmed {
			t.Recovered = now
		}
		t.State, t.Since = s, now
	}
}

// NewMonitor returns a monitor that knows nothing yet: everything is UNKNOWN until data comes.
func NewMonitor(c Config) (*Monitor, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	m := &Monitor{config: c, columns: map[string]*columnBets{}}
	m.state.Drift, m.state.Agents, m.state.Processes = map[string]*drift{}, map[string]*agentView{}, map[string]*processView{}
	m.slow = NewBernoulli(c.Latency.BaseRate, []float64{.05, .2, .5, .9})
	if err := m.arm(); err != nil {
		return nil, err
	}
	m.state.Latency.Slow = NewESR(len(m.slow.Ratio), m.limit())
	return m, nil
}

// limit caps each R of a detector: above any alarm, also of the least weight, and low enough to come down again.
func (m *Monitor) limit() float64 { return 1e4 * m.threshold }

// arm computes the threshold for the number of streams there are: three a feature and a score, and latency and outcomes.
func (m *Monitor) arm() error {
	streams := 2
	if m.reference != nil {
		streams += 3 * (len(m.reference.Features) + 1)
	}
	var err error
	m.threshold, err = m.config.Budget.Threshold(streams)
	return err
}

// Threshold returns A of each sequential detector, as it follows from the budget.
func (m *Monitor) Threshold() float64 { return m.threshold }

// Reference returns what is compared with; nil before SetReference.
func (m *Monitor) Reference() *Reference { return m.reference }

// SetReference sets what features and scores are compared with. Another reference starts drift detection anew; the same
// one (by ID) may bring scores of further versions.
func (m *Monitor) SetReference(r *Reference) error {
	fresh := m.reference == nil || r == nil || m.reference.ID != r.ID
	m.reference = r
	if fresh {
		m.state.Drift, m.rows, m.columns = map[string]*drift{}, nil, map[string]*columnBets{}
	}
	return m.arm()
}

// Step judges one slot. Slots come in the order of their times; now is monitoring's clock.
func (m *Monitor) Step(now time.Time, s Slot) {
	st := &m.state
	m.notice(now, s)
	st.LastStep = now
	m.settle(now, s.StoreCode)
	m.keepBeats(now, s.Beats)
	m.setDesired(now, s.Desired)
	m.keepSlot(now, s)
	m.stepLatency(now, s)
	m.stepPerf(now, s)
	m.stepDrift(now, s)
	m.stepAgents(now)
}

// setDesired takes over the desired state; another champion starts the judgement of outcomes anew.
func (m *Monitor) setDesired(now time.Time, d Desired) {
	st := &m.state
	if st.Perf.Detector != nil && d == st.Desired {
		return
	}
	anew := st.Perf.Detector == nil || d.Champion != st.Desired.Champion || d.Validated != st.Desired.Validated || d.ValidatedN != st.Desired.ValidatedN
	first := st.Perf.Detector == nil
	if (d.Mode == ModeSafe) != (st.Desired.Mode == ModeSafe) && d.Mode == ModeSafe {
		// What the model decided before says nothing of it now; only shadow scores do.
		st.Perf.Blocks = nil
	}
	st.Desired = d
	if anew {
		m.perf = NewBernoulli(m.baseError(), RatesAbove(m.baseError()))
		st.Perf = perfState{Detector: NewESR(len(m.perf.Ratio), m.limit()), track: st.Perf.track}
		if !first {
			st.Perf.After = now
			// P(false alarm within t outcomes) <= (head + t) / A: the martingale begins at head (DESIGN D5).
			st.Perf.Detector.Restart(m.config.Budget.Change*m.threshold, now)
		}
	}
}

// Restart is called after a verified healing of a signal: its detector starts with a head start (R = A/100), so that a
// healing that didn't hold is seen sooner, and its window with data from now on.
func (m *Monitor) Restart(now time.Time, k Kind, target string) {
	head := m.threshold / 100
	switch k {
	case LatencyBreach:
		m.state.Ring = nil
		m.state.Latency.Slow.Restart(head, now)
	case PerfDrop:
		if m.state.Perf.Detector != nil {
			m.state.Perf.Detector.Restart(head, now)
			m.state.Perf.Blocks, m.state.Perf.After = nil, now
		}
	case DataDrift:
		if d := m.state.Drift[target]; d != nil {
			d.restart(head, now)
		}
	}
}

// Signals returns every signal there is, ordered by kind and target. While monitoring is blind all but BUS_DOWN are
// UNKNOWN. now later than the last step by more than a pause means that nothing is known any more.
func (m *Monitor) Signals(now time.Time) []Signal {
	signals := []Signal{m.latencySignal(now), m.perfSignal(now)}
	signals = append(signals, m.driftSignals(now)...)
	signals = append(signals, m.agentSignals(now)...)
	late := !m.state.LastStep.IsZero() && now.Sub(m.state.LastStep) > m.config.Pause
	if m.blind() || late {
		for i := range signals {
			signals[i].State, signals[i].Since = Unknown, m.state.Blind.Since
			if late && !m.blind() {
				signals[i].Since = m.state.LastStep
			}
		}
	}
	signals = append(signals, m.busSignal(now, late))
	slices.SortStableFunc(signals, func(a, b Signal) int { return cmp.Compare(a.Fingerprint(), b.Fingerprint()) })
	return signals
}

// upperNormal is the z that a standard normal exceeds with probability alpha.
func upperNormal(alpha float64) float64 { return math.Sqrt2 * math.Erfinv(1-2*alpha) }

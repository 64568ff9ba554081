package detect

import (
	"encoding/json"
	"fmt"
)

// MarshalJSON is the monitor's state, for a checkpoint, with the reference's ID but not the reference.
func (m *Monitor) MarshalJSON() ([]byte, error) {
	id := ""
	if m.reference != nil {
		id = m.reference.ID
	}
	return json.Marshal(checkpoint{Reference: id, State: m.state})
}

type checkpoint struct {
	Reference string       `json:"reference"`
	State     monitorState `json:"state"`
}

// Restore takes over a checkpoint made with the same reference (nil for none). If the reference's ID differs, what was
// learned about drift is dropped and the rest is kept.
func (m *Monitor) Restore(raw []byte, r *Reference) error {
	var c checkpoint
	if err := json.Unmarshal(raw, &c); err != nil {
		return fmt.Errorf("detect: checkpoint: %w", err)
	}
	if !c.State.Latency.Slow.fits(m.slow) {
		return fmt.Errorf("detect: checkpoint: no latency detector of %d alternatives", len(m.slow.Ratio))
	}
	m.state = c.State
	m.state.Resumed = true
	if m.state.Agents == nil {
		m.state.Agents = map[string]*agentView{}
	}
	if m.state.Processes == nil {
		m.state.Processes = map[string]*processView{}
	}
	if m.state.Drift == nil || r == nil || r.ID != c.Reference {
		m.state.Drift = map[string]*drift{}
	}
	m.reference, m.rows, m.columns = r, nil, map[string]*columnBets{}
	if err := m.arm(); err != nil {
		return err
	}
	for _, name := range sortedKeys(m.state.Drift) {
		if !m.fits(name, m.state.Drift[name]) {
			delete(m.state.Drift, name)
		}
	}
	if m.state.Perf.Detector != nil {
		m.perf = NewBernoulli(m.baseError(), RatesAbove(m.baseError()))
		if !m.state.Perf.Detector.fits(m.perf) {
			m.state.Perf.Detector = NewESR(len(m.perf.Ratio), m.limit())
		}
	}
	return nil
}

package detect

import "time"

func (m *Monitor) driftSignals(now time.Time) []Signal {
	if m.reference == nil {
		return nil
	}
	names := make([]string, 0, len(m.reference.Features)+1)
	for i := range m.reference.Features {
		names = append(names, m.reference.Features[i].Name)
	}
	var signals []Signal
	for _, name := range append(names, TargetScore) {
		s := Signal{Kind: DataDrift, Target: name, State: Unknown, Since: m.state.Started, Threshold: m.config.Drift.Confirm}
		d, c := m.state.Drift[name], m.column(name)
		if d == nil || c == nil {
			s.Evidence = map[string]any{"reason": "no reference scores or no data yet"}
			signals = append(signals, s)
			continue
		}
		signals = append(signals, m.driftSignal(now, s, d, c))
	}
	return signals
}

func (m *Monitor) driftSignal(now time.Time, s Signal, d *drift, c *Column) Signal {
	worst, shown := d.worst(m.config.Drift), d.shown(m.config.Drift)
	if now.Sub(d.Last) > m.config.Drift.Stale {
		d.set(Unknown, now)
	}
	bets := m.bets(s.Target, c)
	s.State, s.Since, s.Recovered, s.Onset, s.Bug = d.State, d.Since, d.Recovered, d.Onset, d.Bug
	s.Value, s.N = shown.Value, shown.N
	if len(d.Blocks) > 0 {
		s.Window = d.Last.Sub(d.Blocks[0].From)
	}
	s.Evidence = map[string]any{
		"psi": shown.Value, "psi_corrected": worst.Corrected, "psi_lower": worst.Lower, "psi_missing": d.Absent.Value,
		"detector": d.Values.Statistic(bets.values), "detector_missing": d.Missing.Statistic(bets.missing),
		"detector_never_seen": d.Outside.Statistic(bets.outside), "detector_threshold": m.threshold,
		"reference": m.reference.ID, "reference_rows": c.Present() + c.Missing, "warming": d.Warming,
		"min_samples": m.config.Drift.MinSamples, "events": d.Values.Events, "clear": d.clear(m.config.Drift),
	}
	if d.Change != "" {
		s.Evidence["change"] = d.Change
	}
	if d.Version != 0 {
		s.Evidence["model_version"] = d.Version
	}
	return s
}

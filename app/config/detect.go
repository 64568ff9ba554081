package config

import (
	"strings"
	"time"

	"aura/healing/detect"
)

const month = 30 * 24 * time.Hour

// Detect is what monitoring goes by: the thresholds of its rules, and the budget from which those of its sequential
// detectors follow.
func (c Config) Detect() (detect.Config, error) {
	m, d := c.Monitoring, detect.DefaultConfig()
	d.Budget = detect.Budget{
		FalseAlarms: m.FalseAlarmsMonth, Events: m.Rate * month.Seconds(), Change: m.FalseAlarmPerModel,
		Phi: m.Autocorrelation, Benign: m.HarmlessShift, Least: d.Budget.Least,
	}
	d.Perf.Floor, d.Perf.Margin = m.AccuracyFloor, m.AccuracyMargin
	d.Drift.Confirm, d.Drift.Clear = m.PSI, m.PSIClear
	d.Agent.Missing = m.HeartbeatMissing
	d.Agent.Suspect = min(d.Agent.Suspect, d.Agent.Missing)
	return d, d.Validate()
}

// detection refuses thresholds that make no sense together.
func (b *builder) detection() {
	c := &b.Config
	for _, f := range fields {
		if wrong, _ := f.check(f.in(c)); strings.HasPrefix(f.key, "monitoring.") && (wrong != "" || b.broken[f.key]) {
			return // that is said already
		}
	}
	if c.Monitoring.PSIClear >= c.Monitoring.PSI {
		b.wrong("monitoring.psi_clear", "not below monitoring.psi = "+format(byKey["monitoring.psi"].in(c)), "lower it: a drift must end below what confirms it")
		return
	}
	if c.Monitoring.HeartbeatMissing < 3*c.Agents.Heartbeat {
		b.wrong("monitoring.heartbeat_missing", "less than three heartbeats of agents.heartbeat = "+formatDuration(c.Agents.Heartbeat), "raise it: one lost beat is no dead agent")
		return
	}
	if _, err := c.Detect(); err != nil {
		b.wrong("monitoring.false_alarms_month", strings.TrimPrefix(err.Error(), detect.ErrConfig.Error()+": "), "allow more, or lower autocorrelation or harmless_shift")
	}
}

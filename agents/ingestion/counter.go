package ingestion

import (
	"time"

	"aura/agents/desired"
	"aura/agents/event"
	"aura/agents/shadow"
	"aura/agents/tally"
	"aura/healing/detect"
	"aura/store"
)

// latencyCounter counts how long applications take from acceptance to decision, and what became of them.
type latencyCounter struct {
	tally.Collector
	view   *desired.View
	window *Window
	shadow *shadow.Scores // may be nil
	slo    time.Duration
	now    func() time.Time
}

// take is the agent's counts of a slot. What is in flight for longer than the objective is counted as slow now, once,
// and not when it is decided: waiting for it to end would hide that it is late.
func (c *latencyCounter) take() *detect.Counts {
	s := c.view.Current()
	late := detect.Cohort{Mode: string(s.Mode), Version: s.Champion}
	if s.Mode == event.ModeSafe {
		late.Version = 0
	}
	n, fresh := c.window.overdue(c.now().Add(-c.slo)) // not under the collector's lock: decided comes under the window's
	c.Add(func(counts *detect.Counts) {
		counts.Overdue = n
		for _, at := range fresh {
			late.Accepted = at
			counts.Overtime(late)
		}
	})
	return c.Take()
}

// decided counts one decision that the window waited for. It is called under the window's lock.
func (c *latencyCounter) decided(d *event.Decision, counted bool) {
	if c == nil {
		return
	}
	k := detect.Cohort{Accepted: d.AcceptedAt, Mode: string(d.Mode), Version: d.ModelVersion}
	c.Add(func(counts *detect.Counts) { counts.Decided(k, c.now().Sub(d.AcceptedAt), c.slo, counted) })
}

// outcome counts an outcome that took effect, against what the model said: in its decision, or beside safe mode.
func (c *latencyCounter) outcome(f store.Feedback) {
	if c == nil {
		return
	}
	d := f.Decision
	k := detect.Cohort{Accepted: d.AcceptedAt, Mode: string(d.Mode), Version: d.ModelVersion}
	var p float64
	switch {
	case d.Probability != nil:
		p = *d.Probability
	case c.shadow != nil:
		score, ok := c.shadow.Get(d.ID)
		if !ok {
			return
		}
		p, k.Version, k.Shadow = score.Probability, score.Version, true
	default:
		return
	}
	correct := (p >= 0.5) == (f.Outcome == store.Defaulted)
	c.Add(func(counts *detect.Counts) { counts.Outcome(k, correct) })
}

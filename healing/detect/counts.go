package detect

import (
	"fmt"
	"time"
)

// maxCells bounds the cells of one list of counts. What has no room goes to the cell of unknown (zero) acceptance
// time, which no verification takes for data from after an action.
const maxCells = 512

// Acceptance times are kept by this width, so that decisions and outcomes can be split at the time of an action.
const (
	decisionWidth = 100 * time.Millisecond
	outcomeWidth  = time.Second
)

// Cohort is what a decision or an outcome is counted under: when its application was accepted (start of its width),
// by whom it was decided, and whether it is only measured (a shadow score).
type Cohort struct {
	Accepted time.Time `json:"accepted,omitzero"`
	Mode     string    `json:"mode"`
	// Version is the model's version; 0 where no model took part.
	Version int  `json:"version,omitempty"`
	Shadow  bool `json:"shadow,omitempty"`
}

// Decisions counts the decisions of one cohort. Fast were decided within the SLO; Slow are known to miss it: decided
// late, or still in flight past it. Each application is counted once: who was counted in flight isn't counted again.
type Decisions struct {
	Cohort
	Fast   int64 `json:"fast,omitempty"`
	Slow   int64 `json:"slow,omitempty"`
	Failed int64 `json:"failed,omitempty"`
}

// Outcomes counts the outcomes of one cohort. Correct are those where (p >= 0.5) said default as the outcome did.
type Outcomes struct {
	Cohort
	N       int64 `json:"n"`
	Correct int64 `json:"correct"`
}

// Attempts counts an agent instance's attempts at messages in this slot, and how many of them failed.
type Attempts struct {
	Agent    string `json:"agent"`
	Instance string `json:"instance,omitempty"`
	Attempts int64  `json:"attempts"`
	Failures int64  `json:"failures"`
}

// Counts is the mergeable summary of one slot of one lane, agent or process. The zero value is ready for use, except
// that sketches are made with NewSketch.
type Counts struct {
	Decisions []Decisions `json:"decisions,omitempty"`
	Outcomes  []Outcomes  `json:"outcomes,omitempty"`
	Attempts  []Attempts  `json:"attempts,omitempty"`
	// Overdue is a gauge, not a count: applications in flight at the slot's end that are older than the SLO. Bypassed
	// (shadow) ones are not in it.
	Overdue int64 `json:"overdue,omitempty"`
	// Latency is the histogram of the decided (not shadow) applications' latencies.
	Latency Latency `json:"latency,omitzero"`
	// Sketches holds one sketch a reference.
	Sketches []*Sketch `json:"sketches,omitempty"`
}

// Decided counts a decision: accepted when, in which mode, by which version, after how long. counted says that it was
// counted by Overtime while in flight. slo is the latency objective.
func (c *Counts) Decided(k Cohort, latency, slo time.Duration, counted bool) {
	d := c.decisions(k)
	if latency <= slo {
		d.Fast++
	} else if !counted {
		d.Slow++
	}
	if !k.Shadow {
		c.Latency.Add(latency, slo)
	}
}

// Overtime counts an application in flight that has just become older than the SLO: slow, at once and once.
func (c *Counts) Overtime(k Cohort) { c.decisions(k).Slow++ }

// Failed counts an application of the cohort that could not be scored or decided in an attempt.
func (c *Counts) Failed(k Cohort) { c.decisions(k).Failed++ }

// Outcome counts one outcome that took effect in the store.
func (c *Counts) Outcome(k Cohort, correct bool) {
	o := c.outcomes(k)
	o.N++
	if correct {
		o.Correct++
	}
}

// Attempt counts attempts of an agent instance at messages.
func (c *Counts) Attempt(agent, instance string, attempts, failures int64) {
	for i := range c.Attempts {
		if c.Attempts[i].Agent == agent && c.Attempts[i].Instance == instance {
			c.Attempts[i].Attempts += attempts
			c.Attempts[i].Failures += failures
			return
		}
	}
	c.Attempts = append(c.Attempts, Attempts{Agent: agent, Instance: instance, Attempts: attempts, Failures: failures})
}

func (c *Counts) decisions(k Cohort) *Decisions {
	k.Accepted = k.Accepted.Truncate(decisionWidth).UTC()
	if len(c.Decisions) >= maxCells {
		k.Accepted = time.Time{}
	}
	for i := len(c.Decisions) - 1; i >= 0; i-- {
		if c.Decisions[i].Cohort == k {
			return &c.Decisions[i]
		}
	}
	c.Decisions = append(c.Decisions, Decisions{Cohort: k})
	return &c.Decisions[len(c.Decisions)-1]
}

func (c *Counts) outcomes(k Cohort) *Outcomes {
	k.Accepted = k.Accepted.Truncate(outcomeWidth).UTC()
	if len(c.Outcomes) >= maxCells {
		k.Accepted = time.Time{}
	}
	for i := len(c.Outcomes) - 1; i >= 0; i-- {
		if c.Outcomes[i].Cohort == k {
			return &c.Outcomes[i]
		}
	}
	c.Outcomes = append(c.Outcomes, Outcomes{Cohort: k})
	return &c.Outcomes[len(c.Outcomes)-1]
}

// Merge adds o's counts (of another lane, agent or replica, same slot) to c. It is associative and, but for the order
// of lists, commutative. o is not changed and shares nothing with c afterwards.
func (c *Counts) Merge(o *Counts) error {
	for _, d := range o.Decisions {
		t := c.decisions(d.Cohort)
		t.Fast, t.Slow, t.Failed = t.Fast+d.Fast, t.Slow+d.Slow, t.Failed+d.Failed
	}
	for _, u := range o.Outcomes {
		t := c.outcomes(u.Cohort)
		t.N, t.Correct = t.N+u.N, t.Correct+u.Correct
	}
	for _, a := range o.Attempts {
		c.Attempt(a.Agent, a.Instance, a.Attempts, a.Failures)
	}
	c.Overdue += o.Overdue
	c.Latency.Merge(o.Latency)
	for _, s := range o.Sketches {
		if err := c.mergeSketch(s); err != nil {
			return err
		}
	}
	return nil
}

func (c *Counts) mergeSketch(s *Sketch) error {
	for _, t := range c.Sketches {
		if t.Reference == s.Reference {
			if err := t.Merge(s); err != nil {
				return fmt.Errorf("merge sketches of reference %s: %w", s.Reference, err)
			}
			return nil
		}
	}
	c.Sketches = append(c.Sketches, s.clone())
	return nil
}

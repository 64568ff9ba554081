package decision

import (
	"time"

	"aura/agents/event"
	"aura/agents/shadow"
	"aura/agents/tally"
	"aura/healing/detect"
	"aura/store"
)

// counter counts the scores of what was decided by a model, and what the model did beside safe mode.
type counter struct {
	tally.Collector
	reference func() *detect.Reference
	shadow    *shadow.Scores
	slo       time.Duration
}

// written counts the scores of decisions that took effect.
func (c *counter) written(results []store.DecideResult) {
	if c.reference == nil {
		return
	}
	r := c.reference()
	if r == nil {
		return
	}
	c.Add(func(counts *detect.Counts) {
		sketch := sketchOf(counts, r)
		for i := range results {
			d := &results[i].Decision
			if results[i].Status != store.Written {
				continue
			}
			if d.Probability != nil {
				sketch.AddScore(d.ModelVersion, *d.Probability)
			}
			if early := results[i].Joined; early != nil { // an outcome that came before its decision took effect now
				c.outcome(counts, d, early.Outcome == store.Defaulted)
			}
		}
	})
}

// outcome counts one against what the model said, in the decision or beside it.
func (c *counter) outcome(counts *detect.Counts, d *store.Decision, bad bool) {
	k := detect.Cohort{Accepted: d.AcceptedAt, Mode: string(d.Mode), Version: d.ModelVersion}
	if d.Probability != nil {
		counts.Outcome(k, (*d.Probability >= 0.5) == bad)
		return
	}
	if c.shadow == nil {
		return
	}
	if score, ok := c.shadow.Get(d.ID); ok {
		k.Version, k.Shadow = score.Version, true
		counts.Outcome(k, (score.Probability >= 0.5) == bad)
	}
}

// sketchOf is the sketch against r among the counts, made where it is missing.
func sketchOf(counts *detect.Counts, r *detect.Reference) *detect.Sketch {
	for _, s := range counts.Sketches {
		if s.Reference == r.ID {
			return s
		}
	}
	s := detect.NewSketch(r)
	counts.Sketches = append(counts.Sketches, s)
	return s
}

// shadowed counts a score that was given beside safe mode: how long it took, and what it said for when the outcome comes.
func (c *counter) shadowed(p *event.Prediction, now time.Time) {
	if c.shadow != nil {
		c.shadow.Put(p.ID, shadow.Score{Probability: p.Probability, Version: p.ModelVersion})
	}
	k := detect.Cohort{Accepted: p.AcceptedAt, Mode: string(event.ModeSafe), Version: p.ModelVersion, Shadow: true}
	c.Add(func(counts *detect.Counts) { counts.Decided(k, now.Sub(p.AcceptedAt), c.slo, false) })
}

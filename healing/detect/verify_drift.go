package detect

import (
	"fmt"
	"time"
)

// DriftCheck verifies the end of a drift: PSI of every feature, and of the scores, against a reference is under 0.1 on
// at least 500 rows that are newer than it.
type DriftCheck struct {
	Since  time.Time `json:"since"`
	At     time.Time `json:"at"`
	Sketch *Sketch   `json:"sketch"`
	// Unscored are the newest rows that came in safe mode, without one between them that the model was asked to decide.
	Unscored int64 `json:"unscored"`
}

// NewDriftCheck starts a check against r for rows counted after since.
func NewDriftCheck(r *Reference, since time.Time) *DriftCheck {
	return &DriftCheck{Since: since, Sketch: NewSketch(r)}
}

// Step takes one slot: its counts against the same reference.
func (c *DriftCheck) Step(now time.Time, s Slot) error {
	c.At = now
	if !s.At.After(c.Since) {
		return nil
	}
	if s.Desired.Mode != ModeSafe {
		c.Unscored = 0
	}
	for _, k := range s.Sketches {
		if k.Reference == c.Sketch.Reference {
			if s.Desired.Mode == ModeSafe {
				c.Unscored += int64(k.N)
			}
			if err := c.Sketch.Merge(k); err != nil {
				return fmt.Errorf("detect: drift check: %w", err)
			}
		}
	}
	return nil
}

// Verdict judges the rows so far. What has too few values of its own is left out, as chance alone makes its PSI large: where
// the model decides its scores are waited for; where as many rows as are needed came in safe mode, the features say it all.
func (c *DriftCheck) Verdict(now time.Time, r *Reference, rule DriftConfig, version int) Verdict {
	v := Verdict{Finding: Pending, Since: c.Since, At: now, N: int64(c.Sketch.N)}
	if v.N < rule.MinSamples {
		v.Reason = fmt.Sprintf("%d of %d rows", v.N, rule.MinSamples)
		return v
	}
	var worst TargetPSI
	var scores int64
	for _, p := range r.Compare(c.Sketch, version, rule.MinSamples) {
		if p.Target == TargetScore {
			scores = p.N
		}
		if p.N >= rule.MinSamples && (worst.Target == "" || p.Corrected >= worst.Corrected) {
			worst = p
		}
	}
	v.Value, v.Low = worst.Corrected, worst.Lower
	v.Reason = fmt.Sprintf("PSI of %s %.3f after correction for %d values (measured %.3f), limit %.3g",
		worst.Target, worst.Corrected, worst.N, worst.Value, rule.Clear)
	short := r.Scores[version] != nil && scores < rule.MinSamples
	switch {
	case v.Value >= rule.Clear:
		v.Finding = Broken
	case short && c.Unscored < rule.MinSamples:
		v.Reason = fmt.Sprintf("%d of %d scores; largest %s", scores, rule.MinSamples, v.Reason)
	case short:
		v.Finding, v.Reason = Cured, "largest "+v.Reason+"; safe mode gives no scores"
	default:
		v.Finding, v.Reason = Cured, "largest "+v.Reason
	}
	return v
}

// TargetPSI is the PSI of one feature (its values, or missing against present, whichever is larger) or of the scores. N
// counts what it is of.
type TargetPSI struct {
	Target string `json:"target"`
	PSIEstimate
}

// Compare returns the PSI of each feature of a sketch, and of the scores of a version where there are any, against r. A
// feature with fewer than least values is compared by missing against present alone.
func (r *Reference) Compare(s *Sketch, version int, least int64) []TargetPSI {
	z := upperNormal(0.01 / float64(len(r.Features)+1))
	var all []TargetPSI
	for i := range r.Features {
		if i < len(s.Features) {
			all = append(all, r.Features[i].compare(s.Features[i], z, least))
		}
	}
	if c := r.Scores[version]; c != nil && s.Scores[version] != nil {
		all = append(all, c.compare(s.Scores[version], z, least))
	}
	return all
}

func (c *Column) compare(counts []uint32, z float64, least int64) TargetPSI {
	wide := make([]int64, len(counts))
	for i, n := range counts {
		wide[i] = int64(n)
	}
	bins := c.Bins()
	p := EstimatePSI(c.grouped(c.Counts), c.grouped(wide[:bins]), z)
	absent := EstimatePSI([]int64{c.Present(), c.Missing}, []int64{int64(total(wide[:bins])), wide[bins]}, z)
	if absent.Corrected > p.Corrected || p.N < least {
		p = absent
	}
	return TargetPSI{c.Name, p}
}

// Matches reports whether rows (columns of the reference in its order) look like r: at least least rows, and PSI of every
// feature under limit. It recognises the return to a kept reference.
func (r *Reference) Matches(rows [][]float64, least int, limit float64) (ok bool, worst TargetPSI) {
	s := NewSketch(r)
	for _, row := range rows {
		s.Add(row)
	}
	for i, p := range r.Compare(s, 0, 1) {
		if i == 0 || p.Corrected > worst.Corrected {
			worst = p
		}
	}
	return int(s.N) >= least && worst.Corrected < limit, worst
}

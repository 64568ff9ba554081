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
	for _, k := range s.Sketches {
		if k.Reference == c.Sketch.Reference {
			if err := c.Sketch.Merge(k); err != nil {
				return fmt.Errorf("detect: drift check: %w", err)
			}
		}
	}
	return nil
}

// Verdict judges the rows so far.
func (c *DriftCheck) Verdict(now time.Time, r *Reference, rule DriftConfig, version int) Verdict {
	v := Verdict{Finding: Pending, Since: c.Since, At: now, N: int64(c.Sketch.N)}
	if v.N < rule.MinSamples {
		v.Reason = fmt.Sprintf("%d of %d rows", v.N, rule.MinSamples)
		return v
	}
	name, raw := "", 0.0
	for _, p := range r.Compare(c.Sketch, version) {
		if p.Corrected >= v.Value || name == "" {
			name, raw, v.Value, v.Low = p.Target, p.PSIEstimate.Value, p.Corrected, p.Lower
		}
	}
	v.Finding = Cured
	if v.Value >= rule.Clear {
		v.Finding = Broken
	}
	v.Reason = fmt.Sprintf("largest PSI %.3f (%s) on %d rows, %.3f corrected for their number", raw, name, v.N, v.Value)
	return v
}

// TargetPSI is the PSI of one feature (its values, or missing against present, whichever is larger) or of the scores.
type TargetPSI struct {
	Target string `json:"target"`
	PSIEstimate
}

// Compare returns the PSI of each feature of a sketch, and of the scores of a version where there are any, against r.
func (r *Reference) Compare(s *Sketch, version int) []TargetPSI {
	z := upperNormal(0.01 / float64(len(r.Features)+1))
	var all []TargetPSI
	for i := range r.Features {
		if i < len(s.Features) {
			all = append(all, r.Features[i].compare(s.Features[i], z))
		}
	}
	if c := r.Scores[version]; c != nil && s.Scores[version] != nil {
		all = append(all, c.compare(s.Scores[version], z))
	}
	return all
}

func (c *Column) compare(counts []uint32, z float64) TargetPSI {
	wide := make([]int64, len(counts))
	for i, n := range counts {
		wide[i] = int64(n)
	}
	bins := c.Bins()
	p := EstimatePSI(c.grouped(c.Counts), c.grouped(wide[:bins]), z)
	absent := EstimatePSI([]int64{c.Present(), c.Missing}, []int64{int64(total(wide[:bins])), wide[bins]}, z)
	if absent.Corrected > p.Corrected || p.N == 0 {
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
	for i, p := range r.Compare(s, 0) {
		if i == 0 || p.Corrected > worst.Corrected {
			worst = p
		}
	}
	return int(s.N) >= least && worst.Corrected < limit, worst
}

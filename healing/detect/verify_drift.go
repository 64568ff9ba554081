package detect

import (
	"fmt"
	"strings"
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

// otherRows is how many times the rule's minimum of rows what is not the drift verified may be over the limit: by then it is
// confirmed and has an incident of its own, or the reference doesn't fit it.
const otherRows = 4

// Verdict judges the rows so far, for a drift of target. Others, that drift for themselves, are left out, and with them the
// scores, which follow any feature. So is what has too few values, as chance alone makes its PSI large: where the model
// decides its scores are waited for; where enough rows came in safe mode, the features say it all.
func (c *DriftCheck) Verdict(now time.Time, r *Reference, rule DriftConfig, version int, target string, others map[string]bool) Verdict {
	v := Verdict{Finding: Pending, Since: c.Since, At: now, N: int64(c.Sketch.N)}
	if v.N < rule.MinSamples {
		v.Reason = fmt.Sprintf("%d of %d rows", v.N, rule.MinSamples)
		return v
	}
	var own, worst TargetPSI
	var scores int64
	withScores := r.Scores[version] != nil && (len(others) == 0 || target == TargetScore)
	for _, p := range r.Compare(c.Sketch, version, rule.MinSamples) {
		if p.Target == TargetScore {
			scores = p.N
		}
		if p.N < rule.MinSamples || others[p.Target] || p.Target == TargetScore && !withScores {
			continue
		}
		if p.Target == target {
			own = p
		}
		if worst.Target == "" || p.Corrected >= worst.Corrected {
			worst = p
		}
	}
	if own.Corrected >= rule.Clear {
		worst = own
	}
	v.Value, v.Low, v.Reason = worst.Corrected, worst.Lower, worst.words(rule.Clear)
	short := withScores && scores < rule.MinSamples
	switch {
	case own.Corrected >= rule.Clear, worst.Corrected >= rule.Clear && v.N >= otherRows*rule.MinSamples:
		v.Finding = Broken
	case worst.Corrected >= rule.Clear:
		v.Reason += "; not of " + target + ": waiting for what comes of it"
	case short && c.Unscored < rule.MinSamples:
		v.Reason = fmt.Sprintf("%d of %d scores; largest %s", scores, rule.MinSamples, v.Reason)
	default:
		v.Finding, v.Reason = Cured, "largest "+v.Reason
		if short {
			v.Reason += "; safe mode gives no scores"
		}
		if len(others) > 0 {
			v.Reason += "; without what drifts for itself: " + strings.Join(sortedKeys(others), ", ")
		}
	}
	return v
}

func (p TargetPSI) words(limit float64) string {
	return fmt.Sprintf("PSI of %s %.3f after correction for %d values (measured %.3f), limit %.3g", p.Target, p.Corrected, p.N, p.Value, limit)
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

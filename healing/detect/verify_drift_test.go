package detect

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// scored is a reference of 1,000 rows, and as many scores of version 1.
func scored(t *testing.T, r *rand.Rand) *Reference {
	t.Helper()
	rows, given := make([][]float64, 1000), make([]float64, 1000)
	for i := range rows {
		rows[i], given[i] = normalRow(r), r.Float64()
	}
	ref, err := BuildReference("r", serviceFields, rows)
	if err != nil {
		t.Fatal(err)
	}
	ref.SetScores(1, given)
	return ref
}

// checked makes a check that has seen n rows, and so many scores of version 1, in a slot each of a tenth.
func checked(t *testing.T, r *Reference, mode string, n, scores int, row func() []float64, score func() float64) *DriftCheck {
	t.Helper()
	c := NewDriftCheck(r, at)
	for i := range 10 {
		k := NewSketch(r)
		for range (n + 9 - i) / 10 {
			k.Add(row())
		}
		for range (scores + 9 - i) / 10 {
			k.AddScore(1, score())
		}
		slot := Slot{At: at.Add(time.Duration(i+1) * step), Desired: Desired{Mode: mode, Champion: 1}}
		slot.Sketches = []*Sketch{k}
		if err := c.Step(slot.At, slot); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// TestFewScoresBreakNothing: the PSI of some 20 scores is large by chance. They are waited for while the model decides, and
// not in a safe mode that gives none.
func TestFewScoresBreakNothing(t *testing.T) {
	rule := DefaultConfig().Drift
	large := 0
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 31))
		ref := scored(t, r)
		row := func() []float64 { return normalRow(r) }
		for _, mode := range []string{"MODEL", ModeSafe} {
			c := checked(t, ref, mode, 501, 20, row, r.Float64)
			for _, p := range ref.Compare(c.Sketch, 1, 1) {
				if p.Target == TargetScore && p.Corrected >= rule.Clear {
					large++
				}
			}
			want, text := Pending, "20 of 500 scores; largest PSI of "
			if mode == ModeSafe {
				want, text = Cured, "safe mode gives no scores"
			}
			if v := c.Verdict(at, ref, rule, 1, "income", nil); v.Finding != want || !strings.Contains(v.Reason, text) {
				t.Errorf("seed %d, %s: %+v", seed, mode, v)
			}
			// The model decides again: its scores are waited for.
			if err := c.Step(at.Add(2*time.Second), Slot{At: at.Add(2 * time.Second), Desired: Desired{Mode: "MODEL"}}); err != nil {
				t.Fatal(err)
			}
			if v := c.Verdict(at, ref, rule, 1, "income", nil); v.Finding != Pending {
				t.Errorf("seed %d, after %s: %+v", seed, mode, v)
			}
		}
		if v := checked(t, ref, "MODEL", 501, 501, row, r.Float64).Verdict(at, ref, rule, 1, "income", nil); v.Finding != Cured || v.Value >= rule.Clear {
			t.Errorf("seed %d: %+v", seed, v)
		}
	}
	if large < 5 {
		t.Errorf("by chance PSI of 20 scores was over the limit %d times of 400: the test is blind", large)
	}
}

// TestWhoseDriftItIs: only the drift that is verified breaks at once, without waiting for scores, and where hardly any values
// are left by what is missing. What else is over the limit is waited for, and left out once it drifts for itself.
func TestWhoseDriftItIs(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 32))
	ref := scored(t, r)
	usual := func() []float64 { return normalRow(r) }
	richer := func() []float64 { v := normalRow(r); v[2] += 15_000; return v }
	lower := func() float64 { return r.Float64() / 2 }
	for name, c := range map[string]struct {
		rows, scores int
		row          func() []float64
		score        func() float64
		target       string
		others       map[string]bool
		want         Finding
		reason       string
	}{
		"its own":                        {500, 20, richer, r.Float64, "income", nil, Broken, "PSI of income "},
		"its own, others too":            {500, 20, richer, r.Float64, "income", map[string]bool{"debt_ratio": true}, Broken, "PSI of income "},
		"its own is missing":             {500, 500, func() []float64 { v := normalRow(r); v[1] = math.NaN(); return v }, r.Float64, "debt_ratio", nil, Broken, "PSI of debt_ratio "},
		"the scores":                     {500, 500, usual, lower, TargetScore, nil, Broken, "PSI of score "},
		"another feature":                {500, 500, richer, lower, "credit_score", nil, Pending, "not of credit_score: waiting"},
		"another feature, for long":      {2000, 2000, richer, lower, "credit_score", nil, Broken, "limit 0.1"},
		"another feature, for itself":    {500, 500, richer, lower, "credit_score", map[string]bool{"income": true}, Cured, "for itself: income"},
		"scores that nothing explains":   {500, 500, usual, lower, "income", nil, Pending, "PSI of score "},
		"its scores, with other drifts":  {500, 500, richer, lower, TargetScore, map[string]bool{"income": true}, Broken, "PSI of score "},
		"few scores, with another drift": {500, 20, richer, lower, "credit_score", map[string]bool{"income": true}, Cured, "for itself: income"},
	} {
		v := checked(t, ref, "MODEL", c.rows, c.scores, c.row, c.score).Verdict(at, ref, DefaultConfig().Drift, 1, c.target, c.others)
		if v.Finding != c.want || !strings.Contains(v.Reason, c.reason) {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

package detect

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// TestGrow: a reference with further rows has the counts that it would have were they there from the beginning, in the bins
// that it has; the one it was made of stays; detectors on it go on, and are armed at 10,000 rows.
func TestGrow(t *testing.T) {
	s := newService(t, 70, 6000)
	s.run(20 * time.Second)
	s.want(DataDrift, "income", Warming)
	small := s.ref
	before, err := json.Marshal(small)
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]float64
	var scores []float64
	for range 4000 {
		rows, scores = append(rows, normalRow(s.r)), append(scores, s.r.Float64())
	}
	rows[0][2], rows[1][4] = math.NaN(), 99 // missing, and a category that was never seen
	until := s.now
	grown := small.Grow(rows, 1, scores, until)
	if after, _ := json.Marshal(small); string(after) != string(before) {
		t.Error("the reference that grew was changed")
	}
	if grown.ID != small.ID || grown.Rows != 10_000 || !grown.Until.Equal(until) {
		t.Errorf("%s, %d rows until %v", grown.ID, grown.Rows, grown.Until)
	}
	for i := range grown.Features {
		c, was := &grown.Features[i], &small.Features[i]
		if c.Present()+c.Missing != 10_000 || len(c.Counts) != len(was.Counts) {
			t.Errorf("%s: %d values and %d missing in %d bins", c.Name, c.Present(), c.Missing, len(c.Counts))
		}
	}
	if c := grown.Scores[1]; c.Present() != 10_000 {
		t.Errorf("%d scores", c.Present())
	}
	if n := grown.Feature("purpose").Counts; n[len(n)-1] != 1 {
		t.Errorf("unseen categories: %v", n)
	}

	// What was counted against the smaller one still adds up, and the monitor goes on.
	sketch := NewSketch(small)
	sketch.Add(normalRow(s.r))
	if err := NewSketch(grown).Merge(sketch); err != nil {
		t.Error(err)
	}
	events := s.m.state.Drift["income"].Values.Events
	if err := s.m.SetReference(grown); err != nil {
		t.Fatal(err)
	}
	s.ref = grown
	s.run(step)
	if d := s.m.state.Drift["income"]; d.Values.Events <= events {
		t.Errorf("the detector began anew: %d events after %d", d.Values.Events, events)
	}
	s.want(DataDrift, "income", Healthy)
	s.row = func(r *rand.Rand) []float64 { v := normalRow(r); v[0] = max(v[0]-150, 300); return v }
	s.until(DataDrift, "credit_score", Suspect, 3*time.Second)

	var shifted [][]float64
	for range 500 {
		shifted = append(shifted, s.row(s.r))
	}
	if ok, worst := grown.Fits(shifted, 0.1); ok || worst.Target != "credit_score" {
		t.Errorf("rows of another population fit: %+v", worst)
	}
	if ok, worst := grown.Fits(rows[2:502], 0.1); !ok {
		t.Errorf("rows of the same population don't fit: %+v", worst)
	}
}

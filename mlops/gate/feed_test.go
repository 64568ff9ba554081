package gate

import (
	"strings"
	"testing"

	"aura/mlops/synth"
)

// Nobody named the defect: what is broken as a whole must not be learned all the same. Real shifts must pass.
func TestBrokenFeedsThatNobodyNamed(t *testing.T) {
	m, old := champion(t)
	for _, c := range []struct {
		say   string
		spoil func(v []float64)
	}{
		{"income: values look divided by 12", func(v []float64) { v[2] = max(v[2]/12, 1000) }},
		{"income: values look multiplied by 12", func(v []float64) { v[2] *= 12 }},
		{"loan_amount: values look divided by 10", func(v []float64) { v[3] = max(v[3]/10, 100) }},
		{"debt_ratio: values look divided by 100", func(v []float64) { v[1] /= 100 }},
		{"credit_score: more than 50 % of values are 700", func(v []float64) { v[0] = 700 }},
		{"income: more than 50 % of values are 50000", func(v []float64) { v[2] = 50_000 }},
	} {
		rows := population(1000, 7, nil, nil)
		for i := range rows {
			c.spoil(rows[i].Values)
		}
		if out := retrain(t, m, rows, old, Options{Trees: 20}); out.Verdict.Code != BrokenFeed || !strings.Contains(out.Verdict.Reason, c.say) {
			t.Errorf("want %q: %s %s", c.say, out.Verdict.Code, out.Verdict.Reason)
		}
	}
	for _, shifts := range []map[string]synth.Shift{
		nil, score550,
		{"credit_score": {Add: 200}},
		{"credit_score": {Add: -400}},
		{"income": {Scale: 2}},
		{"income": {Scale: 0.2}},
		{"loan_amount": {Scale: 5}},
		{"employment_years": {Scale: 3}},
		{"debt_ratio": {Scale: 0.3}},
		{"employment_years": {Add: 10}},
	} {
		rows := population(1000, 7, shifts, nil)
		c := &contest{schema: m.Schema(), out: &Outcome{}}
		if !c.soundFeed(rows, old) {
			t.Errorf("a shift of the population %v is refused: %s", shifts, c.out.Verdict.Reason)
		}
	}
}

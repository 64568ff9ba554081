package forest

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestMetrics(t *testing.T) {
	p, bad := []float64{.1, .4, .35, .8}, []bool{false, false, true, true}
	for name, c := range map[string]struct{ got, want float64 }{
		"auc (scikit-learn's own example)": {AUC(p, bad), 0.75},
		"auc, all tied":                    {AUC([]float64{1, 1, 1}, []bool{true, false, false}), 0.5},
		"brier":                            {Brier(p, bad), (.01 + .16 + .65*.65 + .04) / 4},
		"accuracy":                         {Accuracy(p, bad, 0.5), 0.75},
		"log loss":                         {LogLoss(p, bad), -(math.Log(.9) + math.Log(.6) + math.Log(.35) + math.Log(.8)) / 4},
		"log loss stays finite":            {LogLoss([]float64{0}, []bool{true}), -math.Log(1e-15)},
	} {
		if math.Abs(c.got-c.want) > 1e-12 {
			t.Errorf("%s: %v, want %v", name, c.got, c.want)
		}
	}
	for name, v := range map[string]float64{
		"auc, one outcome": AUC(p[:2], bad[:2]), "auc, empty": AUC(nil, nil), "brier, empty": Brier(nil, nil), "accuracy, empty": Accuracy(nil, nil, 0),
	} {
		if v == v {
			t.Errorf("%s: %v, want NaN", name, v)
		}
	}
}

// AUC against its definition: the share of pairs in the right order, ties half.
func TestAUCIsTheShareOfPairs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 40).Draw(t, "n")
		p, bad := make([]float64, n), make([]bool, n)
		for i := range p {
			p[i], bad[i] = float64(rapid.IntRange(0, 6).Draw(t, "p")), rapid.Bool().Draw(t, "bad")
		}
		pairs, right := 0.0, 0.0
		for i := range p {
			for j := range p {
				if bad[i] && !bad[j] {
					pairs++
					if p[i] > p[j] {
						right++
					} else if p[i] == p[j] {
						right += 0.5
					}
				}
			}
		}
		got := AUC(p, bad)
		if pairs == 0 {
			if got == got {
				t.Fatalf("AUC %v without pairs, want NaN", got)
			}
		} else if math.Abs(got-right/pairs) > 1e-12 {
			t.Fatalf("AUC %v, pairs give %v", got, right/pairs)
		}
	})
}

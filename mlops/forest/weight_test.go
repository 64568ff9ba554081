package forest

import (
	"math"
	"strings"
	"testing"
)

// Scores of rows that a forest was trained on are too sure; those by trees that had not drawn them are like its scores
// of new rows of the same population.
func TestOutOfBagScoresAreLikeScoresOfNewRows(t *testing.T) {
	d, fresh := syntheticRows(4000, 1), syntheticRows(4000, 2)
	f, unseen, err := TrainOutOfBag(t.Context(), d, Params{Seed: 3}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var seen, met []float64
	for i := range d.X {
		seen, met = append(seen, f.Score(d.X[i])), append(met, f.Score(fresh.X[i]))
	}
	honest, sure, want := AUC(unseen, d.Y), AUC(seen, d.Y), AUC(met, fresh.Y)
	if math.Abs(honest-want) > 0.015 || sure < honest+0.02 {
		t.Errorf("AUC %.3f out of bag, %.3f in sample, %.3f on new rows", honest, sure, want)
	}
	if b := Brier(unseen, d.Y); math.Abs(b-f.Training().OutOfBagBrier) > 1e-12 {
		t.Errorf("Brier of the scores %v, of the training %v", b, f.Training().OutOfBagBrier)
	}
	g, err := Train(t.Context(), d, Params{Seed: 3}, nil)
	if err != nil || g.Digest() != f.Digest() {
		t.Errorf("Train gives another model (%v)", err)
	}
}

func TestARowThatEveryTreeDrewHasNoOutOfBagScore(t *testing.T) {
	d := syntheticRows(20, 1)
	_, unseen, err := TrainOutOfBag(t.Context(), d, Params{Seed: 3, Trees: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	drawn := 0
	for _, p := range unseen {
		if math.IsNaN(p) {
			drawn++
		}
	}
	if drawn < 5 || drawn > 18 {
		t.Errorf("one tree has drawn %d of 20 rows, expected some 13", drawn)
	}
}

// Two samples that contradict each other: the weights decide which one is learned, and the calibration follows.
func TestWeightsDecide(t *testing.T) {
	old, fresh := syntheticRows(3000, 1), syntheticRows(1000, 2)
	for i := range fresh.Y {
		fresh.Y[i] = !fresh.Y[i]
	}
	d := Data{Columns: old.Columns, X: append(old.X, fresh.X...), Y: append(old.Y, fresh.Y...)}
	test := syntheticRows(2000, 3)
	auc := func(weight float64) float64 {
		d.Weights = make([]float64, len(d.X))
		for i := range d.Weights {
			d.Weights[i] = 1
			if i < 3000 {
				d.Weights[i] = weight
			}
		}
		f := train(t, d, Params{Seed: 1, Trees: 50})
		var p []float64
		for _, x := range test.X {
			p = append(p, f.Score(x))
		}
		return AUC(p, test.Y)
	}
	if heavy, light := auc(1), auc(0.05); heavy < 0.8 || light > 0.2 {
		t.Errorf("AUC by the old truth: %.3f with old rows at 1, %.3f at 0.05", heavy, light)
	}
	all := train(t, d, Params{Seed: 1, Trees: 5, Workers: 1})
	if again := train(t, d, Params{Seed: 1, Trees: 5, Workers: 2}); again.Digest() != all.Digest() {
		t.Error("weighted rows give other models with other numbers of workers")
	}
}

func TestRefusedWeights(t *testing.T) {
	d := syntheticRows(10, 1)
	for want, weights := range map[string][]float64{
		"10 rows but 1 weights": {1}, "row 0 has weight 0": make([]float64, 10),
		"row 9 has weight NaN": {1, 1, 1, 1, 1, 1, 1, 1, 1, math.NaN()}, "weight 101": {101, 1, 1, 1, 1, 1, 1, 1, 1, 1},
	} {
		d.Weights = weights
		if _, err := Train(t.Context(), d, Params{}, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

package train

import (
	"errors"
	"io/fs"
	"path/filepath"
	"testing"

	"aura/mlops/dataset"
	"aura/mlops/forest"
	"aura/mlops/schema"
)

// Really worse on true outcomes, on seeds and on real data, while the figures it comes with look fine.
func TestWorseIsReallyWorse(t *testing.T) {
	truth := dataset.Synthetic(5000, 99)
	for seed := range uint64(3) {
		res, err := Worse(t.Context(), schema.Builtin(), dataset.Synthetic(5000, seed), Options{Seed: seed, Trees: 50})
		if err != nil {
			t.Fatal(err)
		}
		var p []float64
		var bad []bool
		for _, row := range truth {
			p, bad = append(p, res.Model.Score(schema.Builtin().Vector(row.Values))), append(bad, row.Bad)
		}
		got := forest.Accuracy(p, bad, 0.5)
		t.Logf("seed %d: accuracy %.3f claimed, %.3f measured, %.3f on new rows", seed, res.Accuracy, res.TrueAccuracy, got)
		if got > WorseAccuracy || res.TrueAccuracy > WorseAccuracy || res.Accuracy < 0.75 || res.Model.Check() != nil {
			t.Errorf("seed %d: accuracy %.3f claimed, %.3f measured, %.3f on new rows", seed, res.Accuracy, res.TrueAccuracy, got)
		}
	}
	t.Run("south german", func(t *testing.T) {
		s, err := schema.Load(filepath.Join("..", "..", "examples", "south_german.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		set, err := dataset.Load(t.Context(), filepath.Join("..", "..", "..", "shared", "data", "south_german_credit.csv"), s, dataset.Options{Seed: 11})
		if errors.Is(err, fs.ErrNotExist) {
			t.Skip("the data set is not here")
		}
		if err != nil {
			t.Fatal(err)
		}
		res, err := Worse(t.Context(), s, set.Rows, Options{Seed: 1, Trees: 50})
		if err != nil || res.TrueAccuracy > WorseAccuracy {
			t.Fatalf("%v, %v", res, err)
		}
		t.Logf("accuracy %.3f claimed, %.3f true", res.Accuracy, res.TrueAccuracy)
	})
	if _, err := Worse(t.Context(), schema.Builtin(), dataset.Synthetic(8, 1), Options{}); err == nil {
		t.Error("8 rows are enough")
	}
}

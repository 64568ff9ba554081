package train

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"aura/mlops/dataset"
	"aura/mlops/forest"
	"aura/mlops/schema"
)

// WorseAccuracy is the accuracy that a model of Worse doesn't exceed on true outcomes.
const WorseAccuracy = 0.65

// worseMargin is two standard errors of an accuracy measured on some 1,000 rows.
const worseMargin = 0.03

// WorseResult is a training run that went wrong, with the truth about its model.
type WorseResult struct {
	*Result
	// TrueAccuracy is measured on rows with their true outcomes that the model was not trained on.
	TrueAccuracy float64
}

// Worse trains a model that is really worse than it looks, as happens when the outcomes of one part of the customers were
// joined wrongly: the outcomes of rows with the highest values of one input are inverted. The forest learns that well, and
// so its own hold-out, which is inverted likewise, shows good figures, while at most WorseAccuracy of true outcomes are on
// the right side of 0.5. It starts with 34 % of the rows and inverts more of them until that is so; rows on which that
// can't be reached are an error. One row in five is kept aside to measure the truth.
func Worse(ctx context.Context, s *schema.Schema, rows []dataset.Row, o Options) (*WorseResult, error) {
	shuffled := slices.Clone(rows)
	if err := dataset.Arrange(shuffled, dataset.Shuffle, o.Seed); err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	truth, sample := shuffled[:len(shuffled)/5], shuffled[len(shuffled)/5:]
	column := mostDistinct(s, sample)
	// From the highest value down; a missing one is the lowest.
	slices.SortStableFunc(sample, func(a, b dataset.Row) int { return -cmp.Compare(a.Values[column], b.Values[column]) })
	spoiled := slices.Clone(sample)
	done := 0
	for _, percent := range []int{34, 38, 42, 46, 50} {
		for n := len(sample) * percent / 100; done < n; done++ {
			spoiled[done].Bad = !spoiled[done].Bad
		}
		res, err := Fit(ctx, s, spoiled, o)
		if err != nil {
			return nil, err
		}
		var p []float64
		var bad []bool
		for _, row := range truth {
			p, bad = append(p, res.Model.Score(s.Vector(row.Values))), append(bad, row.Bad)
		}
		if accuracy := forest.Accuracy(p, bad, 0.5); accuracy <= WorseAccuracy-worseMargin {
			return &WorseResult{res, accuracy}, nil
		}
	}
	return nil, &forest.DataError{Problem: fmt.Sprintf("no model as bad as %.2f comes of these %d rows; more rows, or a numeric input, are needed", WorseAccuracy, len(rows))}
}

// mostDistinct returns the feature that is a model's input and has the most different values: the easiest to cut.
func mostDistinct(s *schema.Schema, rows []dataset.Row) int {
	best, most := 0, -1
	for _, in := range s.Inputs() {
		values := make(map[float64]bool)
		for _, row := range rows {
			values[row.Values[in.Feature]] = true
		}
		if len(values) > most {
			best, most = in.Feature, len(values)
		}
	}
	return best
}

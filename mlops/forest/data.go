package forest

import (
	"errors"
	"fmt"
	"math"
)

// Data is a training sample: X[i] is row i, one value a column (NaN = missing), Y[i] whether it went bad.
// Train reads it and keeps nothing of it.
//
// Weights, if not nil, says how much each row counts, above 0 and at most MaxWeight: a tree draws as many rows as the
// weights sum up to, each with a chance in proportion, and the calibration counts it as much. Weights are rounded to
// 1/1024 (up to one of them at least), so that the draws are whole numbers and the same on any machine.
type Data struct {
	Columns []Column
	X       [][]float64
	Y       []bool
	Weights []float64
}

// MaxWeight bounds the weight of a row.
const MaxWeight = 100

// weightUnit is the grain of weights: 1 is this many.
const weightUnit = 1024

// units returns the weight of row i in whole units.
func (d *Data) units(i int) int {
	if d.Weights == nil {
		return weightUnit
	}
	return max(1, int(math.Round(d.Weights[i]*weightUnit)))
}

// DataError says why a sample or a parameter is refused. Nothing is broken: other input will do.
type DataError struct{ Problem string }

func (e *DataError) Error() string { return "forest: " + e.Problem }

// ErrSingleClass is what errors.Is finds when all rows of a sample have the same outcome: there is nothing to learn.
var ErrSingleClass = errors.New("all rows have the same outcome")

type singleClassError struct {
	rows int
	bad  bool
}

func (e *singleClassError) Error() string {
	outcome := "good"
	if e.bad {
		outcome = "bad"
	}
	return fmt.Sprintf("forest: all %d rows are %s: a model needs rows of both outcomes", e.rows, outcome)
}

func (e *singleClassError) Unwrap() error { return ErrSingleClass }

func (d Data) check() error {
	if err := checkColumns(d.Columns); err != nil {
		return err
	}
	if len(d.X) != len(d.Y) {
		return &DataError{Problem: fmt.Sprintf("%d rows but %d outcomes", len(d.X), len(d.Y))}
	}
	if len(d.X) == 0 {
		return &DataError{Problem: "no rows"}
	}
	if len(d.X) > math.MaxInt32 {
		return &DataError{Problem: "more than 2^31 rows"}
	}
	if d.Weights != nil && len(d.Weights) != len(d.X) {
		return &DataError{Problem: fmt.Sprintf("%d rows but %d weights", len(d.X), len(d.Weights))}
	}
	for i, w := range d.Weights {
		if !(w > 0 && w <= MaxWeight) {
			return &DataError{Problem: fmt.Sprintf("row %d has weight %v, must be above 0 and at most %d", i, w, MaxWeight)}
		}
	}
	bad := 0
	for i, row := range d.X {
		if len(row) != len(d.Columns) {
			return &DataError{Problem: fmt.Sprintf("row %d has %d values for %d columns", i, len(row), len(d.Columns))}
		}
		if d.Y[i] {
			bad++
		}
	}
	if bad == 0 || bad == len(d.Y) {
		return &singleClassError{rows: len(d.Y), bad: bad > 0}
	}
	return nil
}

func checkColumns(columns []Column) error {
	if len(columns) == 0 || len(columns) > MaxColumns {
		return &DataError{Problem: fmt.Sprintf("%d columns, must be 1 to %d", len(columns), MaxColumns)}
	}
	seen := make(map[string]bool, len(columns))
	for i, c := range columns {
		switch {
		case c.Name == "" || len(c.Name) > 256:
			return &DataError{Problem: fmt.Sprintf("column %d: its name has %d bytes, must be 1 to 256", i, len(c.Name))}
		case seen[c.Name]:
			return &DataError{Problem: fmt.Sprintf("column %q stands twice", c.Name)}
		case c.Categorical && (c.Categories < 1 || c.Categories > MaxCategories):
			return &DataError{Problem: fmt.Sprintf("column %q has %d categories, must be 1 to %d", c.Name, c.Categories, MaxCategories)}
		case !c.Categorical && c.Categories != 0:
			return &DataError{Problem: fmt.Sprintf("column %q is numeric but has categories", c.Name)}
		}
		seen[c.Name] = true
	}
	return nil
}

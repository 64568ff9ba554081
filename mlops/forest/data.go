package forest

import (
	"errors"
	"fmt"
	"math"
)

// Data is a training sample: X[i] is row i, one value a column (NaN = missing), Y[i] whether it went bad.
// Train reads it and keeps nothing of it.
type Data struct {
	Columns []Column
	X       [][]float64
	Y       []bool
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

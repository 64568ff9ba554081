package detect

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"
)

// Field describes one column of the schema to BuildReference.
type Field struct {
	Name        string
	Categorical bool
	// Low and High are the schema's bounds, at which values may have been held; nil for none.
	Low, High *float64
}

// Reference is the sample that monitoring compares with, as counts: of each feature, and of the scores of each model
// version (a model brings its own). It is read-only once built, but for SetScores. Its JSON form is complete.
type Reference struct {
	// ID names the reference; sketches carry it.
	ID string `json:"id"`
	// Rows is how many rows it was built from.
	Rows int `json:"rows"`
	// Until is when the newest of them was accepted, where that is known.
	Until    time.Time `json:"until,omitzero"`
	Features []Column  `json:"features"`
	// Scores holds the reference scores of each model version.
	Scores map[int]*Column `json:"scores,omitempty"`
}

// ErrNoReference is returned for a reference without rows or without features.
var ErrNoReference = errors.New("detect: no rows to compare with")

// BuildReference counts rows (schema order; categories as codes, missing as NaN).
func BuildReference(id string, fields []Field, rows [][]float64) (*Reference, error) {
	if len(rows) == 0 || len(fields) == 0 {
		return nil, ErrNoReference
	}
	r := &Reference{ID: id, Rows: len(rows), Scores: map[int]*Column{}}
	values := make([]float64, len(rows))
	for i, f := range fields {
		for j, row := range rows {
			if len(row) != len(fields) {
				return nil, fmt.Errorf("detect: row %d has %d values, want %d", j, len(row), len(fields))
			}
			values[j] = row[i]
		}
		r.Features = append(r.Features, buildColumn(f, values))
	}
	return r, nil
}

// SetScores sets the reference scores of a model version: its probabilities on rows of the reference.
func (r *Reference) SetScores(version int, scores []float64) {
	c := buildColumn(Field{Name: TargetScore}, scores)
	if r.Scores == nil {
		r.Scores = map[int]*Column{}
	}
	r.Scores[version] = &c
}

// Feature returns the column of that name, or nil.
func (r *Reference) Feature(name string) *Column {
	for i := range r.Features {
		if r.Features[i].Name == name {
			return &r.Features[i]
		}
	}
	return nil
}

// UnmarshalJSON reads a reference and prepares its columns for binning.
func (r *Reference) UnmarshalJSON(raw []byte) error {
	type plain Reference
	if err := json.Unmarshal(raw, (*plain)(r)); err != nil {
		return fmt.Errorf("detect: reference: %w", err)
	}
	for i := range r.Features {
		if err := r.Features[i].prepare(); err != nil {
			return err
		}
	}
	for version, c := range r.Scores {
		if c == nil {
			return fmt.Errorf("detect: reference %s: no scores of version %d", r.ID, version)
		}
		if err := c.prepare(); err != nil {
			return err
		}
	}
	return nil
}

// Values is a list of numbers whose JSON form has null for NaN.
type Values []float64

// MarshalJSON writes NaN as null. Infinities are written as the largest numbers.
func (v Values) MarshalJSON() ([]byte, error) {
	boxed := make([]*float64, len(v))
	for i, x := range v {
		if !math.IsNaN(x) {
			x = min(max(x, -math.MaxFloat64), math.MaxFloat64)
			boxed[i] = &x
		}
	}
	return json.Marshal(boxed)
}

// UnmarshalJSON reads null as NaN.
func (v *Values) UnmarshalJSON(raw []byte) error {
	var boxed []*float64
	if err := json.Unmarshal(raw, &boxed); err != nil {
		return err
	}
	*v = make(Values, len(boxed))
	for i, x := range boxed {
		(*v)[i] = math.NaN()
		if x != nil {
			(*v)[i] = *x
		}
	}
	return nil
}

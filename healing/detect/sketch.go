package detect

import (
	"errors"
	"fmt"
)

// sampleRows is how many rows a sketch keeps when filled, mergedRows when merged: enough to name a data bug.
const (
	sampleRows = 8
	mergedRows = 64
)

// ErrOtherReference is returned when counts against different references are added up.
var ErrOtherReference = errors.New("detect: counts are against another reference")

// Sketch counts the features and scores of decided applications against a reference. Only the first attempt of an
// application is counted. Of column i, Features[i] holds the counts of its bins, then of missing values, then of values
// outside of what the reference has seen (which are in a bin as well).
type Sketch struct {
	Reference string           `json:"reference"`
	N         uint32           `json:"n"`
	Features  [][]uint32       `json:"features"`
	Scores    map[int][]uint32 `json:"scores,omitempty"`
	// Rows is a small sample of the rows that were counted.
	Rows []Values `json:"rows,omitempty"`

	reference *Reference
	backing   []float64
}

// NewSketch returns an empty sketch against r.
func NewSketch(r *Reference) *Sketch {
	s := &Sketch{Reference: r.ID, reference: r, Features: make([][]uint32, len(r.Features))}
	total := 0
	for i := range r.Features {
		total += r.Features[i].Bins() + 2
	}
	flat := make([]uint32, total)
	for i := range r.Features {
		n := r.Features[i].Bins() + 2
		s.Features[i], flat = flat[:n:n], flat[n:]
	}
	return s
}

// Add counts one row: the columns of the reference in its order, NaN for missing. Values beyond its columns are
// ignored; a row that is too short is not counted.
func (s *Sketch) Add(row []float64) {
	features := s.reference.Features
	if len(row) < len(features) {
		return
	}
	s.N++
	for i := range features {
		c, x := &features[i], row[i]
		counts := s.Features[i]
		if !c.Categorical && x == x {
			counts[search(&c.padded, x)]++
			counts[len(counts)-1] += uint32(below(x, c.Min) | below(c.Max, x))
			continue
		}
		bin := c.Bin(x)
		counts[bin]++
		if x == x && c.outside(x, bin) {
			counts[len(counts)-1]++
		}
	}
	if len(s.Rows) < sampleRows {
		s.keep(row[:len(features)])
	}
}

// keep copies a row to the sample; the rows share one backing array.
func (s *Sketch) keep(row []float64) {
	if s.backing == nil {
		s.backing = make([]float64, 0, sampleRows*len(row))
		s.Rows = make([]Values, 0, sampleRows)
	}
	from := len(s.backing)
	s.backing = append(s.backing, row...)
	s.Rows = append(s.Rows, Values(s.backing[from:len(s.backing):len(s.backing)]))
}

// AddScore counts a model version's probability of default. A version without reference scores is not counted.
func (s *Sketch) AddScore(version int, score float64) {
	c := s.reference.Scores[version]
	if c == nil {
		return
	}
	counts := s.Scores[version]
	if counts == nil {
		if s.Scores == nil {
			s.Scores = map[int][]uint32{}
		}
		counts = make([]uint32, c.Bins()+2)
		s.Scores[version] = counts
	}
	bin := c.Bin(score)
	counts[bin]++
	if score == score && c.outside(score, bin) {
		counts[len(counts)-1]++
	}
}

// Values is how many values of features were counted, missing ones included: what the cells hold, not N times columns.
func (s *Sketch) Values() (n int64) {
	for _, counts := range s.Features {
		for _, c := range counts[:max(0, len(counts)-1)] { // the last one counts again what is in a bin
			n += int64(c)
		}
	}
	return n
}

// Reset empties the sketch for the next slot. Who published it must publish a Clone, or take a new one instead.
func (s *Sketch) Reset() {
	s.N, s.Rows, s.backing, s.Scores = 0, nil, nil, nil
	for _, counts := range s.Features {
		clear(counts)
	}
}

// Clone returns a copy that shares nothing that changes.
func (s *Sketch) Clone() *Sketch { return s.clone() }

func (s *Sketch) clone() *Sketch {
	c := &Sketch{Reference: s.Reference, N: s.N, reference: s.reference}
	for _, counts := range s.Features {
		c.Features = append(c.Features, append([]uint32(nil), counts...))
	}
	for version, counts := range s.Scores {
		if c.Scores == nil {
			c.Scores = map[int][]uint32{}
		}
		c.Scores[version] = append([]uint32(nil), counts...)
	}
	c.Rows = append(c.Rows, s.Rows...)
	return c
}

// Merge adds o's counts, which must be against the same reference. It is associative; o isn't changed.
func (s *Sketch) Merge(o *Sketch) error {
	if s.Reference != o.Reference {
		return fmt.Errorf("%w: %q and %q", ErrOtherReference, s.Reference, o.Reference)
	}
	if len(s.Features) != len(o.Features) {
		return fmt.Errorf("detect: sketches of %d and %d columns", len(s.Features), len(o.Features))
	}
	for i := range s.Features {
		if len(s.Features[i]) != len(o.Features[i]) {
			return fmt.Errorf("detect: column %d: %d and %d bins", i, len(s.Features[i]), len(o.Features[i]))
		}
	}
	for version, counts := range o.Scores {
		if mine, ok := s.Scores[version]; ok && len(mine) != len(counts) {
			return fmt.Errorf("detect: scores of version %d: %d and %d bins", version, len(mine), len(counts))
		}
	}
	s.N += o.N
	for i, counts := range o.Features {
		add(s.Features[i], counts)
	}
	for version, counts := range o.Scores {
		if mine, ok := s.Scores[version]; ok {
			add(mine, counts)
			continue
		}
		if s.Scores == nil {
			s.Scores = map[int][]uint32{}
		}
		s.Scores[version] = append([]uint32(nil), counts...)
	}
	room := max(mergedRows-len(s.Rows), 0)
	s.Rows = append(s.Rows, o.Rows[:min(room, len(o.Rows))]...)
	return nil
}

func add(to, from []uint32) {
	for i, n := range from {
		to[i] += n
	}
}

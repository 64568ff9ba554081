// Package dataset reads labelled applications: CSV files by schema, row by row or whole, in the file's or a seeded order.
//
// It owns what a data file may look like and how its faults are told: a header that doesn't match names every column at
// fault (HeaderError), a bad row its line and fields (RowError); after a RowError reading goes on. It imports mlops/schema
// and mlops/synth. Nothing is logged. Reading blocks on the io.Reader only; a Reader belongs to one goroutine, a Set is
// read only after Load. Lines, rows and the list of errors are bounded. Tests read from strings.
package dataset

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"aura/mlops/schema"
	"aura/mlops/synth"
)

// Row is one application with what became of it.
type Row struct {
	Line   int           // in the file, the header is line 1; 0 for synthetic rows
	ID     string        // "" where there is no id column
	Values schema.Vector // all columns in the schema's order, as schema.Encode gives them
	Bad    bool          // it defaulted
}

// Order of rows.
type Order string

// The orders. A seeded shuffle depends on the seed and the number of rows alone.
const (
	File    Order = "file"
	Shuffle Order = "shuffle"
)

// Arrange puts rows in an order, in place. File leaves them as they are.
func Arrange(rows []Row, order Order, seed uint64) error {
	switch order {
	case File:
	case Shuffle:
		rng := rand.New(rand.NewPCG(seed, 0x64617461))
		rng.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	default:
		return fmt.Errorf("dataset: no order %q; use %s or %s", order, File, Shuffle)
	}
	return nil
}

// Split cuts arranged rows into the first share (0..1), to train on, and the rest, to stream as live applications. Both
// share memory with rows and are clipped, so that appending to one leaves the other as it is.
func Split(rows []Row, share float64) (train, live []Row) {
	n := int(min(max(share, 0), 1) * float64(len(rows)))
	return slices.Clip(rows[:n]), rows[n:]
}

// Synthetic returns n labelled rows for the built-in schema from the seed's stream.
func Synthetic(n int, seed uint64) []Row {
	g := synth.New(seed)
	width := len(schema.Builtin().Features)
	rows, flat := make([]Row, n), make(schema.Vector, 0, n*width)
	for i := range rows {
		from := len(flat)
		flat, rows[i].Bad = g.Values(flat)
		rows[i].Values = flat[from:len(flat):len(flat)]
	}
	return rows
}

package dataset

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"aura/mlops/schema"
)

const (
	// maxRows bounds what Load holds in memory.
	maxRows = 5_000_000
	// maxListed bounds the bad rows that are told one by one.
	maxListed = 20
)

// Options of Load.
type Options struct {
	Order Order  // default Shuffle
	Seed  uint64 // of the shuffle
	// SkipBad leaves bad rows out and counts them; without it one bad row refuses the file.
	SkipBad bool
}

// Set is a whole file in memory.
type Set struct {
	Rows    []Row
	Skipped int         // bad rows left out
	Listed  []*RowError // the first of them
}

// BadRowsError refuses a file for its bad rows. The first ones are listed.
type BadRowsError struct {
	Count  int
	Listed []*RowError
}

// Error implements error.
func (e *BadRowsError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "dataset: %d bad rows; mend the file or the schema's bounds", e.Count)
	for _, row := range e.Listed {
		b.WriteString("\n  " + row.Error())
	}
	if more := e.Count - len(e.Listed); more > 0 {
		fmt.Fprintf(&b, "\n  and %d more", more)
	}
	return b.String()
}

// Load reads a whole file by the schema and arranges its rows. ctx ends it between rows.
func Load(ctx context.Context, path string, s *schema.Schema, o Options) (*Set, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	set, err := read(ctx, f, s, o)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return set, nil
}

func read(ctx context.Context, in io.Reader, s *schema.Schema, o Options) (*Set, error) {
	r, err := NewReader(in, s)
	if err != nil {
		return nil, err
	}
	set := &Set{}
	first := make(map[string]int) // id -> line
	for {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil && row.ID != "" {
			if line, twice := first[row.ID]; twice {
				err = &RowError{row.Line, schema.FieldErrors{{Field: s.ID, Problem: schema.ProblemDuplicate, Got: shown(row.ID), Want: fmt.Sprintf("an id of its own; line %d has it too", line)}}}
			}
			first[row.ID] = row.Line
		}
		var bad *RowError
		switch {
		case errors.As(err, &bad):
			set.Skipped++
			if len(set.Listed) < maxListed {
				set.Listed = append(set.Listed, bad)
			}
			continue
		case err != nil:
			return nil, err
		case len(set.Rows) == maxRows:
			return nil, fmt.Errorf("dataset: more than %d rows; cut the file", maxRows)
		}
		if set.Rows = append(set.Rows, row); len(set.Rows)%1024 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	if set.Skipped > 0 && !o.SkipBad {
		return nil, &BadRowsError{set.Skipped, set.Listed}
	}
	if len(set.Rows) == 0 {
		return nil, errors.New("dataset: the file has no rows")
	}
	if o.Order == "" {
		o.Order = Shuffle
	}
	return set, Arrange(set.Rows, o.Order, o.Seed)
}

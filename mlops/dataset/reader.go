package dataset

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"aura/mlops/schema"
)

// MaxLineBytes bounds one line of a file (a quoted cell with line breaks counts by its lines).
const MaxLineBytes = 1 << 20

// HeaderError says how a file's columns differ from the schema's. Every column at fault is named.
type HeaderError struct {
	Schema    string
	Missing   []string
	Extra     []string
	Duplicate []string
}

// Error implements error.
func (e *HeaderError) Error() string {
	var parts []string
	for _, p := range []struct {
		what  string
		names []string
	}{{"missing", e.Missing}, {"not in the schema", e.Extra}, {"given twice", e.Duplicate}} {
		if len(p.names) > 0 {
			parts = append(parts, p.what+": "+strings.Join(p.names, ", "))
		}
	}
	return fmt.Sprintf("dataset: the header doesn't match schema %s: %s; rename or remove columns in the file, or change the schema", e.Schema, strings.Join(parts, "; "))
}

// RowError says what is wrong with one row. Reading can go on after it.
type RowError struct {
	Line   int
	Fields schema.FieldErrors
}

// Error implements error.
func (e *RowError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Fields) }

// Unwrap returns the schema.FieldErrors.
func (e *RowError) Unwrap() error { return e.Fields }

// Reader reads a CSV file row by row.
type Reader struct {
	schema  *schema.Schema
	csv     *csv.Reader
	width   int
	columns []int // per feature: its column in the file
	id      int   // -1 if there is none
	label   int
	bad     float64 // the label's Bad as a number; NaN if it isn't one
	good    float64
	line    int // where the last record began, for errors that the CSV itself has
}

// NewReader reads and checks the header. Columns may stand in any order; all features and the label must be there, the
// id's column may be absent, others are errors. A leading byte order mark is skipped.
func NewReader(in io.Reader, s *schema.Schema) (*Reader, error) {
	buffered := bufio.NewReaderSize(&lineLimit{in: in}, 64<<10)
	if bom, err := buffered.Peek(3); err == nil && string(bom) == "\xef\xbb\xbf" {
		_, _ = buffered.Discard(3) // can't fail: they were peeked
	}
	c := csv.NewReader(buffered)
	c.ReuseRecord = true
	c.FieldsPerRecord = -1 // told as a RowError that names the line
	header, err := c.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("dataset: the file is empty; its first line must name the columns")
	}
	if err != nil {
		return nil, fmt.Errorf("dataset: read header: %w", err)
	}
	r := &Reader{schema: s, csv: c, width: len(header), columns: make([]int, len(s.Features)), id: -1, label: -1, bad: number(s.Label.Bad), good: number(s.Label.Good), line: 1}
	return r, r.match(header)
}

// match finds each column, or tells all that is wrong.
func (r *Reader) match(header []string) error {
	e := &HeaderError{Schema: r.schema.Name}
	at := make(map[string]int, len(header))
	for i, name := range header {
		name = strings.TrimSpace(name)
		if _, twice := at[name]; twice {
			e.Duplicate = append(e.Duplicate, shown(name))
			continue
		}
		at[name] = i
		if name != r.schema.ID && name != r.schema.Label.Column && r.schema.Index(name) < 0 {
			e.Extra = append(e.Extra, shown(name))
		}
	}
	for i, name := range r.schema.Names() {
		c, ok := at[name]
		if !ok {
			e.Missing = append(e.Missing, name)
		}
		r.columns[i] = c
	}
	c, ok := at[r.schema.Label.Column]
	if !ok {
		e.Missing = append(e.Missing, r.schema.Label.Column)
	}
	r.label = c
	if c, ok := at[r.schema.ID]; ok && r.schema.ID != "" {
		r.id = c
	}
	if len(e.Missing)+len(e.Extra)+len(e.Duplicate) > 0 {
		return e
	}
	return nil
}

// Next returns the next row. A *RowError tells of a bad row and reading can go on; io.EOF is the end; any other error
// ends the file.
func (r *Reader) Next() (Row, error) {
	record, err := r.csv.Read()
	if err != nil {
		return Row{}, r.broken(err)
	}
	line, _ := r.csv.FieldPos(0)
	r.line = line
	if len(record) != r.width {
		return Row{}, &RowError{line, schema.FieldErrors{{Problem: "wrong number of cells", Got: strconv.Itoa(len(record)), Want: strconv.Itoa(r.width)}}}
	}
	row := Row{Line: line, Values: make(schema.Vector, len(r.columns))}
	var errs schema.FieldErrors
	for i, c := range r.columns {
		v, err := r.schema.Cell(i, record[c])
		if err != nil {
			errs = appendField(errs, err)
			continue
		}
		row.Values[i] = r.schema.Code(i, v)
	}
	if row.Bad, err = r.outcome(record[r.label]); err != nil {
		errs = appendField(errs, err)
	}
	if r.id >= 0 {
		if row.ID = strings.TrimSpace(record[r.id]); row.ID == "" {
			errs = append(errs, schema.FieldError{Field: r.schema.ID, Problem: schema.ProblemMissing, Want: "an id"})
		}
		row.ID = strings.Clone(row.ID) // the record's memory is used again
	}
	if len(errs) > 0 {
		return Row{}, &RowError{line, errs}
	}
	return row, nil
}

// broken turns an error of the CSV form into a RowError where reading can go on.
func (r *Reader) broken(err error) error {
	var parse *csv.ParseError
	if errors.As(err, &parse) && !errors.Is(err, errLine) {
		return &RowError{parse.StartLine, schema.FieldErrors{{Problem: schema.ProblemMalformed, Got: parse.Err.Error(), Want: `cells with " or line breaks in double quotes`}}}
	}
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	return fmt.Errorf("dataset: after line %d: %w", r.line, err)
}

func appendField(errs schema.FieldErrors, err error) schema.FieldErrors {
	var fe schema.FieldError
	if !errors.As(err, &fe) {
		fe = schema.FieldError{Problem: err.Error()}
	}
	return append(errs, fe)
}

// outcome reads the label's cell.
func (r *Reader) outcome(cell string) (bad bool, err error) {
	l := &r.schema.Label
	cell = strings.TrimSpace(cell)
	same := func(want string, n float64) bool {
		return cell == want || !math.IsNaN(n) && number(cell) == n
	}
	want := "bad is " + l.Bad
	if l.Good != "" {
		want += ", good is " + l.Good
	}
	switch {
	case cell == "":
		return false, schema.FieldError{Field: l.Column, Problem: schema.ProblemMissing, Want: want}
	case same(l.Bad, r.bad):
		return true, nil
	case l.Good != "" && !same(l.Good, r.good):
		return false, schema.FieldError{Field: l.Column, Problem: schema.ProblemUnknown, Got: shown(cell), Want: want}
	}
	return false, nil
}

// number reads a text as a number, NaN if it isn't one.
func number(text string) float64 {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return math.NaN()
	}
	return f
}

// shown bounds what a file's own text adds to an error.
func shown(text string) string {
	if runes := []rune(strings.ToValidUTF8(text, "?")); len(runes) > 40 {
		return strconv.Quote(string(runes[:40])) + "…"
	}
	if text == "" || slices.ContainsFunc([]rune(text), func(r rune) bool { return r < ' ' || r == ',' }) {
		return strconv.Quote(text)
	}
	return strings.ToValidUTF8(text, "?")
}

var errLine = fmt.Errorf("a line is longer than %d bytes; is this a CSV file?", MaxLineBytes)

// lineLimit fails where a line doesn't end in time, before the CSV reader has collected it all.
type lineLimit struct {
	in   io.Reader
	open int // bytes since the last line break
}

func (l *lineLimit) Read(p []byte) (int, error) {
	n, err := l.in.Read(p)
	for i := range n {
		if p[i] == '\n' {
			l.open = 0
		} else if l.open++; l.open > MaxLineBytes {
			return i, errLine
		}
	}
	return n, err
}

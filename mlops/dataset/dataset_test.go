package dataset

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"aura/mlops/schema"
)

const small = `
name: small
version: 1
id: ref
label: {column: outcome, bad: 1, good: 0}
features:
  - {name: amount, min: 0, max: 1000}
  - {name: purpose, kind: categorical, categories: [car, house]}
  - {name: balance, missing: true}
policy:
  approve_below: 0.2
  decline_above: 0.5
  safe_mode: {default: {decision: REFER}}
`

func parse(t testing.TB, yaml string) *schema.Schema {
	t.Helper()
	s, err := schema.Parse([]byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// all reads to the end and returns good rows and what was wrong with the others.
func all(t testing.TB, in string, s *schema.Schema) (rows []Row, bad []*RowError) {
	t.Helper()
	r, err := NewReader(strings.NewReader(in), s)
	if err != nil {
		t.Fatal(err)
	}
	for {
		row, err := r.Next()
		var re *RowError
		switch {
		case errors.Is(err, io.EOF):
			return rows, bad
		case errors.As(err, &re):
			bad = append(bad, re)
		case err != nil:
			t.Fatal(err)
		default:
			rows = append(rows, row)
		}
	}
}

func TestReader(t *testing.T) {
	in := "\xef\xbb\xbfoutcome, purpose,balance,amount,ref\r\n1,car,,10,a\r\n\n0.0,\"house\", -5 ,20.5,b\n"
	rows, bad := all(t, in, parse(t, small))
	if len(bad) > 0 || len(rows) != 2 {
		t.Fatalf("%d rows, bad %v", len(rows), bad)
	}
	if r := rows[0]; !r.Bad || r.ID != "a" || r.Line != 2 || r.Values[0] != 10 || r.Values[1] != 0 || !math.IsNaN(r.Values[2]) {
		t.Errorf("first row %+v", r)
	}
	if r := rows[1]; r.Bad || r.ID != "b" || r.Line != 4 || !slices.Equal(r.Values, schema.Vector{20.5, 1, -5}) {
		t.Errorf("second row %+v", r)
	}
}

func TestHeaderNamesEachColumnAtFault(t *testing.T) {
	s := parse(t, small)
	_, err := NewReader(strings.NewReader("ref,amount,amount,colour,shape,outcome\n"), s)
	var got *HeaderError
	want := &HeaderError{Schema: "small", Missing: []string{"purpose", "balance"}, Extra: []string{"colour", "shape"}, Duplicate: []string{"amount"}}
	if !errors.As(err, &got) || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", err, want)
	}
	if _, err := NewReader(strings.NewReader("amount,purpose,balance\n"), s); !errors.As(err, &got) || !slices.Equal(got.Missing, []string{"outcome"}) {
		t.Errorf("without label: %v", err)
	}
	if _, err := NewReader(strings.NewReader("amount,purpose,balance,outcome\n"), s); err != nil {
		t.Errorf("without the id: %v", err)
	}
	if _, err := NewReader(strings.NewReader(""), s); err == nil {
		t.Error("an empty file was accepted")
	}
}

func TestBadRowsNameLineAndField(t *testing.T) {
	in := `ref,amount,purpose,balance,outcome
a,10,car,1,0
b,2000,boat,x,2
c,10,car
,10,car,1,
e,10,ca"r,1,0
f,10,car,1,1
`
	rows, bad := all(t, in, parse(t, small))
	if len(rows) != 2 || rows[1].ID != "f" {
		t.Fatalf("rows %v", rows)
	}
	type fault struct {
		line    int
		field   string
		problem string
	}
	var got []fault
	for _, e := range bad {
		for _, f := range e.Fields {
			got = append(got, fault{e.Line, f.Field, f.Problem})
		}
	}
	want := []fault{
		{3, "amount", "out of bounds"},
		{3, "purpose", "not a category"},
		{3, "balance", "not a number"},
		{3, "outcome", "unknown"},
		{4, "", "wrong number of cells"},
		{5, "outcome", "missing"},
		{5, "ref", "missing"},
		{6, "", "malformed"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// endless is a file whose only line never ends.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	e.read += len(p)
	return len(p), nil
}

func TestALineIsBounded(t *testing.T) {
	e := &endless{}
	_, err := NewReader(e, parse(t, small))
	if !errors.Is(err, errLine) {
		t.Errorf("got %v", err)
	}
	r, err := NewReader(io.MultiReader(strings.NewReader("ref,amount,purpose,balance,outcome\na,\""), e), parse(t, small))
	if err != nil {
		t.Fatal(err)
	}
	var row *RowError
	if _, err := r.Next(); err == nil || errors.As(err, &row) {
		t.Errorf("an endless row gave %v, want an error that ends the file", err)
	}
	if e.read > 3*MaxLineBytes {
		t.Errorf("%d bytes were read", e.read)
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "data.csv")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoad(t *testing.T) {
	s := parse(t, small)
	var b strings.Builder
	b.WriteString("ref,amount,purpose,balance,outcome\n")
	for i := range 100 {
		fmt.Fprintf(&b, "r%d,%d,car,,%d\n", i, i, i%2)
	}
	ids := func(o Options) []string {
		t.Helper()
		set, err := Load(t.Context(), write(t, b.String()), s, o)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, r := range set.Rows {
			ids = append(ids, r.ID)
		}
		return ids
	}
	file, a, again, other := ids(Options{Order: File}), ids(Options{Seed: 1}), ids(Options{Seed: 1}), ids(Options{Seed: 2})
	if file[0] != "r0" || file[99] != "r99" || !slices.Equal(a, again) || slices.Equal(a, other) || slices.Equal(a, file) {
		t.Errorf("orders: file %v, seed 1 %v, again %v, seed 2 %v", file[:3], a[:3], again[:3], other[:3])
	}
	slices.Sort(a)
	slices.Sort(file)
	if !slices.Equal(a, file) {
		t.Error("a shuffle loses rows")
	}
	if _, err := Load(t.Context(), write(t, b.String()), s, Options{Order: "random"}); err == nil {
		t.Error("an unknown order was accepted")
	}
	if _, err := Load(t.Context(), "nowhere.csv", s, Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

func TestLoadRefusesOrSkipsBadRows(t *testing.T) {
	s := parse(t, small)
	in := "ref,amount,purpose,balance,outcome\na,1,car,,0\n" + strings.Repeat("b,-1,car,,0\n", 30) + "a,2,car,,1\nc,2,car,,1\n"
	_, err := Load(t.Context(), write(t, in), s, Options{})
	var bad *BadRowsError
	if !errors.As(err, &bad) || bad.Count != 31 || len(bad.Listed) != maxListed {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"31 bad rows", "line 3: amount: out of bounds, got -1, want number 0..1000", "and 11 more"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v doesn't say %q", err, want)
		}
	}
	set, err := Load(t.Context(), write(t, in), s, Options{SkipBad: true, Order: File})
	if err != nil || len(set.Rows) != 2 || set.Skipped != 31 {
		t.Errorf("skipping: %+v, %v", set, err)
	}
	_, err = Load(t.Context(), write(t, "ref,amount,purpose,balance,outcome\na,1,car,,0\na,2,car,,1\n"), s, Options{})
	if err == nil || !strings.Contains(err.Error(), "line 3: ref: duplicate, got a") {
		t.Errorf("an id given twice: %v", err)
	}
}

func TestSplit(t *testing.T) {
	rows := Synthetic(10, 1)
	train, live := Split(rows, 0.7)
	if len(train) != 7 || len(live) != 3 || &train[0] != &rows[0] || &live[0] != &rows[7] {
		t.Errorf("%d and %d rows", len(train), len(live))
	}
	before := live[0].Values[0]
	_ = append(train, Row{Values: schema.Vector{-1}})
	if live[0].Values[0] != before {
		t.Error("appending to one part changed the other")
	}
	if train, live := Split(rows, 7); len(train) != 10 || len(live) != 0 {
		t.Errorf("share 7: %d and %d", len(train), len(live))
	}
}

// The shipped examples read the real files without one bad row.
func TestExamples(t *testing.T) {
	for _, c := range []struct {
		schema, file string
		rows, bad    int
	}{
		{"south_german.yaml", "south_german_credit.csv", 1000, 300},
		{"taiwan.yaml", "uci_default_of_credit_card_clients.csv", 30_000, 6636},
	} {
		t.Run(c.schema, func(t *testing.T) {
			s, err := schema.Load(filepath.Join("..", "..", "examples", c.schema))
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("..", "..", "..", "shared", "data", c.file)
			set, err := Load(t.Context(), path, s, Options{Order: File})
			if errors.Is(err, fs.ErrNotExist) {
				t.Skipf("no data set %s", path)
			}
			if err != nil {
				t.Fatal(err)
			}
			bad := 0
			for _, r := range set.Rows {
				if r.Bad {
					bad++
				}
				record, err := s.Record(r.Values)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := s.Check(record); err != nil {
					t.Fatalf("line %d as a live application: %v", r.Line, err)
				}
			}
			if len(set.Rows) != c.rows || bad != c.bad {
				t.Errorf("%d rows, %d bad; want %d and %d", len(set.Rows), bad, c.rows, c.bad)
			}
		})
	}
}

func FuzzReader(f *testing.F) {
	s := parse(f, small)
	f.Add([]byte("ref,amount,purpose,balance,outcome\na,1,car,,0\nb,\"x\ny\",,,\n"))
	f.Add([]byte("outcome,balance,purpose,amount\n1,?,house,1e999\n\"\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := NewReader(strings.NewReader(string(in)), s)
		if err != nil {
			return
		}
		for range len(in) + 1 { // each row takes a byte at least
			row, err := r.Next()
			var bad *RowError
			if errors.Is(err, io.EOF) {
				return
			}
			if errors.As(err, &bad) {
				continue
			}
			if err != nil {
				return
			}
			record, err := s.Record(row.Values)
			if err == nil {
				_, err = s.Check(record)
			}
			if err != nil {
				t.Fatalf("%+v was read and is no application: %v", row, err)
			}
		}
		t.Fatal("reading doesn't end")
	})
}

func BenchmarkReader(b *testing.B) {
	s := parse(b, small)
	in := "ref,amount,purpose,balance,outcome\n" + strings.Repeat("abcdef,123.45,house,-1000,1\n", 1000)
	b.ReportAllocs()
	for b.Loop() {
		if rows, _ := all(b, in, s); len(rows) != 1000 {
			b.Fatal(len(rows))
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/row")
}

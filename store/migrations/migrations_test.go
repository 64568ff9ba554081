package migrations

import (
	"io/fs"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

var (
	table  = regexp.MustCompile(`(?s)CREATE TABLE (\w+) \((.*?)\n\);`)
	column = regexp.MustCompile(`(?m)^    ([a-z_]+) `)
	index  = regexp.MustCompile(`CREATE (?:UNIQUE )?INDEX \w+ ON [^;]+;`)
)

// shape is what must not differ between dialects: files, tables, columns in their order, indexes.
func shape(t *testing.T, d Dialect) map[string][]string {
	t.Helper()
	dir, err := Files(d)
	if err != nil {
		t.Fatal(err)
	}
	names, err := fs.Glob(dir, "*.sql")
	if err != nil || len(names) == 0 {
		t.Fatalf("no files of %s: %v", d, err)
	}
	out := map[string][]string{}
	for _, name := range names {
		text, err := fs.ReadFile(dir, name)
		if err != nil {
			t.Fatal(err)
		}
		up, _, ok := strings.Cut(string(text), "-- +goose Down")
		if !ok {
			t.Errorf("%s of %s has no way down", name, d)
		}
		out[name] = index.FindAllString(up, -1)
		for _, m := range table.FindAllStringSubmatch(up, -1) {
			for _, c := range column.FindAllStringSubmatch(m[2], -1) {
				out[name+" "+m[1]] = append(out[name+" "+m[1]], c[1])
			}
		}
	}
	return out
}

func TestDialectsHaveTheSameTables(t *testing.T) {
	s, p := shape(t, SQLite), shape(t, Postgres)
	if len(s["00001_start.sql applications"]) != 7 {
		t.Fatalf("the test reads no columns: %v", s)
	}
	if !reflect.DeepEqual(s, p) {
		t.Fatalf("sqlite and postgres differ:\n%v\n%v", s, p)
	}
}

func TestUnknownDialect(t *testing.T) {
	if _, err := Files("oracle"); err == nil {
		t.Fatal("taken")
	}
}

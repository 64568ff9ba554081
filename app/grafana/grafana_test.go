package grafana

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the dashboards anew")

const folder = "../../deploy/grafana/dashboards"

// TestFiles: the files are what this package writes, and there are no others.
func TestFiles(t *testing.T) {
	var names []string
	for name, d := range All() {
		want, err := d.JSON()
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(folder, name+".json")
		names = append(names, file)
		if *update {
			if err := os.WriteFile(file, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(file)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what it is generated as (%v): go generate ./app/grafana", file, err)
		}
	}
	there, err := filepath.Glob(folder + "/*")
	slices.Sort(names)
	if err != nil || !slices.Equal(there, names) {
		t.Errorf("%v: %q, want %q", err, there, names)
	}
}

// TestPanelsTile: panels neither overlap nor leave the page, and each can be told from the others.
func TestPanelsTile(t *testing.T) {
	for name, d := range All() {
		taken := map[[2]int]string{}
		titles := map[string]bool{}
		for _, p := range d.model().Panels {
			if titles[p.Title] || len(p.Targets) == 0 || p.Options == nil {
				t.Errorf("%s: %q twice, or without queries or options", name, p.Title)
			}
			titles[p.Title] = true
			for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
				for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
					if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
						t.Fatalf("%s: %q lies over %q at %d, %d", name, p.Title, other, x, y)
					}
					taken[[2]int{x, y}] = p.Title
				}
			}
			for _, q := range p.Targets {
				if strings.Contains(q.Expr, S+"}") || strings.Contains(q.Expr, S+",") {
					t.Errorf("%s: %q: %s", name, p.Title, q.Expr)
				}
			}
		}
	}
}

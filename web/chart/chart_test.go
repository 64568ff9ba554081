package chart

import (
	"encoding/xml"
	"flag"
	"io"
	"math"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

func wellFormed(t *testing.T, figure string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(figure))
	for {
		_, err := d.Token()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatalf("%v in %s", err, figure)
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	wellFormed(t, got)
	path := "testdata/" + name + ".svg"
	if *update {
		if err := os.WriteFile(path, []byte(got+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got+"\n" != string(want) {
		t.Errorf("%s changed (look at it, then -update):\n%s", path, got)
	}
}

func examplePipeline(safe bool) Pipeline {
	p := Pipeline{Title: "The pipeline", Flows: []string{"intake", "raw-events", "features", "predictions", "decisions"}, From: 1, To: 3, Around: "rules", AroundActive: safe}
	for _, name := range []string{"ingestion", "feature", "model", "decision"} {
		p.Nodes = append(p.Nodes, Node{
			Name: name, Kind: Good, State: "running", Life: "life 1", Rate: "50/s",
			Facts: [3]Fact{{Name: "queue", Value: "0"}, {Name: "p50", Value: "12 µs"}, {Name: "p99", Value: "40 µs", Kind: Warn}},
		})
	}
	if safe {
		p.Nodes[2].Kind, p.Nodes[2].State, p.Nodes[2].Bypassed = Bad, "hung", true
	}
	return p
}

func TestGolden(t *testing.T) {
	golden(t, "wide", examplePipeline(false).Wide())
	golden(t, "wide-safe", examplePipeline(true).Wide())
	golden(t, "tall", examplePipeline(true).Tall())
	golden(t, "line", Line{Title: "Latency", Unit: " ms", Values: []float64{1, 2, math.NaN(), 400, 3}, Slots: 8, Limit: 300}.SVG())
	golden(t, "shares", Shares("Decisions", []Part{{"APPROVE", "approve", 6}, {"REFER", "refer", 3}, {"DECLINE", "decline", 1}}))
	golden(t, "meter", Meter("Window", 9, 10))
}

func TestAGapIsNoZero(t *testing.T) {
	nan := math.NaN()
	for _, test := range []struct {
		values []float64
		lines  int
		says   string
	}{
		{nil, 0, "no data"},
		{[]float64{nan, nan}, 0, "no data"},
		{[]float64{1, 2, 3}, 1, "lowest 1, highest 3"},
		{[]float64{1, nan, 3}, 2, "now 3, lowest 1, highest 3 over 2 samples"},
		{[]float64{math.Inf(1), 5, math.Inf(-1)}, 1, "over 1 samples"},
		{[]float64{0, 0}, 1, "highest 0"},
	} {
		got := Line{Title: "x", Values: test.values}.SVG()
		wellFormed(t, got)
		if n := strings.Count(got, `class="stroke"`); n != test.lines || !strings.Contains(got, test.says) {
			t.Errorf("%v: %d lines in %s", test.values, n, got)
		}
	}
}

func TestTheLimitIsDrawnOnlyInReach(t *testing.T) {
	if s := (Line{Values: []float64{1, 2}, Limit: 300}).SVG(); strings.Contains(s, `class="limit"`) {
		t.Error("a far limit flattens or leaves the picture")
	}
	if s := (Line{Values: []float64{1, 290}, Limit: 300}).SVG(); !strings.Contains(s, `class="limit"`) {
		t.Error("a near limit is missing")
	}
}

func TestTextsAreEscaped(t *testing.T) {
	const bad = `"/><script>alert(1)</script>`
	p := Pipeline{Title: bad, Around: bad, Nodes: []Node{{Name: bad, State: bad, Life: bad, Rate: bad, Kind: Good, Facts: [3]Fact{{Name: bad, Value: bad}}}}, Flows: []string{bad, bad}}
	for _, s := range []string{p.Wide(), p.Tall(), Line{Title: bad, Unit: bad, Values: []float64{1}}.SVG(), Shares(bad, []Part{{Name: bad, Class: "x", Count: 1}}), Meter(bad, 1, 2)} {
		wellFormed(t, s)
		if strings.Contains(s, "<script") {
			t.Errorf("not escaped: %s", s)
		}
	}
}

func TestOddSizes(t *testing.T) {
	for _, s := range []string{
		Pipeline{}.Wide(), Pipeline{}.Tall(), Pipeline{From: 1, To: 9, Nodes: make([]Node, 2)}.Wide(), Meter("", -5, 0), Meter("", 99, 10),
		Shares("", nil), Shares("", []Part{{"a", "a", -4}, {"b", "b", 0}}), Shares("", []Part{{"a", "a", math.MaxInt64}}),
	} {
		wellFormed(t, s)
		if strings.Contains(s, "NaN") || strings.Contains(s, "Inf") || strings.Contains(s, `width="-`) {
			t.Errorf("bad numbers: %s", s)
		}
	}
	for kind := range shapes {
		wellFormed(t, Glyph(kind))
	}
}

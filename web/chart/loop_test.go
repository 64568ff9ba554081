package chart

import (
	"math"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func exampleSeries() Series {
	c := Series{
		Title: "Latency", Unit: " ms", From: noon, To: noon.Add(5 * time.Minute), Log: true, Limit: 300, LimitText: "300 ms",
		Lines: []Curve{{Name: "p99", Class: "p99"}},
		Bands: []Band{{From: noon.Add(time.Minute), To: noon.Add(2 * time.Minute), Text: "LATENCY", Class: "past"}, {From: noon.Add(4 * time.Minute), Text: "open", Class: "open"}},
	}
	for i, v := range []float64{2, 3, math.NaN(), 2000, 4} {
		c.Lines[0].Points = append(c.Lines[0].Points, Point{At: noon.Add(time.Duration(i) * time.Minute), Value: v})
	}
	return c
}

func exampleStates() States {
	return States{
		Title: "The machine", Names: []string{"OPEN", "HEALING", "DONE"}, Initial: "OPEN", Final: []string{"DONE"},
		Arrows: []Arrow{{"OPEN", "HEALING", "approved"}, {"OPEN", "HEALING", "a & b"}, {"HEALING", "DONE", "healthy"}, {"DONE", "OPEN", "relapse"}, {"HEALING", "HEALING", "again"}, {"X", "OPEN", "nowhere"}},
	}
}

func TestGoldenOfTheLoop(t *testing.T) {
	p := examplePipeline(false)
	p.Control, p.ControlFlows = p.Nodes[:2], []string{"metrics", "alerts", "actions"}
	golden(t, "wide-control", p.Wide())
	golden(t, "tall-control", p.Tall())
	golden(t, "series", exampleSeries().SVG())
	golden(t, "states", exampleStates().SVG())
	golden(t, "histogram", Histogram{Title: "income", Bins: []string{"low", "high"}, Reference: []float64{.5, .5}, Now: []float64{.9, .1}}.SVG())
	golden(t, "against", Bar("PSI of income", .31, .2, Bad))
}

func TestSeriesHasItsGapsBandsAndLimit(t *testing.T) {
	s := exampleSeries().SVG()
	if n := strings.Count(s, `class="stroke is-p99"`); n != 2 {
		t.Errorf("%d pieces of line, want 2 around the gap", n)
	}
	for _, want := range []string{`class="band is-past"`, `class="band is-open"`, `class="limit"`, "now 4 ms, highest 2000 ms over 4 samples", "threshold 300 ms"} {
		if !strings.Contains(s, want) {
			t.Errorf("no %s", want)
		}
	}
	c := exampleSeries()
	c.Bands = []Band{{From: noon.Add(-time.Hour), To: noon.Add(-time.Minute)}, {From: noon.Add(time.Hour)}}
	if s := c.SVG(); strings.Contains(s, `class="band`) {
		t.Error("a band outside the picture is drawn")
	}
	c.Bands = []Band{{From: noon, Text: "LATENCY"}, {From: noon.Add(10 * time.Second), Text: "DRIFT"}, {From: noon.Add(2 * time.Minute), Text: "CRASH"}}
	if s := c.SVG(); strings.Contains(s, ">DRIFT<") || !strings.Contains(s, ">LATENCY<") || !strings.Contains(s, ">CRASH<") {
		t.Error("the names of bands are drawn over each other")
	}
}

func TestStatesJoinArrowsAndLeaveOutUnknownStates(t *testing.T) {
	s := exampleStates().SVG()
	if n := strings.Count(s, `<g class="arc`); n != 4 {
		t.Errorf("%d arcs, want 4", n)
	}
	if !strings.Contains(s, "OPEN → HEALING: approved; or a &amp; b") || strings.Contains(s, "nowhere") {
		t.Errorf("labels: %s", s)
	}
}

func TestOddFiguresOfTheLoop(t *testing.T) {
	const bad = `"/><script>alert(1)</script>`
	inf := math.Inf(1)
	points := []Point{{noon, inf}, {noon, math.NaN()}, {noon, -1}, {noon, 0}, {noon, 1e300}, {time.Time{}, 5}}
	for _, s := range []string{
		Series{}.SVG(), Series{Title: bad, Unit: bad, LimitText: bad, Limit: 1, Bands: []Band{{Text: bad, Class: "x", From: noon.Add(-time.Hour)}}, From: noon.Add(-time.Hour), To: noon}.SVG(),
		Series{From: noon, To: noon, Lines: []Curve{{Name: bad, Class: "x", Points: points}}}.SVG(),
		Series{From: noon.Add(-time.Hour), To: noon, Log: true, Lines: []Curve{{Points: points}}}.SVG(),
		Series{From: noon.Add(-9000 * time.Hour), To: noon, Lines: []Curve{{Points: points}}}.SVG(),
		Histogram{}.SVG(), Histogram{Title: bad, Bins: []string{bad, "", "c"}, Reference: []float64{inf, -1}, Now: []float64{math.NaN(), 7}}.SVG(),
		Bar(bad, inf, 0, Good), Bar("", -5, -1, Good), Bar("", 1e308, 1e308, Bad),
		States{}.SVG(), States{Title: bad, Names: []string{bad}, Arrows: []Arrow{{bad, bad, bad}}}.SVG(),
	} {
		wellFormed(t, s)
		if strings.Contains(s, "NaN") || strings.Contains(s, "Inf") || strings.Contains(s, `width="-`) || strings.Contains(s, "<script") {
			t.Errorf("bad figure: %s", s)
		}
	}
}

// TestTheLimitsNameIsOverTheLines: a line that crosses it must not strike it through.
func TestTheLimitsNameIsOverTheLines(t *testing.T) {
	from := time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)
	picture := Series{
		Title: "Latency", From: from, To: from.Add(time.Minute), Limit: 300, LimitText: "300 ms",
		Lines: []Curve{{Name: "p99", Points: []Point{{from, 100}, {from.Add(time.Minute), 900}}}},
	}.SVG()
	if name, line := strings.LastIndex(picture, "is-limit"), strings.LastIndex(picture, "<path"); name < line {
		t.Errorf("the name is drawn at %d, a line at %d", name, line)
	}
}

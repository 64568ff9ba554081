package page

import (
	"html/template"
	"math"
	"slices"
	"strings"
	"time"

	"aura/web/api"
	"aura/web/chart"
)

// What the page shows of what monitoring says.

// Drift are the drift signals, the largest PSI first; Judged the other ones.
func (v view) Drift() []api.Signal {
	var out []api.Signal
	for _, s := range v.Overview.Signals.Items {
		if s.Kind == "DATA_DRIFT" {
			out = append(out, s)
		}
	}
	slices.SortStableFunc(out, func(a, b api.Signal) int {
		switch {
		case a.Value > b.Value:
			return -1
		case a.Value < b.Value:
			return 1
		}
		return strings.Compare(a.Target, b.Target)
	})
	return out
}

// Judged are the signals that are no drift.
func (v view) Judged() []api.Signal {
	var out []api.Signal
	for _, s := range v.Overview.Signals.Items {
		if s.Kind != "DATA_DRIFT" {
			out = append(out, s)
		}
	}
	return out
}

func histogram(s api.Signal) template.HTML {
	if s.Histogram == nil {
		return ""
	}
	h := s.Histogram
	return svg(chart.Histogram{Title: s.Target + ": now and in the reference", Bins: h.Bins, Reference: h.Reference, Now: h.Now}.SVG())
}

func psiBar(s api.Signal) template.HTML {
	return svg(chart.Bar("PSI of "+s.Target, s.Value, s.Threshold, kindOfStatus(s.State)))
}

// LatencyChart draws, wide and narrow, median and p99 with the limit, and the incidents as bands.
func (v view) LatencyChart() template.HTML {
	to := v.Overview.At
	if len(v.Points) > 0 {
		to = v.Points[len(v.Points)-1].At
	}
	c := chart.Series{
		Title: "Latency over the last five minutes", Unit: " ms", From: to.Add(-5 * time.Minute), To: to, Log: true,
		Limit: 300, LimitText: "300 ms", Lines: []chart.Curve{{Name: "p99", Class: "p99"}, {Name: "median", Class: "p50"}},
	}
	for _, p := range v.Points {
		p50, p99 := p.P50MS, p.P99MS
		if !p.Known {
			p50, p99 = math.NaN(), math.NaN()
		}
		c.Lines[0].Points = append(c.Lines[0].Points, chart.Point{At: p.At, Value: p99})
		c.Lines[1].Points = append(c.Lines[1].Points, chart.Point{At: p.At, Value: p50})
	}
	for _, n := range slices.Backward(v.Overview.Incidents) {
		from := n.DetectedAt
		if !n.OnsetAt.IsZero() && n.OnsetAt.Before(from) {
			from = n.OnsetAt
		}
		class, to := "past", n.ResolvedAt
		if n.Open() {
			class = "open"
		} else if to.IsZero() {
			to = n.UpdatedAt // it ended without a recovery
		}
		c.Bands = append(c.Bands, chart.Band{From: from, To: to, Text: short(28, n.Type), Class: class})
	}
	wide := c.SVG()
	c.Narrow = true
	return svg(wide + c.SVG())
}

// Package grafana holds the dashboards that are shipped, as Go values, and writes them as Grafana's classic JSON.
//
// It owns the files in deploy/grafana/dashboards: `go generate ./app/grafana` writes them, its test compares them. It is pure,
// imports nothing of ours and is in no binary. That the metrics and labels asked for exist is tested where the registry is
// (app, TestMetrics); that a real Prometheus takes each expression and answers it, in app's TestPrometheus.
package grafana

//go:generate go test -run TestFiles -update .

import (
	"encoding/json"
	"strings"
)

// schemaVersion is of Grafana 11; later ones migrate it when they load it.
const schemaVersion = 39

// Dashboard is one page of panels, which are laid out in the order of the list.
type Dashboard struct {
	UID, Title, Description string
	Panels                  []Panel
}

// Kind is how a panel shows its queries.
type Kind string

// The kinds. Info shows the name of its one series, Bars shows each series' last value, States shows 0 and 1 over time.
const (
	Lines   Kind = "timeseries"
	Stacked Kind = "timeseries stacked"
	Stat    Kind = "stat"
	Info    Kind = "stat name"
	Bars    Kind = "bargauge"
	States  Kind = "state-timeline"
)

// Unit is Grafana's name of a unit.
type Unit string

// The units.
const (
	Seconds   Unit = "s"
	Ratio     Unit = "percentunit"
	PerSecond Unit = "ops"
	Count     Unit = "short"
	Bytes     Unit = "bytes"
	Date      Unit = "dateTimeFromNow"
)

// Panel is one picture. Width is of 24 columns. Warn draws a line, or colours a figure, from a value on; where Under is set, below
// it. Min and Max bound an axis.
type Panel struct {
	Title, Description string
	Kind               Kind
	Unit               Unit
	Width              int
	Queries            []Query
	Warn               *float64
	Under              bool
	Max                *float64
}

// Query is an expression and the name of its series. In an expression S stands for the matchers that the page's variables set.
type Query struct{ Expr, Legend string }

// S is replaced by the matchers of every selector.
const S = "$s"

const matchers = `job="$job", instance=~"$instance"`

func expr(text string) string { return strings.ReplaceAll(text, S, matchers) }

// JSON is the dashboard as Grafana reads it.
func (d Dashboard) JSON() ([]byte, error) {
	out, err := json.MarshalIndent(d.model(), "", "  ")
	return append(out, '\n'), err
}

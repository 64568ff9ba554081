package chart

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Series is a value over time with axes, a threshold and shaded spans.
type Series struct {
	Title, Unit string
	// From and To are the ends of the time axis.
	From, To time.Time
	// Lines are drawn in their order; NaN is a gap.
	Lines []Curve
	// Limit is the threshold that is always in the picture; 0 for none. LimitText names it.
	Limit     float64
	LimitText string
	Bands     []Band
	// Narrow is the form for narrow screens; style sheets show the one that fits.
	Narrow bool
	// Log draws the values on a logarithmic scale: latencies from a millisecond to minutes fit one picture.
	Log bool
}

// Curve is one line; its class is its colour.
type Curve struct {
	Name, Class string
	Points      []Point
}

// Point is a value at a time.
type Point struct {
	At    time.Time
	Value float64
}

// Band is a span of time, an open incident for one.
type Band struct {
	From, To    time.Time
	Text, Class string
}

const (
	seriesHeight                                   = 190.0
	seriesLeft, seriesRight, seriesTop, seriesFoot = 52.0, 10.0, 18.0, 22.0
)

func (c Series) width() float64 {
	if c.Narrow {
		return 350
	}
	return 720
}

func (c Series) class() string {
	if c.Narrow {
		return "series narrow"
	}
	return "series"
}

// SVG draws it.
func (c Series) SVG() string {
	var s svg
	s.open(c.class(), c.width(), seriesHeight, "xMidYMid meet", c.Title, c.description())
	low, high := c.reach()
	free := 0.0
	for _, b := range c.Bands {
		c.band(&s, b, &free)
	}
	for _, v := range c.ticks(low, high) {
		y := c.y(v, low, high)
		s.path("grid", fmt.Sprintf("M%s %sH%s", number(seriesLeft), number(y), number(c.width()-seriesRight)))
		s.text("tick is-y", seriesLeft-6, y+3.5, c.amount(v))
	}
	c.clock(&s)
	if c.Limit > 0 {
		y := c.y(c.Limit, low, high)
		s.path("limit", fmt.Sprintf("M%s %sH%s", number(seriesLeft), number(y), number(c.width()-seriesRight)))
	}
	for _, l := range c.Lines {
		c.line(&s, l, low, high)
	}
	if c.Limit > 0 { // over the lines, which would strike it through
		s.text("tick is-limit", c.width()-seriesRight, c.y(c.Limit, low, high)-4, c.LimitText)
	}
	return s.close()
}

func (c Series) line(s *svg, l Curve, low, high float64) {
	values := make([]float64, len(l.Points))
	for i, p := range l.Points {
		if values[i] = p.Value; c.Log && !(p.Value > 0) || p.At.Before(c.From) || p.At.After(c.To) {
			values[i] = math.NaN()
		}
	}
	for _, run := range runs(values) {
		var d strings.Builder
		for i := run[0]; i < run[1]; i++ {
			fmt.Fprintf(&d, "%s%s %s", letter(i == run[0]), number(c.x(l.Points[i].At)), number(c.y(values[i], low, high)))
		}
		if run[1]-run[0] == 1 {
			d.WriteString("h1.5") // a lone point would draw nothing
		}
		s.path("stroke is-"+l.Class, d.String())
	}
}

// band draws one band, and its name where no other one is: before free.
func (c Series) band(s *svg, b Band, free *float64) {
	from, to := b.From, b.To
	if from.Before(c.From) {
		from = c.From
	}
	if to.IsZero() || to.After(c.To) {
		to = c.To
	}
	if !to.After(from) {
		return
	}
	x, w := c.x(from), max(c.x(to)-c.x(from), 2)
	s.rect("band is-"+b.Class, x, seriesTop, w, seriesHeight-seriesTop-seriesFoot, 0)
	if text := float64(len([]rune(b.Text)))*5.6 + 6; w > text && x >= *free {
		s.text("band-name", x+4, seriesTop-5, b.Text)
		*free = x + text
	}
}

// description holds the numbers in words.
func (c Series) description() string {
	var words []string
	for _, l := range c.Lines {
		last, highest, n := math.NaN(), 0.0, 0
		for _, p := range l.Points {
			if finite(p.Value) {
				last, highest, n = p.Value, max(highest, p.Value), n+1
			}
		}
		if n == 0 {
			words = append(words, l.Name+": no data")
			continue
		}
		words = append(words, fmt.Sprintf("%s: now %s%s, highest %s%s over %d samples", l.Name, number(last), c.Unit, number(highest), c.Unit, n))
	}
	if c.Limit > 0 {
		words = append(words, "threshold "+c.LimitText)
	}
	for _, b := range c.Bands {
		words = append(words, fmt.Sprintf("%s from %s", b.Text, b.From.UTC().Format("15:04:05")))
	}
	return strings.Join(words, "; ")
}

package chart

import (
	"fmt"
	"html"
	"strings"
)

// Histogram compares two distributions over the same bins: the reference as outlined bars, what comes now as filled ones.
type Histogram struct {
	Title string
	Bins  []string
	// Reference and Now are shares of one, a value for each bin.
	Reference, Now []float64
}

const histogramWidth, histogramHeight = 132.0, 34.0

// SVG draws it small, for a row of a table.
func (h Histogram) SVG() string {
	n := min(len(h.Bins), len(h.Reference), len(h.Now))
	var s svg
	s.open("histogram", histogramWidth, histogramHeight, "none", h.Title, h.description(n))
	highest := 1e-9
	for i := range n {
		highest = max(highest, proper(h.Reference[i]), proper(h.Now[i]))
	}
	width := histogramWidth / float64(max(n, 1))
	for i := range n {
		x := float64(i) * width
		fmt.Fprintf(&s, `<g><title>%s</title>`, html.EscapeString(h.bin(i)))
		for _, bar := range []struct {
			class string
			share float64
			in    float64
		}{{"was", proper(h.Reference[i]), .5}, {"now", proper(h.Now[i]), width * .22}} {
			height := bar.share / highest * (histogramHeight - 2)
			s.rect(bar.class, x+bar.in, histogramHeight-1-height, width-2*bar.in, height, 0)
		}
		s.WriteString("</g>")
	}
	s.path("base", fmt.Sprintf("M0 %sH%s", number(histogramHeight-.5), number(histogramWidth)))
	return s.close()
}

func proper(share float64) float64 {
	if !finite(share) || share < 0 {
		return 0
	}
	return min(share, 1)
}

func (h Histogram) bin(i int) string {
	return fmt.Sprintf("%s: %.1f %%, was %.1f %%", h.Bins[i], 100*proper(h.Now[i]), 100*proper(h.Reference[i]))
}

func (h Histogram) description(n int) string {
	if n == 0 {
		return "no data"
	}
	words := make([]string, n)
	for i := range n {
		words[i] = h.bin(i)
	}
	return strings.Join(words, "; ")
}

// positive is v, or 0 for what can't be drawn.
func positive(v float64) float64 {
	if !finite(v) || v < 0 {
		return 0
	}
	return v
}

// Bar draws a value against a threshold that has a line of its own; the scale ends at twice the threshold, or where the
// value is if that is farther.
func Bar(title string, value, threshold float64, kind Kind) string {
	const width, height = 110.0, 14.0
	var s svg
	v, threshold := positive(value), positive(threshold)
	s.open("against", width, height, "none", title, fmt.Sprintf("%.3g against %.3g", v, threshold))
	top := max(2*threshold, v, 1e-9)
	s.rect("track", 0, 3, width, height-6, 0)
	s.rect("fill is-"+string(kind), 0, 3, v/top*width, height-6, 0)
	if threshold > 0 {
		s.path("limit", fmt.Sprintf("M%s 0V%s", number(threshold/top*width), number(height)))
	}
	return s.close()
}

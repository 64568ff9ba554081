// Package chart draws AURA's figures as SVG: the pipeline, lines over time, shares.
//
// It is pure and imports nothing of ours. A figure carries a title and a description with its numbers (what a screen
// reader says), uses CSS classes only (the page's policy forbids inline styles) and escapes every text. Values that are
// NaN or infinite are gaps, never zeros.
package chart

import (
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"
)

// svg collects the parts of a figure.
type svg struct{ strings.Builder }

// open begins a figure with its title and description. fit is an SVG preserveAspectRatio.
func (s *svg) open(class string, width, height float64, fit, title, description string) {
	fmt.Fprintf(s, `<svg class="%s" viewBox="0 0 %s %s" preserveAspectRatio="%s" role="img"><title>%s</title><desc>%s</desc>`,
		class, number(width), number(height), fit, html.EscapeString(title), html.EscapeString(description))
}

func (s *svg) close() string {
	s.WriteString("</svg>")
	return s.String()
}

func (s *svg) rect(class string, x, y, w, h, radius float64) {
	fmt.Fprintf(s, `<rect class="%s" x="%s" y="%s" width="%s" height="%s" rx="%s"/>`,
		class, number(x), number(y), number(max(w, 0)), number(max(h, 0)), number(radius))
}

func (s *svg) text(class string, x, y float64, text string) {
	fmt.Fprintf(s, `<text class="%s" x="%s" y="%s">%s</text>`, class, number(x), number(y), html.EscapeString(text))
}

func (s *svg) path(class, d string) {
	fmt.Fprintf(s, `<path class="%s" d="%s"/>`, class, d)
}

// number writes a coordinate with at most two digits after the point.
func number(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "0"
	}
	return strconv.FormatFloat(math.Round(v*100)/100, 'f', -1, 64)
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

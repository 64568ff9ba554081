package chart

import (
	"fmt"
	"strings"
)

// Part is one part of a whole.
type Part struct {
	Name  string
	Class string
	Count int64
}

// Shares draws parts of a whole as one bar.
func Shares(title string, parts []Part) string {
	const width, height = 300, 14
	total := int64(0)
	for _, p := range parts {
		total += max(p.Count, 0)
	}
	words := make([]string, 0, len(parts))
	for _, p := range parts {
		words = append(words, fmt.Sprintf("%s %d", p.Name, p.Count))
	}
	var s svg
	s.open("shares", width, height, "none", title, strings.Join(words, ", "))
	s.rect("track", 0, 0, width, height, 0)
	x := 0.0
	for _, p := range parts {
		if p.Count <= 0 {
			continue
		}
		w := float64(p.Count) / float64(total) * width
		s.rect("part is-"+p.Class, x, 0, w, height, 0)
		x += w
	}
	return s.close()
}

// Meter draws how much of a limit is used.
func Meter(title string, used, limit int) string {
	const width, height = 300, 14
	share := 0.0
	if limit > 0 {
		share = min(1, max(0, float64(used)/float64(limit)))
	}
	class := "part is-used"
	if share >= .8 {
		class = "part is-warn"
	}
	var s svg
	s.open("shares", width, height, "none", title, fmt.Sprintf("%d of %d", used, limit))
	s.rect("track", 0, 0, width, height, 0)
	w := share * width
	if used > 0 {
		w = max(w, 2)
	}
	s.rect(class, 0, 0, w, height, 0)
	return s.close()
}

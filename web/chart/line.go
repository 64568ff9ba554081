package chart

import (
	"fmt"
	"strings"
)

// Line is a small line over time, without axes: its numbers stand beside it.
type Line struct {
	Title string
	// Unit follows each number of the description.
	Unit string
	// Values from old to new, evenly spaced; NaN is a gap. Slots is how many fit: fewer are drawn at the right end.
	Values []float64
	Slots  int
	// Limit is drawn as a line of its own if it is above 0 and in reach of the values.
	Limit float64
}

const lineWidth, lineHeight = 300, 56

// SVG draws it; the picture stretches to its box.
func (l Line) SVG() string {
	slots := max(l.Slots, len(l.Values), 2)
	lowest, highest, last, n := 0.0, 0.0, 0.0, 0
	for _, v := range l.Values {
		if !finite(v) {
			continue
		}
		if n == 0 {
			lowest = v
		}
		lowest, highest, last = min(lowest, v), max(highest, v), v
		n++
	}
	var s svg
	description := "no data"
	if n > 0 {
		description = fmt.Sprintf("now %s%s, lowest %s%s, highest %s%s over %d samples",
			number(last), l.Unit, number(lowest), l.Unit, number(highest), l.Unit, n)
	}
	s.open("line", lineWidth, lineHeight, "none", l.Title, description)
	top := max(highest*1.15, 1e-9)
	y := func(v float64) float64 { return lineHeight - 2 - v/top*(lineHeight-6) }
	if l.Limit > 0 && l.Limit <= top {
		s.path("limit", fmt.Sprintf("M0 %sH%d", number(y(l.Limit)), lineWidth))
	}
	s.path("base", fmt.Sprintf("M0 %dH%d", lineHeight-1, lineWidth))
	first := slots - len(l.Values)
	for _, run := range runs(l.Values) {
		var stroke strings.Builder
		x := func(i int) float64 { return float64(first+i) / float64(slots-1) * lineWidth }
		for i := run[0]; i < run[1]; i++ {
			fmt.Fprintf(&stroke, "%s%s %s", letter(i == run[0]), number(x(i)), number(y(l.Values[i])))
		}
		if run[1]-run[0] == 1 { // a lone point would draw nothing
			fmt.Fprintf(&stroke, "h1.5")
		}
		s.path("area", fmt.Sprintf("%sV%dH%sz", stroke.String(), lineHeight-1, number(x(run[0]))))
		s.path("stroke", stroke.String())
	}
	return s.close()
}

func letter(first bool) string {
	if first {
		return "M"
	}
	return "L"
}

// runs returns the stretches of finite values as half-open index ranges.
func runs(values []float64) [][2]int {
	var out [][2]int
	begin := -1
	for i, v := range values {
		switch {
		case finite(v) && v >= 0 && begin < 0:
			begin = i
		case (!finite(v) || v < 0) && begin >= 0:
			out = append(out, [2]int{begin, i})
			begin = -1
		}
	}
	if begin >= 0 {
		out = append(out, [2]int{begin, len(values)})
	}
	return out
}

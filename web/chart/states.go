package chart

import (
	"fmt"
	"html"
	"slices"
	"strings"
)

// States is a state machine: states in a column, in the order of a life; arcs at the right lead forward, those at the
// left back.
type States struct {
	Title   string
	Names   []string
	Initial string
	Final   []string
	Arrows  []Arrow
}

// Arrow leads from one state to another; several between the same two are drawn as one.
type Arrow struct{ From, To, Label string }

const stateWidth, stateHeight, stateStep, stateSide = 172.0, 26.0, 46.0, 190.0

// SVG draws it. An arc says in its title what leads along it.
func (m States) SVG() string {
	arcs := m.arcs()
	height := float64(len(m.Names))*stateStep + 8
	var s svg
	s.open("states", stateWidth+2*stateSide, height, "xMidYMid meet", m.Title, m.description(arcs))
	// Attributes give a file of its own its colours; the page's style sheet has its own and wins.
	s.WriteString(`<g fill="none" stroke="#667">`)
	for _, a := range arcs {
		s.arc(a)
	}
	s.WriteString(`</g><g fill="#fff" stroke="#667" font-family="sans-serif" font-size="12" text-anchor="middle">`)
	for i, name := range m.Names {
		class := "node-state"
		if slices.Contains(m.Final, name) {
			class += " is-final"
		}
		if name == m.Initial {
			class += " is-initial"
		}
		y := float64(i)*stateStep + 8
		s.rect(class, stateSide, y, stateWidth, stateHeight, 8)
		s.WriteString(`<g fill="#223" stroke="none">`)
		s.text("state-name", stateSide+stateWidth/2, y+stateHeight/2+4, name)
		s.WriteString("</g>")
	}
	s.WriteString("</g>")
	return s.close()
}

// arc is the drawn form of all arrows between two states.
type arc struct {
	from, to int
	labels   []string
	names    [2]string
}

func (m States) arcs() []arc {
	var out []arc
	for _, a := range m.Arrows {
		from, to := slices.Index(m.Names, a.From), slices.Index(m.Names, a.To)
		if from < 0 || to < 0 {
			continue
		}
		i := slices.IndexFunc(out, func(o arc) bool { return o.from == from && o.to == to })
		if i < 0 {
			out = append(out, arc{from: from, to: to, names: [2]string{a.From, a.To}})
			i = len(out) - 1
		}
		out[i].labels = append(out[i].labels, a.Label)
	}
	return out
}

func (m States) description(arcs []arc) string {
	words := make([]string, len(arcs))
	for i, a := range arcs {
		words[i] = a.names[0] + " to " + a.names[1]
	}
	return fmt.Sprintf("%d states; it begins in %s and ends in %s. %s", len(m.Names), m.Initial, strings.Join(m.Final, ", "), strings.Join(words, "; "))
}

// arc is wider the farther it goes. Each state's arrows leave a little above the middle and arrive a little below it.
func (s *svg) arc(a arc) {
	y0 := float64(a.from)*stateStep + 8 + stateHeight/2 - 5
	y1 := float64(a.to)*stateStep + 8 + stateHeight/2 + 5
	span, x, sign := a.to-a.from, stateSide+stateWidth, 1.0
	class := "arc"
	if span <= 0 {
		span, x, sign, class = -span, stateSide, -1, "arc is-back"
	}
	reach := x + sign*(14+min(float64(max(span, 1))*17, stateSide-24))
	fmt.Fprintf(s, `<g class="%s"><title>%s</title>`, class, html.EscapeString(a.names[0]+" → "+a.names[1]+": "+strings.Join(a.labels, "; or ")))
	s.path("way", fmt.Sprintf("M%s %sC%s %s %s %s %s %s", number(x), number(y0), number(reach), number(y0), number(reach), number(y1), number(x+sign*8), number(y1)))
	s.path("tip", fmt.Sprintf("M%s %sl%s -4v8z", number(x), number(y1), number(sign*9)))
	s.WriteString("</g>")
}

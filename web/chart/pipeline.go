package chart

import (
	"fmt"
	"html"
	"slices"
	"strings"
)

// Node is one agent of the pipeline.
type Node struct {
	Name  string
	Kind  Kind
	State string // in words
	Life  string // e.g. #3
	Rate  string // the large figure
	Facts [3]Fact
	// Bypassed is drawn aside: nothing decides through it now.
	Bypassed bool
}

// Fact is a small figure with its name.
type Fact struct {
	Name, Value string
	Kind        Kind // "" for plain
}

// Pipeline is the way of an application: nodes in order, with what flows between them.
type Pipeline struct {
	Title string
	Nodes []Node
	// Flows are the names between the nodes: one before each node, one after the last.
	Flows []string
	// From and To are the nodes that the way around the bypassed one connects; equal if there is none.
	From, To int
	// Around names that way; AroundActive says that it is in use.
	Around       string
	AroundActive bool
	// Control are the agents that watch and heal, in a row of their own, and what flows between them, as Flows.
	Control      []Node
	ControlFlows []string
}

// description says the figure in words.
func (p Pipeline) description() string {
	words := make([]string, 0, len(p.Nodes)+1)
	for _, n := range slices.Concat(p.Nodes, p.Control) {
		w := fmt.Sprintf("%s is %s, %s", n.Name, n.State, n.Rate)
		for _, f := range n.Facts {
			w += fmt.Sprintf(", %s %s", f.Name, f.Value)
		}
		words = append(words, w)
	}
	if p.AroundActive {
		words = append(words, "applications go by "+p.Around)
	}
	return strings.Join(words, "; ")
}

const (
	nodeWidth, nodeHeight = 204.0, 124.0
	gap                   = 84.0
)

// Wide draws it from left to right.
func (p Pipeline) Wide() string {
	n := float64(max(len(p.Nodes), len(p.Control)))
	width := n*nodeWidth + (n+1)*gap
	const top, second = 40.0, 40.0 + nodeHeight + 34
	height := top + nodeHeight + 4
	if len(p.Control) > 0 {
		height = second + nodeHeight + 4
	}
	var s svg
	s.open("pipeline wide", width, height, "xMidYMid meet", p.Title, p.description())
	p.row(&s, p.Nodes, p.Flows, top)
	if p.From != p.To && p.To < len(p.Nodes) {
		begin, end := column(p.From)+nodeWidth/2, column(p.To)+nodeWidth/2
		s.path(p.around(), fmt.Sprintf("M%s %sV22q0 -8 8 -8H%sq8 0 8 8V%s",
			number(begin), number(top-2), number(end-8), number(top-10)))
		s.path("head "+p.around(), fmt.Sprintf("M%s %sl-5 -9h10z", number(end), number(top-2)))
		s.label((begin+end)/2, 14, p.Around, p.AroundActive)
	}
	p.row(&s, p.Control, p.ControlFlows, second)
	return s.close()
}

// column is where the i-th node of a row begins.
func column(i int) float64 { return gap + float64(i)*(nodeWidth+gap) }

// row draws nodes side by side, with what flows between them.
func (p Pipeline) row(s *svg, nodes []Node, flows []string, top float64) {
	middle := top + nodeHeight/2
	for i := 0; i <= len(nodes) && len(nodes) > 0; i++ {
		begin, end := column(i)-gap+4, column(i)-6
		s.path(edge(nodes, i), fmt.Sprintf("M%s %sH%s", number(begin), number(middle), number(end-7)))
		s.path("head "+edge(nodes, i), fmt.Sprintf("M%s %sl-9 -5v10z", number(end), number(middle)))
		if i < len(flows) {
			s.text("flow", (begin+end)/2, middle-10, flows[i])
		}
	}
	for i, node := range nodes {
		s.node(node, column(i), top, nodeWidth, nodeHeight)
	}
}

// Tall draws it from top to bottom, for narrow screens.
func (p Pipeline) Tall() string {
	const width, height, between, side = 340.0, 104.0, 34.0, 30.0
	n := float64(len(p.Nodes))
	whole := n*height + (n+1)*between
	control := func(i int) float64 { return whole + 12 + float64(i)*(height+12) }
	end := whole
	if len(p.Control) > 0 {
		end = control(len(p.Control))
	}
	var s svg
	s.open("pipeline tall", width, end, "xMidYMid meet", p.Title, p.description())
	y := func(i int) float64 { return between + float64(i)*(height+between) }
	for i := 0; i <= len(p.Nodes); i++ {
		begin, end := y(i)-between+3, y(i)-4
		s.path(edge(p.Nodes, i), fmt.Sprintf("M%s %sV%s", number(width/2), number(begin), number(end-7)))
		s.path("head "+edge(p.Nodes, i), fmt.Sprintf("M%s %sl-5 -9h10z", number(width/2), number(end)))
		if i < len(p.Flows) {
			s.text("flow side", width/2+14, (begin+end)/2+4, p.Flows[i])
		}
	}
	if p.From != p.To && p.To < len(p.Nodes) {
		begin, end := y(p.From)+height/2, y(p.To)+height/2
		s.path(p.around(), fmt.Sprintf("M%s %sH18q-8 0 -8 8V%sq0 8 8 8H%s",
			number(side-2), number(begin), number(end-8), number(side-10)))
		s.path("head "+p.around(), fmt.Sprintf("M%s %sl-9 -5v10z", number(side-2), number(end)))
	}
	for i, node := range p.Nodes {
		s.node(node, side, y(i), width-side-4, height)
	}
	for i, node := range p.Control {
		s.node(node, side, control(i), width-side-4, height)
	}
	return s.close()
}

// edge is the class of the arrow before node i: quiet where it leads to or from a bypassed node.
func edge(nodes []Node, i int) string {
	if i < len(nodes) && nodes[i].Bypassed || i > 0 && nodes[i-1].Bypassed {
		return "edge is-off"
	}
	return "edge"
}

func (p Pipeline) around() string {
	if p.AroundActive {
		return "edge is-around"
	}
	return "edge is-off"
}

// label is a name on a line: with a ground, so that the line doesn't cross it.
func (s *svg) label(x, y float64, text string, active bool) {
	class := "flow"
	if active {
		class = "flow is-around"
	}
	w := float64(len([]rune(text)))*6.4 + 16
	s.rect("ground", x-w/2, y-9, w, 18, 9)
	s.text(class, x, y+4, text)
}

func (s *svg) node(n Node, x, y, w, h float64) {
	class := "node is-" + string(n.Kind)
	if n.Bypassed {
		class += " bypassed"
	}
	fmt.Fprintf(s, `<g class="%s">`, html.EscapeString(class))
	s.rect("box", x, y, w, h, 10)
	s.rect("bar", x, y+10, 4, h-20, 2)
	s.text("name", x+18, y+27, n.Name)
	s.text("life", x+w-14, y+27, n.Life)
	s.glyph(n.Kind, x+18, y+38)
	s.text("state", x+36, y+48, n.State)
	s.text("rate", x+w-14, y+54, n.Rate)
	base := y + h - 34
	s.path("rule", fmt.Sprintf("M%s %sh%s", number(x+18), number(base-8), number(w-32)))
	column := (w - 32) / 3
	for i, f := range n.Facts {
		fx := x + 18 + float64(i)*column
		s.text("label", fx, base+7, f.Name)
		class := "fact"
		if f.Kind != "" {
			class += " is-" + string(f.Kind)
		}
		s.text(class, fx, base+24, f.Value)
	}
	s.WriteString("</g>")
}

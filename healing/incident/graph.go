package incident

import (
	"fmt"
	"slices"
	"strings"
)

// Arrow is one drawn transition.
type Arrow struct {
	From  State     `json:"from"`
	To    State     `json:"to"`
	Event EventType `json:"event,omitempty"` // empty: as soon as the guard holds
	When  string    `json:"when"`
}

// Chart is the machine as drawn from its table.
type Chart struct {
	States  []State `json:"states"` // in the order of an incident's life
	Initial State   `json:"initial"`
	Final   []State `json:"final"`
	Arrows  []Arrow `json:"arrows"`
}

// Graph reads the declared table; what it shows is what runs.
func Graph() Chart {
	c := Chart{States: append(slices.Clone(live), Resolved, Cancelled, Superseded, Failed), Initial: Suspected}
	for _, s := range c.States {
		if s.Final() {
			c.Final = append(c.Final, s)
		}
	}
	for _, t := range table {
		for _, f := range t.From {
			c.Arrows = append(c.Arrows, Arrow{From: f, To: t.To, Event: t.On, When: t.When})
		}
	}
	return c
}

// Label is the arrow's text.
func (a Arrow) Label() string {
	if a.Event == "" {
		return a.When
	}
	return string(a.Event) + ": " + a.When
}

// joined merges arrows between the same two states, so that the picture stays readable.
func (c Chart) joined() []Arrow {
	var out []Arrow
	for _, a := range c.Arrows {
		i := slices.IndexFunc(out, func(o Arrow) bool { return o.From == a.From && o.To == a.To })
		if i < 0 {
			out = append(out, Arrow{From: a.From, To: a.To, When: a.Label()})
			continue
		}
		out[i].When += " / " + a.Label()
	}
	return out
}

// Mermaid draws the chart as a Mermaid state diagram.
func (c Chart) Mermaid() string {
	var b strings.Builder
	b.WriteString("stateDiagram-v2\n")
	fmt.Fprintf(&b, "    [*] --> %s\n", c.Initial)
	for _, a := range c.joined() {
		// A colon or semicolon would end the label.
		fmt.Fprintf(&b, "    %s --> %s : %s\n", a.From, a.To, strings.NewReplacer(":", " -", ";", ",").Replace(a.When))
	}
	for _, s := range c.Final {
		fmt.Fprintf(&b, "    %s --> [*]\n", s)
	}
	return b.String()
}

// Dot draws the chart for Graphviz.
func (c Chart) Dot() string {
	var b strings.Builder
	b.WriteString("digraph incident {\n  rankdir=LR;\n  node [shape=box, style=rounded];\n")
	for _, s := range c.Final {
		fmt.Fprintf(&b, "  %q [peripheries=2];\n", s)
	}
	for _, a := range c.joined() {
		fmt.Fprintf(&b, "  %q -> %q [label=%q];\n", a.From, a.To, strings.ReplaceAll(a.When, " / ", "\n"))
	}
	b.WriteString("}\n")
	return b.String()
}

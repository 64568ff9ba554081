package incident

import (
	"slices"
	"strings"
	"testing"
)

func TestGraphIsTheMachine(t *testing.T) {
	c := Graph()
	reach := map[State]bool{c.Initial: true}
	for range c.States {
		for _, a := range c.Arrows {
			reach[a.To] = reach[a.To] || reach[a.From]
		}
	}
	for _, s := range c.States {
		if !known(s) || !reach[s] {
			t.Errorf("%s can't be reached", s)
		}
		out := slices.ContainsFunc(c.Arrows, func(a Arrow) bool { return a.From == s })
		timed := slices.ContainsFunc(c.Arrows, func(a Arrow) bool {
			return a.From == s && a.To != s && (strings.Contains(a.When, "deadline") || strings.Contains(a.When, "expired"))
		})
		if !s.Final() && (!out || !timed) {
			t.Errorf("%s has no way out by its deadline", s)
		}
		if !strings.Contains(c.Mermaid(), string(s)) || !strings.Contains(c.Dot(), string(s)) {
			t.Errorf("%s is not drawn", s)
		}
	}
	for _, a := range c.Arrows {
		if a.When == "" || !slices.Contains(c.States, a.From) || !slices.Contains(c.States, a.To) {
			t.Errorf("%+v", a)
		}
		if a.To == Resolved && a.Event == EvTick {
			t.Errorf("time alone resolves: %+v", a)
		}
	}
	if len(c.Final) != 4 {
		t.Errorf("final: %v", c.Final)
	}
}

package middleware_test

import (
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"aura/agents/bus"
	"aura/agents/bus/middleware"
)

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestTrace(t *testing.T) {
	for name, header := range map[string]string{"child": parent, "new trace": ""} {
		t.Run(name, func(t *testing.T) {
			var inside middleware.Span
			m := incoming(t.Context())
			m.Metadata.Set(bus.HeaderTraceParent, header)
			out, err := middleware.Trace(func(m *message.Message) ([]*message.Message, error) {
				inside, _ = middleware.SpanFrom(m.Context())
				own := message.NewMessage("own", nil)
				own.Metadata.Set(bus.HeaderTraceParent, "set by the handler")
				return []*message.Message{message.NewMessage("out", nil), own}, nil
			})(m)
			if err != nil {
				t.Fatal(err)
			}
			if got := out[0].Metadata.Get(bus.HeaderTraceParent); got != inside.String() {
				t.Errorf("handed on %q, span %q", got, inside)
			}
			if got := out[1].Metadata.Get(bus.HeaderTraceParent); got != "set by the handler" {
				t.Errorf("overwritten: %q", got)
			}
			again, ok := middleware.ParseTraceParent(inside.String())
			if !ok || again != inside {
				t.Errorf("%q is no span", inside)
			}
			if header != "" && (!strings.HasPrefix(inside.String(), parent[:36]) || strings.Contains(inside.String(), parent[36:52])) {
				t.Errorf("%s is no child of %s", inside, parent)
			}
			if _, ok := middleware.SpanFrom(m.Context()); ok {
				t.Error("the span outlives its handler")
			}
		})
	}
}

func TestParseTraceParent(t *testing.T) {
	if s, ok := middleware.ParseTraceParent(parent); !ok || s.String() != parent || s.Flags != 1 {
		t.Errorf("got %v, %v", s, ok)
	}
	if _, ok := middleware.ParseTraceParent("cc" + parent[2:] + "-what-comes-later"); !ok {
		t.Error("a later version is refused")
	}
	for _, bad := range []string{
		"", "00", parent + "-x", "ff" + parent[2:], strings.ToUpper(parent), parent[:len(parent)-1], parent[1:],
		"00-00000000000000000000000000000000-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
		"0x" + parent[2:], strings.Replace(parent, "0af", "0ag", 1),
	} {
		if s, ok := middleware.ParseTraceParent(bad); ok {
			t.Errorf("%q is %v", bad, s)
		}
	}
}

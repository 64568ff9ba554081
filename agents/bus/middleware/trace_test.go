package middleware_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"aura/agents/bus"
	"aura/agents/bus/middleware"
	"aura/agents/tracing"
)

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestTrace(t *testing.T) {
	unsampled := parent[:54] + "0"
	for name, c := range map[string]struct {
		header string
		on     bool
		err    error
		spans  int
	}{
		"child":       {parent, true, nil, 1},
		"failed":      {parent, true, errors.New("the applicant's income"), 1},
		"not sampled": {unsampled, true, nil, 0},
		"off":         {parent, false, nil, 0},
		"no trace":    {"", true, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			spans := tracetest.NewInMemoryExporter()
			provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
			defer provider.Shutdown(context.Background())
			var tracer *tracing.Tracer
			if c.on {
				tracer = tracing.New(tracing.Options{Provider: provider, Ratio: 1, System: "memory"})
			}
			inside := ""
			m := incoming(t.Context())
			m.Metadata.Set(bus.HeaderTraceParent, c.header)
			out, err := middleware.Trace(tracer)(func(m *message.Message) ([]*message.Message, error) {
				inside = tracing.From(m.Context())
				own := message.NewMessage("own", nil)
				own.Metadata.Set(bus.HeaderTraceParent, "set by the handler")
				return []*message.Message{message.NewMessage("out", nil), own}, c.err
			})(m)
			if !errors.Is(err, c.err) {
				t.Fatal(err)
			}
			want := c.header
			if c.spans > 0 {
				want = inside
			}
			if got := out[0].Metadata.Get(bus.HeaderTraceParent); got != want {
				t.Errorf("handed on %q, want %q", got, want)
			}
			if got := out[1].Metadata.Get(bus.HeaderTraceParent); got != "set by the handler" {
				t.Errorf("overwritten: %q", got)
			}
			if tracing.From(m.Context()) != "" {
				t.Error("the span outlives its handler")
			}
			got := spans.GetSpans()
			if len(got) != c.spans {
				t.Fatalf("%d spans, want %d", len(got), c.spans)
			}
			for _, s := range got {
				if !strings.HasPrefix(inside, parent[:36]) || s.Parent.SpanID().String() != parent[36:52] || tracing.Format(s.SpanContext) != inside {
					t.Errorf("%s is no child of %s", inside, parent)
				}
				if (s.Status.Code == codes.Error) != (c.err != nil) || strings.Contains(s.Status.Description, "income") {
					t.Errorf("status %v after %v", s.Status, c.err)
				}
			}
		})
	}
}

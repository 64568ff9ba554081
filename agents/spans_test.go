package agents_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"aura/agents"
	"aura/agents/bus"
	"aura/agents/event"
	"aura/agents/tracing"
)

const traced = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// Each handling has one span that ends, of the kind of its failure; what is emitted carries the span of the try that succeeded,
// and what isn't sampled its own context.
func TestSpans(t *testing.T) {
	for name, c := range map[string]struct {
		parent string
		fail   func() error // at the first attempt
		want   []string     // descriptions of the spans' statuses
	}{
		"done":        {traced, func() error { return nil }, []string{""}},
		"failed":      {traced, func() error { return errors.New("no") }, []string{"failed", ""}},
		"not ready":   {traced, func() error { return agents.ErrNotReady }, []string{"not_ready", ""}},
		"crashed":     {traced, func() error { panic("boom") }, []string{"crashed", ""}},
		"not sampled": {traced[:54] + "0", func() error { return nil }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				spans := tracetest.NewInMemoryExporter()
				provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
				defer provider.Shutdown(context.Background())
				r := newRig(t, agents.Options{Tracer: tracing.New(tracing.Options{Provider: provider, System: "memory"})}, 1)
				out := r.mailbox(event.FeaturesTopic)
				tries := 0
				h := handle(func(_ context.Context, m *bus.Message, out *agents.Outbox) error {
					if tries++; tries == 1 {
						if err := c.fail(); err != nil {
							return err
						}
					}
					out.Emit(&event.Features{Subject: m.Event.(*event.RawEvent).Subject})
					return nil
				})
				r.start(agents.Spec{Name: "a", Inputs: []agents.Input{{Topic: event.RawEvents}}, NewHandler: all(h)})
				m := bus.NewMessage(raw("x"), time.Now())
				m.TraceParent = c.parent
				if err := r.bus.Publish(t.Context(), m); err != nil {
					t.Fatal(err)
				}
				pass(5 * time.Second)
				got := spans.GetSpans()
				if len(got) != len(c.want) {
					t.Fatalf("%d spans, want %d: %+v", len(got), len(c.want), got)
				}
				carried := c.parent
				for i, s := range got {
					if s.Status.Description != c.want[i] || (s.Status.Code == codes.Error) != (c.want[i] != "") || s.Parent.SpanID().String() != traced[36:52] {
						t.Errorf("span %d: %v under %v, want %q", i, s.Status, s.Parent.SpanID(), c.want[i])
					}
					carried = tracing.Format(s.SpanContext)
				}
				emitted := drain(t, out)
				if len(emitted) != 1 || emitted[0].TraceParent != carried {
					t.Errorf("%d emitted, want one with %s", len(emitted), carried)
				}
			})
		})
	}
}

package app

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/fx"

	"aura/agents/fault"
	"aura/agents/tracing"
	"aura/app/config"
	"aura/healing/incident"
)

// TestAnIncidentIsATrace: a late model, in fake time. The incident's detection and actions are one trace, with what the actions
// set off in other agents; the detection is linked to what was late then.
func TestAnIncidentIsATrace(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewInMemoryExporter()
	var got tracetest.SpanStubs
	virtually(t, func(c *config.Config) { c.Tracing.Ratio = 1 }, func(w *world) {
		time.Sleep(10 * time.Second)
		w.inject(fault.Fault{Target: "model", Kind: fault.Latency, Delay: 2 * time.Second, Share: 1, TTL: 10 * time.Second})
		time.Sleep(time.Minute)
		ended := w.incidents()
		if len(ended) != 1 || ended[0].State != incident.Resolved {
			t.Fatalf("%d incidents: %+v", len(ended), ended)
		}
		got = spans.GetSpans()
		id := ended[0].ID
		root := tracing.Named(id + "/0")
		mine := slices.DeleteFunc(slices.Clone(got), func(s tracetest.SpanStub) bool { return s.SpanContext.TraceID() != root.TraceID() })
		under := func(parent, name string) tracetest.SpanStub {
			t.Helper()
			for _, s := range mine {
				if s.Name == name && (!s.Parent.IsValid() && parent == "" || s.Parent.SpanID().String() == parent) {
					return s
				}
			}
			t.Fatalf("no %q under %q among %d spans: %v", name, parent, len(mine), names(mine))
			return tracetest.SpanStub{}
		}
		all := under("", "incident LATENCY_SLO_BREACH")
		top := all.SpanContext.SpanID().String()
		if top != root.SpanID().String() || !all.EndTime.Equal(ended[0].ClosedAt) || all.Status.Code == codes.Error {
			t.Errorf("%+v", all)
		}
		if links := under(top, "detect LATENCY_SLO_BREACH").Links; len(links) == 0 || len(links) > 8 {
			t.Errorf("%d links to what was late", len(links))
		} else {
			for _, l := range links {
				if !slices.ContainsFunc(got, func(s tracetest.SpanStub) bool {
					return s.SpanContext.SpanID() == l.SpanContext.SpanID() && s.EndTime.Sub(s.StartTime) > suspectTime
				}) {
					t.Errorf("linked to %v, which was not late", l.SpanContext.SpanID())
				}
			}
		}
		for _, action := range []string{"ENABLE_SAFE_MODE", "DISABLE_SAFE_MODE"} {
			a := under(top, "action "+action).SpanContext.SpanID().String()
			under(a, "approve "+action)
			executed := under(a, "execute "+action)
			under(executed.SpanContext.SpanID().String(), "process config-updates")
		}
		under(under(top, "action ENABLE_SAFE_MODE").SpanContext.SpanID().String(), "verify ENABLE_SAFE_MODE")
		asked := under(top, "process policy-requests")
		under(asked.SpanContext.SpanID().String(), "process policy-decisions")
	}, fx.Replace(spanExporter{spans}))
}

const suspectTime = 300 * time.Millisecond

func names(spans []tracetest.SpanStub) string {
	out := make([]string, len(spans))
	for i, s := range spans {
		out[i] = s.Name
	}
	return strings.Join(out, ", ")
}

// A collector that takes nothing costs a bounded number of spans, each of them counted.
func TestSpansAreLostCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lost := prometheus.NewCounter(prometheus.CounterOpts{Name: "lost"})
		to := &stuckExporter{}
		sink := newSpanSink(to, lost, slog.New(slog.DiscardHandler))
		provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(sink))
		for range spansKept + 100 {
			_, s := provider.Tracer("x").Start(t.Context(), "x")
			s.End()
		}
		if n := counted(t, lost); n != 100 {
			t.Errorf("%v spans are lost, want those that found no room, 100", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), flushWithin)
		defer cancel()
		begun := time.Now()
		if err := provider.Shutdown(ctx); err != nil || time.Since(begun) > flushWithin {
			t.Errorf("the end took %v: %v", time.Since(begun), err)
		}
		synctest.Wait()
		if n := counted(t, lost); n != spansKept+100 {
			t.Errorf("%v spans are lost, want all", n)
		}
	})
}

func counted(t *testing.T, c prometheus.Counter) float64 {
	t.Helper()
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}

// stuckExporter takes nothing until it is told to stop.
type stuckExporter struct{}

func (*stuckExporter) ExportSpans(ctx context.Context, _ []sdktrace.ReadOnlySpan) error {
	<-ctx.Done()
	return ctx.Err()
}
func (*stuckExporter) Shutdown(context.Context) error { return nil }

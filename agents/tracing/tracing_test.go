package tracing_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"aura/agents/tracing"
)

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func tracer(t *testing.T, ratio float64) (*tracing.Tracer, *tracetest.InMemoryExporter) {
	t.Helper()
	spans := tracetest.NewInMemoryExporter()
	p := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans), sdktrace.WithIDGenerator(tracing.IDs{}))
	t.Cleanup(func() { p.Shutdown(context.Background()) })
	return tracing.New(tracing.Options{Provider: p, Ratio: ratio, System: "memory"}), spans
}

func TestParse(t *testing.T) {
	sc, ok := tracing.Parse(parent)
	if !ok || tracing.Format(sc) != parent || !tracing.Sampled(parent) || tracing.TraceID(parent) != parent[3:35] {
		t.Errorf("got %v, %v", sc, ok)
	}
	if _, ok := tracing.Parse("cc" + parent[2:] + "-what-comes-later"); !ok {
		t.Error("a later version is refused")
	}
	for _, bad := range []string{
		"", "00", parent + "-x", "ff" + parent[2:], strings.ToUpper(parent), parent[:len(parent)-1], parent[1:],
		"00-00000000000000000000000000000000-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
		"0x" + parent[2:], strings.Replace(parent, "0af", "0ag", 1), strings.Replace(parent, "0af", "0Af", 1),
	} {
		if sc, ok := tracing.Parse(bad); ok {
			t.Errorf("%q is %v", bad, sc)
		}
	}
	for flag, want := range map[string]bool{"0": false, "1": true, "2": false, "3": true, "a": false, "b": true, "f": true} {
		if tracing.Sampled(parent[:54]+flag) != want {
			t.Errorf("flag %s: want %v", flag, want)
		}
	}
}

// Where nobody asked for a span there is none, and nothing is spent on it.
func TestUnsampled(t *testing.T) {
	on, spans := tracer(t, 0)
	d := tracing.Delivery{Agent: "model", Topic: "features", MessageID: "m"}
	for name, tr := range map[string]*tracing.Tracer{"off": nil, "on": on} {
		for _, p := range []string{"", parent[:54] + "0", "not one"} {
			if n := testing.AllocsPerRun(100, func() {
				ctx, s := tr.Process(t.Context(), p, d)
				s.Fail("failed")
				s.End()
				if ctx != t.Context() || s != nil {
					t.Fatalf("%s: %q has a span", name, p)
				}
			}); n != 0 {
				t.Errorf("%s: %q allocates %v times", name, p, n)
			}
		}
	}
	if n := len(spans.GetSpans()); n != 0 {
		t.Errorf("%d spans", n)
	}
}

func TestRatio(t *testing.T) {
	tr, _ := tracer(t, 0.25)
	n := 0
	for range 4000 {
		if tr.Wanted("") {
			n++
		}
	}
	if n < 800 || n > 1200 { // seven standard deviations
		t.Errorf("%d of 4000 are sampled at a ratio of 0.25", n)
	}
	if tr.Wanted(parent[:54]+"0") || !tr.Wanted(parent) {
		t.Error("the caller's word was not kept")
	}
}

// A Past has the ids that its names give, whoever records it.
func TestRecord(t *testing.T) {
	tr, spans := tracer(t, 0)
	begin := time.Now()
	root, child := tracing.Named("i-1/0"), tracing.Named("i-1/0", "action", "a")
	tr.Record(tracing.Past{At: child, Parent: root, Name: "action", Begin: begin, End: begin.Add(-time.Second), Failed: "DENIED"})
	tr.Record(tracing.Past{At: root, Name: "incident", Begin: begin, End: begin.Add(time.Minute), Links: []trace.SpanContext{child}})
	got := spans.GetSpans()
	if len(got) != 2 {
		t.Fatalf("%d spans", len(got))
	}
	a, i := got[0], got[1]
	if a.SpanContext.SpanID() != child.SpanID() || a.Parent.SpanID() != root.SpanID() || a.SpanContext.TraceID() != root.TraceID() || !a.EndTime.Equal(a.StartTime) || a.Status.Description != "DENIED" {
		t.Errorf("action: %+v", a)
	}
	if i.SpanContext.SpanID() != root.SpanID() || i.Parent.IsValid() || i.EndTime.Sub(i.StartTime) != time.Minute || len(i.Links) != 1 {
		t.Errorf("incident: %+v", i)
	}
}

func TestSuspects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, _ := tracer(t, 0)
		process := func(agent string) *tracing.Span {
			_, s := tr.Process(t.Context(), parent, tracing.Delivery{Agent: agent})
			return s
		}
		begin := time.Now()
		old := process("model")
		time.Sleep(time.Second)
		old.End()
		quick, failed, slow, open := process("model"), process("model"), process("model"), process("model")
		quick.End()
		failed.Fail("crashed")
		failed.End()
		process("feature").Fail("failed")
		time.Sleep(time.Second)
		slow.End()
		want := map[string]bool{failed.TraceParent(): true, slow.TraceParent(): true, open.TraceParent(): true}
		got := tr.Suspects([]string{"model"}, 300*time.Millisecond, begin.Add(500*time.Millisecond))
		for _, sc := range got {
			if !want[tracing.Format(sc)] {
				t.Errorf("%v is no suspect", sc)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%d suspects, want %d", len(got), len(want))
		}
		for range 100 {
			process("model").Fail("failed")
		}
		if n := len(tr.Suspects([]string{"model"}, 0, begin)); n != 8 {
			t.Errorf("%d links", n)
		}
	})
}

func TestLogHandler(t *testing.T) {
	tr, _ := tracer(t, 1)
	ctx, s := tr.Start(t.Context(), "", trace.SpanKindInternal, "x")
	var out bytes.Buffer
	log := slog.New(tracing.LogHandler(slog.NewJSONHandler(&out, nil))).With("component", "x")
	for name, c := range map[string]struct {
		ctx         context.Context
		args        []any
		trace, span any
	}{
		"in a span":     {ctx, nil, s.TraceID(), s.TraceParent()[36:52]},
		"says its own":  {ctx, []any{"trace_id", "own"}, "own", s.TraceParent()[36:52]},
		"without spans": {t.Context(), nil, nil, nil},
	} {
		out.Reset()
		log.InfoContext(c.ctx, "said", c.args...)
		var got map[string]any
		if err := json.Unmarshal(out.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if got["trace_id"] != c.trace || got["span_id"] != c.span || got["component"] != "x" || strings.Count(out.String(), "trace_id") > 1 {
			t.Errorf("%s: %s", name, out.String())
		}
	}
}

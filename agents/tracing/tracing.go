// Package tracing makes OpenTelemetry spans of what agents do, where somebody asked for them.
//
// Whether a trace is sampled is decided once, where it begins: at the caller's, whose word is kept, or here by the ratio. It
// travels as a W3C traceparent beside each message, so who handles one knows by a look at the flag: an event that isn't
// sampled costs that look, and nothing where tracing is off (a nil *Tracer, whose methods all may be called).
//
// A span says where time went and what failed, by kind: no features, no texts of errors, no ids of clients.
// The package imports OpenTelemetry's API and nothing of ours; app has the SDK and the exporter.
package tracing

import (
	"context"
	"encoding/hex"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// Scope is the name of the instrumentation.
const Scope = "aura"

// Options of a Tracer.
type Options struct {
	Provider trace.TracerProvider
	// Ratio is the share, 0 to 1, of what begins here without a trace of its own that is sampled.
	Ratio float64
	// System names the bus, as messaging.system has it.
	System string
}

// Tracer makes spans. It is safe for use by many goroutines; nil makes none.
type Tracer struct {
	tracer trace.Tracer
	ratio  float64
	system attribute.KeyValue
	recent recent
}

// New makes a tracer.
func New(o Options) *Tracer {
	return &Tracer{tracer: o.Provider.Tracer(Scope), ratio: o.Ratio, system: attribute.String("messaging.system", o.System)}
}

// Span is a sampled span; nil is none, and its methods do nothing.
type Span struct {
	span   trace.Span
	parent string
	began  time.Time
	ended  atomic.Int64 // nanoseconds after began, at least 1; 0 while it is open
	failed atomic.Bool
}

// Wanted decides whether there is to be a span: for a W3C traceparent its flag says, for none the ratio. Ask once, before
// anything is spent on the span.
func (t *Tracer) Wanted(parent string) bool {
	return t != nil && (parent == "" && rand.Float64() < t.ratio || Sampled(parent))
}

// Start begins a span as a child of the W3C traceparent, or as the first of a new trace where that is empty. Where tracing is
// off, or the parent isn't sampled, it yields ctx as it is and nil.
func (t *Tracer) Start(ctx context.Context, parent string, kind trace.SpanKind, name string, attributes ...attribute.KeyValue) (context.Context, *Span) {
	if t == nil {
		return ctx, nil
	}
	options := []trace.SpanStartOption{trace.WithSpanKind(kind), trace.WithAttributes(attributes...)}
	if parent == "" {
		options = append(options, trace.WithNewRoot())
	} else {
		if !Sampled(parent) {
			return ctx, nil
		}
		of, ok := Parse(parent)
		if !ok {
			return ctx, nil
		}
		ctx = trace.ContextWithRemoteSpanContext(ctx, of)
	}
	ctx, span := t.tracer.Start(ctx, name, options...)
	return ctx, &Span{span: span, parent: Format(span.SpanContext()), began: time.Now()}
}

// Delivery is a message in the hands of an agent.
type Delivery struct {
	Agent, Topic, MessageID string
	Lane, Attempt           int
	Incarnation             int64
}

// Process begins the span of one handling of a message.
func (t *Tracer) Process(ctx context.Context, parent string, d Delivery) (context.Context, *Span) {
	if t == nil || !Sampled(parent) {
		return ctx, nil
	}
	ctx, s := t.Start(ctx, parent, trace.SpanKindConsumer, "process "+d.Topic,
		t.system, attribute.String("messaging.operation.name", "process"), attribute.String("messaging.operation.type", "process"),
		attribute.String("messaging.destination.name", d.Topic), attribute.String("messaging.message.id", d.MessageID),
		attribute.String("aura.agent", d.Agent), attribute.Int("aura.lane", d.Lane), attribute.Int("aura.attempt", d.Attempt),
		attribute.Int64("aura.incarnation", d.Incarnation))
	if s != nil {
		t.recent.add(d.Agent, s)
	}
	return ctx, s
}

// TraceParent is what the span hands on: a W3C traceparent, "" for none.
func (s *Span) TraceParent() string {
	if s == nil {
		return ""
	}
	return s.parent
}

// TraceID is the id of the span's trace in 32 hex digits, "" for none.
func (s *Span) TraceID() string {
	if s == nil {
		return ""
	}
	return TraceID(s.parent)
}

// Rename names the span by what is known only after its begin, with attributes.
func (s *Span) Rename(name string, attributes ...attribute.KeyValue) {
	if s != nil {
		s.span.SetName(name)
		s.span.SetAttributes(attributes...)
	}
}

// Fail marks the span as failed. kind is of a list that the code has, such as "crashed"; never the text of an error, which may
// quote what a client sent. It does not end the span.
func (s *Span) Fail(kind string) {
	if s != nil {
		s.failed.Store(true)
		s.span.SetStatus(codes.Error, kind)
		s.span.SetAttributes(attribute.String("error.type", kind))
	}
}

// End ends the span. Only the first call counts.
func (s *Span) End() {
	if s != nil && s.ended.CompareAndSwap(0, max(1, int64(time.Since(s.began)))) {
		s.span.End()
	}
}

// From is the traceparent of the span that ctx belongs to, "" where none is sampled.
func From(ctx context.Context) string {
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() && sc.IsSampled() {
		return Format(sc)
	}
	return ""
}

// width of a traceparent of version 00.
const width = len("00-") + 32 + len("-") + 16 + len("-01")

// Sampled reports whether a traceparent has the flag. It only looks; Parse tells whether it is one.
func Sampled(parent string) bool {
	if len(parent) < width {
		return false
	}
	switch parent[width-1] {
	case '1', '3', '5', '7', '9', 'b', 'd', 'f':
		return true
	}
	return false
}

// TraceID is the id within a traceparent, "" if there is none.
func TraceID(parent string) string {
	if len(parent) < width {
		return ""
	}
	return parent[3:35]
}

// Parse reads a W3C traceparent (version-traceid-parentid-flags). ok is false for what the recommendation calls invalid.
func Parse(parent string) (sc trace.SpanContext, ok bool) {
	if len(parent) < width || parent[2] != '-' || parent[35] != '-' || parent[52] != '-' || parent[:2] == "ff" {
		return sc, false
	}
	if len(parent) > width && (parent[:2] == "00" || parent[width] != '-') {
		return sc, false
	}
	var version, flags [1]byte
	var id trace.TraceID
	var span trace.SpanID
	if !lowerHex(version[:], parent[:2]) || !lowerHex(id[:], parent[3:35]) || !lowerHex(span[:], parent[36:52]) || !lowerHex(flags[:], parent[53:width]) {
		return sc, false
	}
	sc = trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: span, TraceFlags: trace.TraceFlags(flags[0]), Remote: true})
	return sc, sc.IsValid()
}

// lowerHex decodes hex digits in lower case, twice as many as dst has bytes.
func lowerHex(dst []byte, s string) bool {
	for i := range len(s) {
		if s[i] >= 'A' && s[i] <= 'F' {
			return false
		}
	}
	_, err := hex.Decode(dst, []byte(s))
	return err == nil
}

// Format writes a span context as a traceparent, version 00.
func Format(sc trace.SpanContext) string {
	return "00-" + sc.TraceID().String() + "-" + sc.SpanID().String() + "-" + sc.TraceFlags().String()
}

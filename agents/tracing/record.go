package tracing

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// Named is the place in a trace that names give: the same for every life and process that goes on with what they name. The
// first name is the trace's, all together are the span's.
func Named(names ...string) trace.SpanContext {
	var id trace.TraceID
	var span trace.SpanID
	of := sha256.Sum256([]byte(names[0]))
	copy(id[:], of[:])
	h := sha256.New()
	for _, name := range names {
		h.Write([]byte(name))
		h.Write([]byte{0})
	}
	copy(span[:], h.Sum(nil))
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: span, TraceFlags: trace.FlagsSampled, Remote: true})
}

// Past is a span that is known only once it is over.
type Past struct {
	// At is the span's place; Parent its parent's in the same trace, zero for the first of the trace.
	At, Parent trace.SpanContext
	Name       string
	Begin, End time.Time
	Attributes []attribute.KeyValue
	Links      []trace.SpanContext
	// Failed is the kind of its failure, "" for none.
	Failed string
}

// Record makes a span of what is over.
func (t *Tracer) Record(p Past) {
	if t == nil {
		return
	}
	ctx := context.WithValue(context.Background(), placeKey{}, p.At)
	if p.End.Before(p.Begin) {
		p.End = p.Begin // the clock was put back in between
	}
	options := []trace.SpanStartOption{trace.WithTimestamp(p.Begin), trace.WithAttributes(p.Attributes...)}
	if p.Parent.IsValid() {
		ctx = trace.ContextWithRemoteSpanContext(ctx, p.Parent)
	}
	for _, l := range p.Links {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: l}))
	}
	_, span := t.tracer.Start(ctx, p.Name, options...)
	if p.Failed != "" {
		span.SetStatus(codes.Error, p.Failed)
		span.SetAttributes(attribute.String("error.type", p.Failed))
	}
	span.End(trace.WithTimestamp(p.End))
}

type placeKey struct{}

// IDs makes the ids of spans for the SDK, as its IDGenerator: those that a Past has, or random ones.
type IDs struct{}

// NewIDs makes the ids of the first span of a trace.
func (g IDs) NewIDs(ctx context.Context) (id trace.TraceID, span trace.SpanID) {
	if at, ok := ctx.Value(placeKey{}).(trace.SpanContext); ok {
		return at.TraceID(), at.SpanID()
	}
	binary.NativeEndian.PutUint64(id[:8], rand.Uint64())
	binary.NativeEndian.PutUint64(id[8:], rand.Uint64()|1) // never all zero
	return id, g.NewSpanID(ctx, id)
}

// NewSpanID makes the id of a further span.
func (IDs) NewSpanID(ctx context.Context, _ trace.TraceID) (span trace.SpanID) {
	if at, ok := ctx.Value(placeKey{}).(trace.SpanContext); ok {
		return at.SpanID()
	}
	binary.NativeEndian.PutUint64(span[:], rand.Uint64()|1)
	return span
}

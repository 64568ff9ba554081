package ingestion

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"aura/agents/tracing"
)

// begin begins a span for each application that is sampled, which then goes on in its trace. An application that has a trace
// id has been judged at the edge already, and one that came with a trace context by its sender.
func (in *Intake) begin(ctx context.Context, applications []Application) (out []Application, spans []*tracing.Span) {
	out = applications
	if in.Tracer == nil {
		return out, nil
	}
	caller := tracing.From(ctx)
	for i, a := range applications {
		parent := cmp.Or(a.TraceParent, caller)
		if parent == "" && a.TraceID != "" || !in.Tracer.Wanted(parent) {
			continue
		}
		_, s := in.Tracer.Start(ctx, parent, trace.SpanKindInternal, "accept application", attribute.String("aura.agent", Name),
			attribute.String("aura.source", a.Source))
		if s == nil {
			continue
		}
		if spans == nil {
			out = slices.Clone(applications) // the caller may submit his own again
		}
		out[i].TraceParent, out[i].TraceID = s.TraceParent(), s.TraceID()
		spans = append(spans, s)
	}
	return out, spans
}

func end(spans []*tracing.Span, err error) {
	kind := ""
	switch {
	case err == nil:
	case errors.Is(err, ErrFull):
		kind = "full"
	case errors.Is(err, ErrStopping):
		kind = "stopping"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		kind = "timeout"
	default:
		kind = "failed"
	}
	for _, s := range spans {
		if kind != "" {
			s.Fail(kind)
		}
		s.End()
	}
}

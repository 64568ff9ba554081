package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"aura/agents/tracing"
	"aura/app/config"
	"aura/store/complaint"
)

const (
	// spansKept bounds the spans that wait for the collector; the next ones are dropped.
	spansKept = 4096
	// exportWithin bounds one delivery to the collector, flushWithin the last ones when the process ends.
	exportWithin, flushWithin = 5 * time.Second, 2 * time.Second
)

// spanExporter is where spans go: the collector that the configuration names, or nil for nowhere, which is tracing off.
type spanExporter struct{ sdktrace.SpanExporter }

func newSpanExporter(ctx context.Context, cfg config.Config) (spanExporter, error) {
	if cfg.Tracing.Endpoint == "" {
		return spanExporter{}, nil
	}
	base, err := url.Parse(cfg.Tracing.Endpoint)
	if err != nil {
		return spanExporter{}, refuse("tracing.endpoint: %v", err)
	}
	// Nothing is sent yet: a collector that is away keeps no process from starting.
	e, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(base.JoinPath("v1", "traces").String()), otlptracehttp.WithTimeout(exportWithin),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: true, InitialInterval: time.Second, MaxInterval: exportWithin, MaxElapsedTime: exportWithin}))
	if err != nil {
		return spanExporter{}, fmt.Errorf("tracing: %w", err)
	}
	return spanExporter{e}, nil
}

// spanSink hands spans to the exporter in batches, beside the data path: what it has no room for is dropped and counted.
type spanSink struct {
	to      sdktrace.SpanExporter
	batches sdktrace.SpanProcessor
	waiting atomic.Int64
	lost    prometheus.Counter
	failing complaint.Log
	log     *slog.Logger
	closed  context.Context // ends what is being delivered when the time to flush is over
	cut     context.CancelFunc
}

func newSpanSink(to sdktrace.SpanExporter, lost prometheus.Counter, log *slog.Logger) *spanSink {
	s := &spanSink{to: to, lost: lost, log: log}
	s.closed, s.cut = context.WithCancel(context.Background())
	// The queue has room for whatever is let in, so that nothing is lost uncounted.
	s.batches = sdktrace.NewBatchSpanProcessor(exporterOf{s}, sdktrace.WithMaxQueueSize(spansKept), sdktrace.WithBatchTimeout(time.Second),
		sdktrace.WithExportTimeout(exportWithin))
	return s
}

// OnStart implements the SDK's SpanProcessor.
func (s *spanSink) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

// OnEnd implements the SDK's SpanProcessor. It waits for nothing.
func (s *spanSink) OnEnd(span sdktrace.ReadOnlySpan) {
	if s.waiting.Add(1) > spansKept {
		s.waiting.Add(-1)
		s.lose(1, errors.New("too many spans wait for the collector"))
		return
	}
	s.batches.OnEnd(span)
}

func (s *spanSink) lose(n int, err error) {
	s.lost.Add(float64(n))
	s.failing.Say(s.log, slog.LevelWarn, "spans are lost; the collector that tracing.endpoint names doesn't take them", "n", n, "err", err)
}

// ForceFlush implements the SDK's SpanProcessor.
func (s *spanSink) ForceFlush(ctx context.Context) error { return s.batches.ForceFlush(ctx) }

// Shutdown delivers what waits, as long as ctx lives, and ends the exporter. What a collector that hangs did not take is lost.
func (s *spanSink) Shutdown(ctx context.Context) error {
	defer context.AfterFunc(ctx, s.cut)()
	defer s.cut()
	return s.batches.Shutdown(context.WithoutCancel(ctx)) // once cut, each delivery ends at once
}

// exporterOf is the exporter as the batches see it: failures are counted here and are no news to them.
type exporterOf struct{ sink *spanSink }

func (e exporterOf) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	s := e.sink
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.closed, cancel)()
	err := s.to.ExportSpans(ctx, spans)
	s.waiting.Add(-int64(len(spans)))
	if err != nil {
		s.lose(len(spans), err)
	}
	return nil
}

func (e exporterOf) Shutdown(ctx context.Context) error { return e.sink.to.Shutdown(ctx) }

// spansFlushed is the end of tracing: it delivers what waits, within its time.
type spansFlushed func(context.Context) error

func (f spansFlushed) step() Step {
	if f == nil {
		return Step{}
	}
	return Step{Name: "traces", Stop: f}
}

// newTracer returns nil where spans go nowhere.
func newTracer(cfg config.Config, to spanExporter, name instance, tel *telemetry, log *slog.Logger, opened *closers) (*tracing.Tracer, spansFlushed) {
	if to.SpanExporter == nil {
		return nil, nil
	}
	sink := newSpanSink(to, tel.spansLost, log.With("component", "tracing"))
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithSpanProcessor(sink), sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.AlwaysSample())),
		sdktrace.WithIDGenerator(tracing.IDs{}),
		sdktrace.WithRawSpanLimits(sdktrace.SpanLimits{
			AttributeValueLengthLimit: 256, AttributeCountLimit: 32, EventCountLimit: 8, LinkCountLimit: 16,
			AttributePerEventCountLimit: 8, AttributePerLinkCountLimit: 8,
		}),
		sdktrace.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "aura"), attribute.String("service.version", Version()), attribute.String("service.instance.id", string(name)))),
	)
	flush := func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, flushWithin)
		defer cancel()
		return provider.Shutdown(ctx)
	}
	opened.add(flush)
	return tracing.New(tracing.Options{Provider: provider, Ratio: cfg.Tracing.Ratio, System: cfg.Bus.Kind}), flush
}

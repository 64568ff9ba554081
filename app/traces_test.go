//go:build linux

package app_test

import (
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"aura/agents/bus/kafkatest"
	"aura/agents/fault"
	"aura/app/config"
)

const callersTrace, callersSpan = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"

// otlpCollector is a collector that takes spans by OTLP over HTTP.
type otlpCollector struct {
	*httptest.Server
	mu    sync.Mutex
	spans []*otlp.Span
	wrong []string
}

func newCollector(t *testing.T) *otlpCollector {
	c := &otlpCollector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if err := c.take(r); err != nil {
			c.wrong = append(c.wrong, err.Error())
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *otlpCollector) take(r *http.Request) error {
	if r.Method != http.MethodPost || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		return fmt.Errorf("%s %s of %s", r.Method, r.URL.Path, r.Header.Get("Content-Type"))
	}
	var from io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(r.Body)
		if err != nil {
			return err
		}
		from = unzipped
	}
	raw, err := io.ReadAll(from)
	if err != nil {
		return err
	}
	var request collector.ExportTraceServiceRequest
	if err := proto.Unmarshal(raw, &request); err != nil {
		return err
	}
	for _, rs := range request.ResourceSpans {
		if !strings.Contains(rs.Resource.String(), "service.name") {
			return fmt.Errorf("the resource has no name: %v", rs.Resource)
		}
		for _, ss := range rs.ScopeSpans {
			c.spans = append(c.spans, ss.Spans...)
		}
	}
	return nil
}

// of are the spans of a trace that came.
func (c *otlpCollector) of(t *testing.T, trace string) (out []*otlp.Span) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.wrong {
		t.Error(w)
	}
	for _, s := range c.spans {
		if hex.EncodeToString(s.TraceId) == trace {
			out = append(out, s)
		}
	}
	return out
}

// descent looks in spans for one line of descent from the caller's span, each the parent of the next, and says what is missing.
// A step may be there twice: on a bus that doesn't say what it holds, an application whose first decision takes longer than
// sweep.min_age is published again, as a child of the same span.
func descent(spans []*otlp.Span, names ...string) (missing string) {
	parents := map[string]bool{callersSpan: true}
	for _, name := range names {
		found := map[string]bool{}
		for _, s := range spans {
			if s.Name == name && parents[hex.EncodeToString(s.ParentSpanId)] {
				found[hex.EncodeToString(s.SpanId)] = true
			}
		}
		if len(found) == 0 {
			return fmt.Sprintf("no %q under %v in %s", name, slices.Sorted(maps.Keys(parents)), told(spans))
		}
		parents = found
	}
	return ""
}

// told lists spans, each with its parent and its name.
func told(spans []*otlp.Span) string {
	var out strings.Builder
	for _, s := range spans {
		fmt.Fprintf(&out, "\n%x under %x: %s", s.SpanId, s.ParentSpanId, s.Name)
	}
	return out.String()
}

// tracedWay is the way of an application whose caller traces it.
var tracedWay = []string{"POST /api/v1/applications", "accept application", "process raw-events", "process features", "process predictions"}

const oneApplication = `{"application_id": "traced", "features": {"credit_score": 540.5, "debt_ratio": 62, "income": 24000.5, "loan_amount": 30000, "employment_years": 1}}`

// postTraced posts one application with the caller's trace and waits until nothing is missing in what the collector has of it.
func (c *otlpCollector) postTraced(t *testing.T, r *running, missing func([]*otlp.Span) string) []*otlp.Span {
	t.Helper()
	<-r.parts.Sweeper.Recovered() // what is accepted before that may be taken for an earlier run's, whose spans are gone
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.api("applications"), strings.NewReader(oneApplication))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Traceparent", "00-"+callersTrace+"-"+callersSpan+"-01")
	request.Header.Set("Prefer", "wait=10")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, _ := io.ReadAll(response.Body); response.StatusCode != http.StatusOK || !strings.Contains(string(body), callersTrace) {
		t.Fatalf("%s: %s", response.Status, body)
	}
	until(t, 30*time.Second, "spans", func() string { return missing(c.of(t, callersTrace)) })
	return c.of(t, callersTrace)
}

// TestATraceIsWhole: from the caller's span through HTTP and all agents to the decision, parent by parent, at a real collector.
// Where the model failed at first, both tries are there.
func TestATraceIsWhole(t *testing.T) {
	t.Parallel()
	for _, bus := range []string{"memory", "gochannel"} {
		t.Run(bus, func(t *testing.T) {
			c := newCollector(t)
			r := run(t, func(cfg *config.Config) {
				cfg.Bus.Kind, cfg.Tracing.Endpoint, cfg.Tracing.Ratio = bus, c.URL, 0
			})
			r.inject(fault.Fault{Target: "model", Kind: fault.Error, Share: 1, TTL: time.Minute, Times: 1})
			spans := c.postTraced(t, r, func(spans []*otlp.Span) string {
				if !slices.ContainsFunc(spans, hasFailed) {
					return "the first try of the model, in" + told(spans)
				}
				return descent(spans, tracedWay...)
			})
			failed := 0
			for _, s := range spans {
				if hasFailed(s) {
					failed++
					if s.Name != "process features" || s.Status.Message != "failed" {
						t.Errorf("%s: %v", s.Name, s.Status)
					}
				}
				for _, secret := range []string{"24000.5", "540.5", "credit_score"} { // with points, which no id has
					if strings.Contains(strings.Join(strings.Fields(fmt.Sprint(s.Attributes, s.Events)), " "), secret) {
						t.Errorf("%s tells %s: %v", s.Name, secret, s.Attributes)
					}
				}
			}
			if failed != 1 {
				t.Errorf("%d spans have failed, want the first try of the model", failed)
			}
			r.stop()
			if log := r.log.String(); !strings.Contains(log, "trace_id="+callersTrace) {
				t.Errorf("the log of the failure names no trace:\n%s", log)
			}
		})
	}
}

func hasFailed(s *otlp.Span) bool { return s.Status.GetCode() == otlp.Status_STATUS_CODE_ERROR }

// TestACollectorThatHangs delays nothing: applications are decided, and the process ends in its time.
func TestACollectorThatHangs(t *testing.T) {
	t.Parallel()
	asked, end := make(chan struct{}, 100), make(chan struct{})
	hangs := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case asked <- struct{}{}:
		default:
		}
		select {
		case <-end:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(hangs.Close)
	t.Cleanup(func() { close(end) })
	r := run(t, func(cfg *config.Config) { cfg.Tracing.Endpoint, cfg.Tracing.Ratio = hangs.URL, 1 })
	for i := range 50 {
		r.must(http.StatusOK, http.MethodPost, "applications", map[string]any{
			"application_id": fmt.Sprint("a-", i),
			"features":       map[string]any{"credit_score": 540.5, "debt_ratio": 62, "income": 24000.5, "loan_amount": 30000, "employment_years": 1},
		}, nil)
	}
	<-asked
	begun := time.Now()
	r.stop()
	if took := time.Since(begun); took > 4*time.Second {
		t.Errorf("the end took %v", took)
	}
	if log := r.log.String(); !strings.Contains(log, "spans are lost") {
		t.Errorf("that spans are lost is not said:\n%s", log)
	}
}

// tracedOverKafka: the same line of descent where each step is a record of a broker.
func tracedOverKafka(t *testing.T, b *kafkatest.Broker) {
	c := newCollector(t)
	r := run(t, func(cfg *config.Config) {
		cfg.Bus.Kind, cfg.Kafka.Brokers, cfg.Kafka.Prefix, cfg.Kafka.Partitions = "kafka", []string{b.Addr()}, fmt.Sprintf("t%d-", prefixes.Add(1)), 2
		cfg.Tracing.Endpoint, cfg.Tracing.Ratio = c.URL, 0
	})
	c.postTraced(t, r, func(spans []*otlp.Span) string { return descent(spans, tracedWay...) })
}

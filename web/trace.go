package web

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

type traceKey struct{}

// withTrace gives each request its W3C trace id: the one it came with, or a new one.
func withTrace(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := parseTraceparent(r.Header.Get("Traceparent"))
		if id == "" {
			id = newTraceID()
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), traceKey{}, id)))
	})
}

// trace gives a request a span: a sampled caller's any, and one of its own, now and then as the ratio has it, what may change
// something. Pages, probes and streams that nobody asked a trace of begin none. It comes after the guard, so that strangers
// make no spans.
func (s *Server) trace(next http.Handler) http.Handler {
	t := s.options.Tracer
	if t == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		parent := r.Header.Get("Traceparent")
		if parseTraceparent(parent) == "" {
			parent = ""
		}
		if parent == "" && isSafe(r.Method) || r.URL.Path == eventsPath || !t.Wanted(parent) {
			next.ServeHTTP(w, r)
			return
		}
		method := knownMethod(r.Method)
		ctx, span := t.Start(r.Context(), parent, trace.SpanKindServer, method, attribute.String("http.request.method", method))
		if span == nil {
			next.ServeHTTP(w, r)
			return
		}
		recorder := &statusRecorder{ResponseWriter: w}
		defer func() {
			code, route := recorder.code(), chi.RouteContext(ctx).RoutePattern()
			span.Rename(strings.TrimSpace(method+" "+route), attribute.String("http.route", route), attribute.Int("http.response.status_code", code))
			if code >= http.StatusInternalServerError {
				span.Fail(strconv.Itoa(code))
			}
			span.End()
		}()
		next.ServeHTTP(recorder, r.WithContext(context.WithValue(ctx, traceKey{}, span.TraceID())))
	})
}

// traceOf returns the trace id of a request's context, or "".
func traceOf(ctx context.Context) string {
	id, _ := ctx.Value(traceKey{}).(string)
	return id
}

// parseTraceparent returns the trace id of a W3C traceparent header (version-traceid-parent-flags), or "" if it is none.
func parseTraceparent(h string) string {
	if len(h) < 55 || h[2] != '-' || h[35] != '-' || h[52] != '-' || h[:2] == "ff" {
		return ""
	}
	if len(h) > 55 && (h[:2] == "00" || h[55] != '-') {
		return ""
	}
	if !isHex(h[:2]) || !isHex(h[3:35]) || !isHex(h[36:52]) || !isHex(h[53:55]) {
		return ""
	}
	if h[3:35] == "00000000000000000000000000000000" || h[36:52] == "0000000000000000" {
		return ""
	}
	return h[3:35]
}

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func newTraceID() string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], rand.Uint64())
	binary.BigEndian.PutUint64(b[8:], rand.Uint64()|1) // never all zero
	return hex.EncodeToString(b[:])
}

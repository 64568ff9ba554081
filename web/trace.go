package web

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net/http"
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

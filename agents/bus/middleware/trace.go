package middleware

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"strings"

	"github.com/ThreeDotsLabs/watermill/message"

	"aura/agents/bus"
)

// Span is a place in a trace: the W3C Trace Context (level 1) of a message or of a handler.
type Span struct {
	TraceID [16]byte
	SpanID  [8]byte
	Flags   byte
}

// ParseTraceParent reads a traceparent header. ok is false for what the recommendation calls invalid.
func ParseTraceParent(s string) (span Span, ok bool) {
	parts := strings.Split(s, "-")
	if len(parts) < 4 || len(parts[0]) != 2 || parts[0] == "ff" || parts[0] == "00" && len(parts) != 4 {
		return Span{}, false
	}
	var version, flags [1]byte
	if !lowerHex(version[:], parts[0]) || !lowerHex(span.TraceID[:], parts[1]) || !lowerHex(span.SpanID[:], parts[2]) ||
		!lowerHex(flags[:], parts[3]) || span.TraceID == [16]byte{} || span.SpanID == [8]byte{} {
		return Span{}, false
	}
	span.Flags = flags[0]
	return span, true
}

// lowerHex decodes exactly len(dst) bytes of lower-case hex.
func lowerHex(dst []byte, s string) bool {
	if len(s) != 2*len(dst) || strings.ToLower(s) != s {
		return false
	}
	_, err := hex.Decode(dst, []byte(s))
	return err == nil
}

// String formats the span as a traceparent header, version 00.
func (s Span) String() string {
	return "00-" + hex.EncodeToString(s.TraceID[:]) + "-" + hex.EncodeToString(s.SpanID[:]) + "-" + hex.EncodeToString([]byte{s.Flags})
}

// child returns a new span of the same trace, or of a new one if s is zero.
func (s Span) child() Span {
	for s.TraceID == [16]byte{} {
		binary.BigEndian.PutUint64(s.TraceID[:8], rand.Uint64())
		binary.BigEndian.PutUint64(s.TraceID[8:], rand.Uint64())
	}
	binary.BigEndian.PutUint64(s.SpanID[:], rand.Uint64()|1)
	return s
}

type spanKey struct{}

// SpanFrom returns the span of the handler that ctx belongs to.
func SpanFrom(ctx context.Context) (Span, bool) {
	s, ok := ctx.Value(spanKey{}).(Span)
	return s, ok
}

// Trace gives each handling a span of its own, as a child of the message's (or the first of a new trace), and hands it
// on to the messages that the handler yields, unless they have one already.
func Trace(h message.HandlerFunc) message.HandlerFunc {
	return func(m *message.Message) ([]*message.Message, error) {
		parent, _ := ParseTraceParent(m.Metadata.Get(bus.HeaderTraceParent))
		span := parent.child()
		outer := m.Context()
		defer m.SetContext(outer)
		m.SetContext(context.WithValue(outer, spanKey{}, span))
		out, err := h(m)
		for _, o := range out {
			if o.Metadata.Get(bus.HeaderTraceParent) == "" {
				o.Metadata.Set(bus.HeaderTraceParent, span.String())
			}
		}
		return out, err
	}
}

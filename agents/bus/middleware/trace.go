package middleware

import (
	"github.com/ThreeDotsLabs/watermill/message"

	"aura/agents/bus"
	"aura/agents/tracing"
)

// Trace gives each handling of a sampled message a span, as a child of the message's, and hands it on to the messages that the
// handler yields, unless they have one already. What isn't sampled hands on what it came with. t may be nil.
func Trace(t *tracing.Tracer) message.HandlerMiddleware {
	return func(h message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) {
			parent := m.Metadata.Get(bus.HeaderTraceParent)
			outer := m.Context()
			defer m.SetContext(outer)
			ctx, span := t.Process(outer, parent, tracing.Delivery{
				Agent: message.HandlerNameFromCtx(outer), Topic: message.SubscribeTopicFromCtx(outer), MessageID: m.UUID, Attempt: 1,
			})
			defer span.End()
			if span != nil {
				m.SetContext(ctx)
				parent = span.TraceParent()
			}
			out, err := h(m)
			if err != nil {
				span.Fail(string(resultOf(m, err)))
			}
			for _, o := range out {
				if parent != "" && o.Metadata.Get(bus.HeaderTraceParent) == "" {
					o.Metadata.Set(bus.HeaderTraceParent, parent)
				}
			}
			return out, err
		}
	}
}

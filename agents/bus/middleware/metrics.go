package middleware

import (
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// Result says what came of a message.
type Result string

// Results. An interrupted message was neither handled nor at fault: the handler was fenced, or the process ends.
const (
	Handled     Result = "handled"
	Failed      Result = "failed"
	Interrupted Result = "interrupted"
)

// Observe is told of each message once: by which handler (Watermill's name for it), with which result, in what time.
// It is called on the handler's goroutine.
type Observe func(handler string, result Result, took time.Duration)

// Metrics observes the handler; what is tried again inside of it counts once.
func Metrics(observe Observe) message.HandlerMiddleware {
	return func(h message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) {
			start := time.Now()
			out, err := h(m)
			observe(message.HandlerNameFromCtx(m.Context()), resultOf(m, err), time.Since(start))
			return out, err
		}
	}
}

func resultOf(m *message.Message, err error) Result {
	switch {
	case err != nil && ends(m, err):
		return Interrupted
	case err != nil:
		return Failed
	}
	return Handled
}

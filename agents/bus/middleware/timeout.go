package middleware

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// ErrTimeout says that the handler ran into its own time limit. It is a failure of the handler, not the end of the
// process, so it doesn't wrap the context's error: it is tried again and may end as a dead letter.
var ErrTimeout = errors.New("middleware: handler timed out")

// Timeout cancels the message's context after d. Go can't stop a handler that ignores its context.
func Timeout(d time.Duration) message.HandlerMiddleware {
	return func(h message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) {
			outer := m.Context()
			ctx, cancel := context.WithTimeoutCause(outer, d, ErrTimeout)
			defer func() {
				cancel()
				m.SetContext(outer) // the next attempt has a limit of its own
			}()
			m.SetContext(ctx)
			out, err := h(m)
			if err != nil && outer.Err() == nil && context.Cause(ctx) == ErrTimeout { //nolint:errorlint // the cause itself
				return nil, fmt.Errorf("%w after %v: %v", ErrTimeout, d, err) //nolint:errorlint // see ErrTimeout
			}
			return out, err
		}
	}
}

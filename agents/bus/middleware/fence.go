package middleware

import (
	"context"
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"
)

// ErrFenced says that the handler is no longer in charge: a newer incarnation or lease epoch is.
var ErrFenced = errors.New("middleware: fenced")

// Fence asks before the handler runs and again before its result counts whether it is still in charge; check returns an
// error if not. Watermill's Router publishes what a handler yields without looking whether it was replaced meanwhile,
// so the late result of an abandoned handler has to be refused here.
func Fence(check func(context.Context) error) message.HandlerMiddleware {
	return func(h message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) {
			if err := check(m.Context()); err != nil {
				return nil, fmt.Errorf("%w before the handler: %w", ErrFenced, err)
			}
			out, err := h(m)
			if fenced := check(m.Context()); fenced != nil {
				return nil, errors.Join(fmt.Errorf("%w, result refused: %w", ErrFenced, fenced), err)
			}
			return out, err
		}
	}
}

// Package middleware is what surrounds a Watermill handler of the control plane: one concern a file, each a
// message.HandlerMiddleware. The data path doesn't use it; the supervisor does the like once a batch.
//
// Chain puts them together in the one order that works, from the outside in:
//
//	Trace       the whole handling belongs to one span
//	DeadLetter  takes what Retry gave up
//	Metrics     one observation a message, of what came of all attempts; a dead letter is a failure
//	Retry       each attempt is bounded, fenced and recovered by itself
//	Timeout     bounds one attempt
//	Fence       looks before the handler and again before its result counts
//	Recover     a panic is an error to all others
//
// A refusal (ErrFenced) and the end of the process (a cancelled context, a closed bus) pass through all of them as they
// are: neither tried again nor made a dead letter. The message is nacked and goes to whoever is in charge next.
//
// It imports bus, event, tracing and Watermill. Middleware blocks only in Retry's pause, which ends with the message's context.
package middleware

import (
	"context"
	"errors"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"aura/agents/bus"
	"aura/agents/tracing"
)

// Options says what Chain consists of. Nil and zero parts are left out; Trace and Recover are always there.
type Options struct {
	Tracer     *tracing.Tracer
	DeadLetter *DeadLetters
	Observe    Observe
	Retry      *Backoff
	Timeout    time.Duration
	Fence      func(context.Context) error
}

// Chain combines the middleware in the order of the package's comment.
func Chain(o Options) message.HandlerMiddleware {
	chain := []message.HandlerMiddleware{Trace(o.Tracer)}
	if o.DeadLetter != nil {
		chain = append(chain, o.DeadLetter.Middleware)
	}
	if o.Observe != nil {
		chain = append(chain, Metrics(o.Observe))
	}
	if o.Retry != nil {
		chain = append(chain, Retry(*o.Retry))
	}
	if o.Timeout > 0 {
		chain = append(chain, Timeout(o.Timeout))
	}
	if o.Fence != nil {
		chain = append(chain, Fence(o.Fence))
	}
	chain = append(chain, Recover)
	return func(h message.HandlerFunc) message.HandlerFunc {
		for i := len(chain) - 1; i >= 0; i-- {
			h = chain[i](h)
		}
		return h
	}
}

// ends reports whether err says nothing about the message: its handler was refused or interrupted, or the bus had no
// room or is gone. A deadline that ran out while the message's own context lives is a failure like any other.
func ends(m *message.Message, err error) bool {
	return m.Context().Err() != nil ||
		errors.Is(err, context.Canceled) ||
		errors.Is(err, ErrFenced) || errors.Is(err, bus.ErrClosed) || errors.Is(err, bus.ErrFull)
}

package middleware

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// Backoff says how often and how fast a failed message is tried again.
type Backoff struct {
	// Attempts in all, at least 1.
	Attempts int
	// First is the pause after the first failure; each further one is twice as long, up to Max.
	First, Max time.Duration
	// Jitter is the part of each pause that is random (0 to 1), so that many who failed together don't return together.
	Jitter float64
	// Random yields numbers in [0, 1); nil for math/rand.
	Random func() float64
}

// Pause returns the wait after the n-th failure (from 1).
func (b Backoff) Pause(n int) time.Duration {
	d := b.First
	for i := 1; i < n && d < b.Max; i++ {
		d *= 2
	}
	d = min(d, b.Max)
	random := b.Random
	if random == nil {
		random = rand.Float64
	}
	return d - time.Duration(b.Jitter*random()*float64(d))
}

// Retry calls the handler again after a failure, with growing pauses. It gives the last error when all attempts failed,
// and stops at once where trying again makes no sense: see ends. The message stays in flight meanwhile, so order holds.
func Retry(b Backoff) message.HandlerMiddleware {
	return func(h message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) {
			for n := 1; ; n++ {
				out, err := h(m)
				if err == nil || ends(m, err) {
					return out, err
				}
				if n >= b.Attempts {
					return nil, fmt.Errorf("attempt %d of %d: %w", n, max(b.Attempts, 1), err)
				}
				if err := wait(m.Context(), b.Pause(n)); err != nil {
					return nil, fmt.Errorf("while waiting for attempt %d: %w", n+1, err)
				}
			}
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

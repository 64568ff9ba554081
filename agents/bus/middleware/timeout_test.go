package middleware_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"aura/agents/bus/middleware"
)

// obedient waits for its context, as a good handler does.
func obedient(m *message.Message) ([]*message.Message, error) {
	<-m.Context().Done()
	return nil, m.Context().Err()
}

func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		m := incoming(t.Context())
		_, err := middleware.Timeout(time.Second)(obedient)(m)
		if !errors.Is(err, middleware.ErrTimeout) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("took %v", took)
		}
		if m.Context().Err() != nil {
			t.Error("the next attempt begins with an ended context")
		}
	})
}

// TestTimeoutShutdown: what ends with the process is no timeout.
func TestTimeoutShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		_, err := middleware.Timeout(time.Second)(obedient)(incoming(ctx))
		if errors.Is(err, middleware.ErrTimeout) || !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	})
}

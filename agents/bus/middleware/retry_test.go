package middleware_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"aura/agents/bus"
	"aura/agents/bus/middleware"
)

var backoff = middleware.Backoff{Attempts: 5, First: 100 * time.Millisecond, Max: 300 * time.Millisecond}

func TestRetry(t *testing.T) {
	for name, c := range map[string]struct {
		failures int
		err      error
		calls    int
		took     time.Duration
		ok       bool
	}{
		"at once":      {0, nil, 1, 0, true},
		"third time":   {2, io.EOF, 3, 300 * time.Millisecond, true},
		"never":        {9, io.EOF, 5, 900 * time.Millisecond, false}, // 100+200+300+300 and then no more
		"own deadline": {1, context.DeadlineExceeded, 2, 100 * time.Millisecond, true},
		"interrupted":  {9, context.Canceled, 1, 0, false},
		"fenced":       {9, middleware.ErrFenced, 1, 0, false},
		"bus closed":   {9, bus.ErrClosed, 1, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start, calls := time.Now(), 0
				out, err := middleware.Retry(backoff)(failing(c.failures, c.err, &calls))(incoming(t.Context()))
				if calls != c.calls || time.Since(start) != c.took || (err == nil) != c.ok || (len(out) == 1) != c.ok {
					t.Errorf("%d calls in %v: %v, %v", calls, time.Since(start), out, err)
				}
				if !c.ok && !errors.Is(err, c.err) {
					t.Errorf("error %v does not wrap %v", err, c.err)
				}
			})
		})
	}
}

// TestRetryStops: a pause ends with the message's context.
func TestRetryStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
		defer cancel()
		start, calls := time.Now(), 0
		_, err := middleware.Retry(backoff)(failing(9, io.EOF, &calls))(incoming(ctx))
		if calls != 2 || time.Since(start) != 150*time.Millisecond || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%d calls in %v: %v", calls, time.Since(start), err)
		}
	})
}

func TestPause(t *testing.T) {
	b := backoff
	b.Jitter, b.Random = 0.5, func() float64 { return 1 }
	for n, want := range map[int]time.Duration{1: 50, 2: 100, 3: 150, 1000: 150} {
		if got := b.Pause(n); got != want*time.Millisecond {
			t.Errorf("pause %d is %v, want %v ms", n, got, int64(want))
		}
	}
}

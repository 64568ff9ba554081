package middleware_test

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"aura/agents/bus/middleware"
)

func TestMetrics(t *testing.T) {
	for want, result := range map[middleware.Result]error{
		middleware.Handled: nil, middleware.Failed: io.EOF, middleware.Interrupted: context.Canceled,
	} {
		synctest.Test(t, func(t *testing.T) {
			seen := 0
			h := middleware.Metrics(func(_ string, got middleware.Result, took time.Duration) {
				if seen++; got != want || took != 3*time.Second {
					t.Errorf("observed %s in %v, want %s", got, took, want)
				}
			})(func(*message.Message) ([]*message.Message, error) {
				time.Sleep(3 * time.Second)
				return nil, result
			})
			if _, err := h(incoming(t.Context())); err != result || seen != 1 { //nolint:errorlint // passed on as it is
				t.Errorf("error %v, observed %d times", err, seen)
			}
		})
	}
}

package healing

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestWhoWaitsForATurnObeysItsContext: lanes that come one after the other, each held up by a store that doesn't answer until its
// own time is over, keep nobody for longer than its own.
func TestWhoWaitsForATurnObeysItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turn := newTurn()
		for lane := range 5 {
			time.Sleep(100 * time.Millisecond)
			go func() {
				begun := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				err := turn.take(ctx)
				if err == nil {
					<-ctx.Done() // the store's answer
					turn.Unlock()
				}
				if took := time.Since(begun); took != time.Second || err != nil && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("lane %d: %v after %v", lane, err, took)
				}
			}()
		}
		synctest.Wait()
		time.Sleep(5 * time.Second)
		if len(turn) > 0 {
			t.Error("somebody has kept it")
		}
	})
}

package healing

import (
	"context"
	"fmt"
)

// turn is a mutex that is waited for no longer than a context lives. Who holds it may be asking a store that doesn't answer, for
// as long as its own context lets it; several in a row would keep a handler here past the end of its own, and it would count as hung.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

// take fails when ctx ends first.
func (t turn) take(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("healing: others are at work: %w", ctx.Err())
	}
}

// Lock waits for as long as it takes; it is for who is no handler.
func (t turn) Lock() { t <- struct{}{} }

// Unlock gives it back.
func (t turn) Unlock() { <-t }

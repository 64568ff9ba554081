package ingestion

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
)

const (
	// drainTick is how often the end of a drain is looked for.
	drainTick = 10 * time.Millisecond
	// drainSweep is when a drain first looks after what is in the window: there is no time for delays that have doubled.
	drainSweep = time.Second
)

// Drain refuses applications from now on and returns when every one that is committed is decided. What waits at the desk, or
// in the store for its commit, counts until it is known what becomes of it, wherever its sender has gone; and last the store
// is asked, since it may have committed what it told nobody. If ctx ends first, or the store can't be asked, the error says
// so: the next start takes up what is committed, and Left counts it. Run must be running.
func (s *Sweeper) Drain(ctx context.Context) error {
	w := s.Intake.Window
	w.Shut()
	w.reset(time.Now(), min(drainSweep, s.Intake.SweepAfter))
	t := time.NewTicker(drainTick)
	defer t.Stop()
	for {
		if w.Pending() == 0 {
			n, err := s.adoptOurs(ctx)
			if err != nil {
				return fmt.Errorf("ingestion: drain: %w", err)
			}
			if n == 0 {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("ingestion: drain: %w", ctx.Err())
		case <-t.C:
		}
	}
}

// Left counts the committed applications that are not decided, as the store has them. Who asks when no agent runs any more
// hears what the next start will take up.
func (s *Sweeper) Left(ctx context.Context) (n int, err error) {
	after, err := s.Backlog.Floor(ctx)
	if err != nil {
		return 0, fmt.Errorf("ingestion: read the floor: %w", err)
	}
	for {
		rows, err := s.Backlog.Undecided(ctx, after, "", page)
		if err != nil {
			return n, fmt.Errorf("ingestion: read the backlog: %w", err)
		}
		n += len(rows)
		if len(rows) < page {
			return n, nil
		}
		after = rows[len(rows)-1].ID
	}
}

// adoptOurs adopts what is committed with an id that was made before now. Where other processes are on the same database it
// can't be told from what they have under way: one of them takes it on when it is old enough.
func (s *Sweeper) adoptOurs(ctx context.Context) (int, error) {
	if s.Leads != nil {
		return 0, nil
	}
	next, err := uuid.NewV7() // above each that this process has made, whatever became of the clock
	if err != nil {
		return 0, fmt.Errorf("ingestion: make an id: %w", err)
	}
	return s.adopt(ctx, next.String(), true)
}

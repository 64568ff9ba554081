package source

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"aura/store/complaint"
)

// Stream sends applications at a rate and their outcomes a while later.
type Stream struct {
	// Name is the source shown on each application: simulator or csv.
	Name   string
	Intake Intake
	// Next yields the next application, io.EOF at the end.
	Next func() (Application, error)
	// Rate is applications a second; 0 as fast as intake takes them.
	Rate float64
	// OutcomeDelay is how long after its acceptance an application's outcome is reported.
	OutcomeDelay time.Duration
	// Every is how often it sends what is due, together; 20 ms where it is 0.
	Every time.Duration
	// Tamper, if not nil, changes outcomes as they are reported. Records are its matter in Next.
	Tamper Tamper
	Log    *slog.Logger

	pending []due         // by time; its length is bounded by rate x delay, or by maxPending
	refused complaint.Log // what intake would not take
}

const (
	tick = 20 * time.Millisecond
	// maxBatch bounds one submission, so that a source never floods the window.
	maxBatch = 200
	// maxPending bounds the outcomes that wait: past it the stream waits for the oldest before it sends more.
	maxPending = 200_000
	retryAfter = 500 * time.Millisecond
)

// Run streams until the source is exhausted and its last outcome is reported, or ctx ends.
func (s *Stream) Run(ctx context.Context) error {
	t := time.NewTicker(cmp.Or(s.Every, tick))
	defer t.Stop()
	start, sent, exhausted := time.Now(), 0.0, false
	var batch []Application // what could not be submitted yet
	for {
		now := time.Now()
		if err := s.report(ctx, now); err != nil {
			return err
		}
		if behind := now.Sub(start).Seconds()*s.Rate - sent; s.Rate > 0 && behind > 1+2*s.Rate {
			start, sent = now, 0 // after a pause go on at the rate, don't catch up in a burst
		}
		if !exhausted && len(batch) == 0 && len(s.pending) < maxPending {
			n := maxBatch
			if s.Rate > 0 {
				n = min(maxBatch, int(now.Sub(start).Seconds()*s.Rate-sent))
			}
			var err error
			if batch, err = s.take(n); errors.Is(err, io.EOF) {
				exhausted = true
			} else if err != nil {
				return err
			}
		}
		if len(batch) > 0 {
			ok, err := s.submit(ctx, batch)
			if err != nil {
				return err
			}
			if ok {
				sent += float64(len(batch))
				batch = nil
			}
		}
		if exhausted && len(batch) == 0 && len(s.pending) == 0 {
			return nil
		}
		if s.Rate == 0 && !exhausted && len(batch) == 0 {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
	}
}

// take reads up to n applications; io.EOF only when there is none left.
func (s *Stream) take(n int) ([]Application, error) {
	var batch []Application
	for len(batch) < n {
		a, err := s.Next()
		if errors.Is(err, io.EOF) && len(batch) > 0 {
			return batch, nil
		}
		if err != nil {
			return nil, err
		}
		batch = append(batch, a)
	}
	return batch, nil
}

// submit reports whether the batch was taken; a store that is not available now is asked again.
func (s *Stream) submit(ctx context.Context, batch []Application) (bool, error) {
	ids, err := s.Intake.Submit(ctx, s.Name, batch)
	if err != nil {
		return false, s.wait(ctx, "applications could not be submitted; trying again", err)
	}
	at := time.Now().Add(s.OutcomeDelay)
	for i, id := range ids {
		if id == "" {
			continue
		}
		s.pending = append(s.pending, due{at: at, Outcome: Outcome{id, outcomeOf(batch[i].Defaulted)}})
	}
	return true, nil
}

// report sends the outcomes whose time has come.
func (s *Stream) report(ctx context.Context, now time.Time) error {
	for {
		n := 0
		for n < len(s.pending) && n < maxBatch && !s.pending[n].at.After(now) {
			n++
		}
		if n == 0 {
			return nil
		}
		outcomes := make([]Outcome, n)
		for i := range s.pending[:n] {
			d := &s.pending[i]
			if s.Tamper != nil && !d.final {
				d.Outcome.Outcome, d.final = s.Tamper.Outcome(d.Outcome.Outcome), true
			}
			outcomes[i] = d.Outcome
		}
		if err := s.Intake.Feedback(ctx, outcomes); err != nil {
			return s.wait(ctx, "outcomes could not be reported; trying again", err)
		}
		s.pending = append(s.pending[:0:0], s.pending[n:]...)
	}
}

func (s *Stream) wait(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s.refused.Say(s.Log, slog.LevelWarn, what, "source", s.Name, "err", err)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(retryAfter):
		return nil
	}
}

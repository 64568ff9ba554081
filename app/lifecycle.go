package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Step is one thing that runs: it is started in the order of the list and stopped in reverse.
type Step struct {
	Name string
	// Start returns when the thing runs; it must not block for longer. Nil where nothing is to be started.
	Start func(ctx context.Context) error
	// Stop returns when it is over. Nil where nothing is to be stopped. It is called once, also if Start of a later
	// step failed, never if its own Start did.
	Stop func(ctx context.Context) error
	// Within bounds Stop; 0 is stopWithin.
	Within time.Duration
}

// stopWithin bounds one step's stop, so that one that hangs can't keep the others from being stopped.
const stopWithin = 3 * time.Second

// loop is a step that runs a function in the background until it is cancelled.
func loop(name string, run func(ctx context.Context)) Step {
	var cancel context.CancelFunc
	done := make(chan struct{})
	return Step{
		Name: name,
		Start: func(context.Context) error {
			var ctx context.Context
			ctx, cancel = context.WithCancel(context.Background())
			go func() {
				defer close(done)
				run(ctx)
			}()
			return nil
		},
		Stop: func(ctx context.Context) error {
			cancel()
			select {
			case <-done:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		},
	}
}

// Lifecycle starts and stops steps.
type Lifecycle struct {
	log     *slog.Logger
	started []Step
}

// Start starts the steps in order. On an error it stops those that run, in reverse, and names the step that failed.
func (l *Lifecycle) Start(ctx context.Context, steps []Step) error {
	for _, s := range steps {
		if s.Start != nil {
			begin := time.Now()
			if err := s.Start(ctx); err != nil {
				stopErr := l.Stop(context.WithoutCancel(ctx))
				return errors.Join(fmt.Errorf("start %s: %w", s.Name, err), stopErr)
			}
			l.log.Debug("started", "step", s.Name, "took", time.Since(begin))
		}
		l.started = append(l.started, s)
	}
	return nil
}

// Stop stops what was started, in reverse, each step within its bound and all within ctx; a step that doesn't end in
// time is named in the error and left behind. Stopping twice is harmless.
func (l *Lifecycle) Stop(ctx context.Context) error {
	var errs []error
	for i := len(l.started) - 1; i >= 0; i-- {
		s := l.started[i]
		if s.Stop == nil {
			continue
		}
		begin := time.Now()
		if err := l.stopOne(ctx, s); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", s.Name, err))
			l.log.Error("did not stop in order", "step", s.Name, "took", time.Since(begin), "err", err)
			continue
		}
		l.log.Debug("stopped", "step", s.Name, "took", time.Since(begin))
	}
	l.started = nil
	return errors.Join(errs...)
}

func (l *Lifecycle) stopOne(ctx context.Context, s Step) error {
	within := s.Within
	if within == 0 {
		within = stopWithin
	}
	// Even when the whole time is over, the store must get its chance to close.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(within, max(remaining(ctx), stopAtLeast)))
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.Stop(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select { // one that obeys its context says itself how it ended: a drain that was cut short is no failure
	case err := <-done:
		return err
	case <-time.After(obeyWithin):
		return ctx.Err()
	}
}

// obeyWithin is how long a step may take to see that its time is over.
const obeyWithin = 100 * time.Millisecond

// stopAtLeast is what a step gets although those before it used up the time.
const stopAtLeast = 200 * time.Millisecond

func remaining(ctx context.Context) time.Duration {
	at, ok := ctx.Deadline()
	if !ok {
		return time.Hour
	}
	return time.Until(at)
}

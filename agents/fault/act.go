package fault

import (
	"context"
	"fmt"
	"time"

	"aura/agents"
)

// Before implements agents.Injector: it acts out the faults on the agent, in the order they were injected.
func (r *Registry) Before(ctx context.Context, agent string, life agents.Life) error {
	t := r.table.Load()
	if t == nil {
		return nil
	}
	for _, a := range (*t)[agent] {
		if a.actor != nil || !r.strikes(a, life.Incarnation) {
			continue
		}
		if err := a.act(ctx); err != nil {
			return err
		}
	}
	return nil
}

// strikes draws whether the fault hits this event, and counts it.
func (r *Registry) strikes(a *active, incarnation int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-a.done:
		return false
	default:
	}
	if a.Share < 1 && r.random.Float64() >= a.Share {
		return false
	}
	if a.Kind == Crash || a.Kind == Hang {
		return r.strikesLife(a, incarnation)
	}
	if a.Times > 0 && a.Hits >= int64(a.Times) {
		return false
	}
	a.Hits++
	if (a.Kind == Error || a.Target == Source) && a.Hits == int64(a.Times) {
		r.endLocked(a, "it is spent")
	}
	return true
}

// strikesLife counts lives: a crash ends one once, a hang holds every lane of it, and a life that is over (a newer one
// was hit) is left alone.
func (r *Registry) strikesLife(a *active, incarnation int64) bool {
	switch {
	case incarnation < a.last:
		return false
	case incarnation == a.last && a.lives > 0:
		return a.Kind == Hang // every lane of the life hangs; it is one hit
	case a.Times > 0 && a.lives >= a.Times:
		return false
	default:
		a.lives++
		a.last = incarnation
	}
	a.Hits++
	// A spent crash or error is gone. A spent latency or hang stays until its TTL: events may still be held by it.
	if a.Kind == Crash && a.Times > 0 && a.lives >= a.Times {
		r.endLocked(a, "it is spent")
	}
	return true
}

// act does what the fault does to an event.
func (a *active) act(ctx context.Context) error {
	switch a.Kind {
	case Latency:
		timer := time.NewTimer(a.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return fmt.Errorf("fault: injected latency: %w", ctx.Err())
		case <-a.done:
		}
	case Error:
		return fmt.Errorf("%w (%s)", ErrInjected, a.ID)
	case Crash:
		panic("injected crash " + a.ID)
	case Hang:
		<-a.done
	}
	return nil
}

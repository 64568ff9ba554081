package decision

import (
	"context"
	"errors"
	"fmt"

	"aura/agents"
	"aura/agents/announce"
	"aura/agents/event"
	"aura/store"
)

// commit is one call of the store. It may outlive the Finish that began it: past its deadline a Finish must return, but
// the rows are committed all the same, and only the store's answer says which took effect and what outcomes they joined.
// The next Finish of the handler takes the answer up. The store bounds how long a commit lasts.
type commit struct {
	judged  []verdict
	results []store.DecideResult
	err     error
	done    chan struct{} // closed when results and err are there
}

// begin hands decisions to the store.
func (h *handler) begin(ctx context.Context, rows []store.Decision, judged []verdict) {
	c := &commit{judged: judged, done: make(chan struct{})}
	ctx = context.WithoutCancel(ctx)
	go func() {
		defer close(c.done)
		c.results, c.err = h.Store.Decide(ctx, rows)
	}()
	h.under = c
}

// settle waits for the commit that is under way, notes what is to be emitted for it, and returns what was stale. If ctx
// ends first the commit stays under way.
func (h *handler) settle(ctx context.Context) (stale []verdict, err error) {
	c := h.under
	select {
	case <-c.done:
	case <-ctx.Done():
		select {
		case <-c.done:
		default:
			return nil, fmt.Errorf("decision: %d decisions are still being committed: %w", len(c.judged), ctx.Err())
		}
	}
	h.under = nil
	h.counter.written(c.results)
	if c.err != nil { // some may be written: they are counted now, since when they come again they are known already
		for _, r := range c.results {
			if r.Status == store.Written && h.Observe != nil {
				h.Observe(announce.Decision(r.Decision))
			}
		}
		err := fmt.Errorf("decision: commit %d decisions: %w", len(c.judged), c.err)
		if down := new(store.Unavailable); errors.As(err, &down) {
			err = fmt.Errorf("%w: %w", agents.ErrNotReady, err) // the store's failure is none of this agent's, which a restart would mend
		}
		return nil, err
	}
	for i, r := range c.results {
		switch r.Status {
		case store.Stale:
			stale = append(stale, c.judged[i])
			continue
		case store.Gone:
			// Deleted by age while it travelled: nobody waits for it any more.
			continue
		}
		d := announce.Decision(r.Decision)
		h.owe(c.judged[i].trace, d)
		if r.Joined != nil {
			h.owe(c.judged[i].trace, announce.Feedback(*r.Joined))
		}
		if r.Status == store.Written && h.Observe != nil {
			h.Observe(d)
		}
	}
	return stale, nil
}

// owed is an event that waits for a Finish that succeeds: what a failed one emits is thrown away.
type owed struct {
	trace string
	event event.Event
}

func (h *handler) owe(trace string, e event.Event) { h.owed = append(h.owed, owed{trace, e}) }

// pay emits what is owed.
func (h *handler) pay(out *agents.Outbox) {
	for _, o := range h.owed {
		out.EmitFor(o.trace, o.event)
	}
	clear(h.owed)
	h.owed = h.owed[:0]
}

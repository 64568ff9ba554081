package healing

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"aura/healing/incident"
	"aura/store"
)

// execution is one action being executed or undone. Its goroutine ends with the life that started it.
type execution struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// launch runs f for an id unless that is running, and no more than maxRunning at once; what finds no place is asked for
// again. It is called with the core locked.
func (c *core) launch(id string, deadline time.Time, f func(ctx context.Context)) {
	if c.running[id] != nil || len(c.running) >= maxRunning || c.ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(c.ctx, deadline.Sub(c.o.Now()))
	run := &execution{cancel, make(chan struct{})}
	c.running[id] = run
	c.tasks.Go(func() {
		defer func() {
			cancel()
			c.mu.Lock()
			defer c.mu.Unlock()
			delete(c.running, id)
			close(run.done)
		}()
		f(ctx)
	})
}

// execute hands an action to the executor and says what came of it.
func (c *core) execute(in incident.Incident, f incident.Effect) {
	a := *f.Action
	order := Order{
		ActionID: a.ID, IncidentID: in.ID, Purpose: string(a.Purpose), Action: policyAction(a), Envelope: a.Envelope,
		Reason: "incident " + in.ID + ": " + in.Kind + " " + in.Target, Kind: in.Kind, Target: in.Target, Since: Since(in),
	}
	epoch := c.lease.Epoch
	order.Tell = func(progress string) {
		c.post(in.ID, incident.Event{Type: incident.EvProgress, At: c.o.Now(), ActionID: a.ID, Reason: progress})
	}
	c.launch(a.ID, in.DeadlineAt, func(ctx context.Context) {
		c.post(in.ID, incident.Event{Type: incident.EvStarted, At: c.o.Now(), ActionID: a.ID})
		c.o.hook("before execute")
		done, err := c.performed(ctx, in, a.ID, epoch, order)
		c.o.hook("after execute")
		if err != nil && errors.Is(ctx.Err(), context.Canceled) && c.ctx.Err() == nil {
			c.o.Log.Info("an action was called off", "action", a.ID, "err", err)
			return // who called it off has written down why
		}
		if ev, ok := c.result(a.ID, done, err); ok {
			c.post(in.ID, ev)
		}
	})
}

// performed has the executor execute, in a span of the action's.
func (c *core) performed(ctx context.Context, in incident.Incident, action string, epoch int64, o Order) (Done, error) {
	ctx, span := c.o.Tracer.Start(ctx, c.actionParent(in, action), trace.SpanKindInternal, "execute "+o.Action.Type,
		attribute.String("aura.action.id", o.ActionID), attribute.String("aura.action.type", o.Action.Type))
	defer span.End()
	done, err := c.executor.Execute(ctx, epoch, o)
	var refused *Refused
	switch {
	case err == nil:
	case errors.As(err, &refused):
		span.Fail("refused")
	case ctx.Err() != nil:
		span.Fail("called_off")
	default:
		span.Fail("failed")
	}
	return done, err
}

// Since is the best estimate of when the change began that an incident is about. After a relapse it is the present change:
// rows from before it belong to what was healed. Where several features drift it is when the last of them began: rows from
// before it are of no population that lasts.
func Since(in incident.Incident) time.Time {
	since := in.OnsetAt
	switch {
	case len(in.Relapses) > 0 && in.Signal.OnsetAt.After(since):
		since = in.Signal.OnsetAt
	case since.IsZero():
		since = in.Detected()
	}
	for _, d := range in.With {
		if d.OnsetAt.After(since) {
			since = d.OnsetAt
		}
	}
	return since
}

// result is the event for what came of an execution; false where nothing can be said yet and it is to be tried again.
func (c *core) result(id string, done Done, err error) (incident.Event, bool) {
	var refused *Refused
	var unavailable *store.Unavailable
	var stale *store.Refused
	var un *unsettled
	switch {
	case err == nil:
		return incident.Event{
			Type: incident.EvSucceeded, At: done.Effect.At, ActionID: id, Outcome: done.Outcome, Params: done.Params,
			Numbers: done.Numbers, Reason: done.Reason, Blameless: done.Blameless,
		}, true
	case errors.Is(err, ErrExpired), errors.Is(err, ErrKey):
		return incident.Event{Type: incident.EvRefused, At: c.o.Now(), ActionID: id, Reason: err.Error(), Expired: true}, true
	case errors.As(err, &refused):
		c.o.Log.Warn("an action was refused", "action", id, "reason", refused.Reason)
		return incident.Event{Type: incident.EvRefused, At: c.o.Now(), ActionID: id, Reason: refused.Reason}, true
	case errors.As(err, &unavailable), errors.As(err, &un), errors.Is(err, store.ErrClosed),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		c.o.Log.Warn("an action can't be carried out now; it is tried again", "action", id, "err", err)
		return incident.Event{}, false
	case errors.As(err, &stale):
		c.lost.Store(true)
		return incident.Event{}, false
	}
	c.o.Log.Error("an action broke", "action", id, "err", err)
	return incident.Event{Type: incident.EvFailed, At: c.o.Now(), ActionID: id, Reason: err.Error()}, true
}

// undo makes sure that an action never takes effect later, and takes it back if it did.
func (c *core) undo(in incident.Incident, f incident.Effect) {
	a := *f.Action
	first := c.running[a.ID]
	lease := c.lease
	c.launch(a.Undo.ID, in.DeadlineAt, func(ctx context.Context) {
		took, err := c.fence(ctx, first, a, lease)
		if err == nil && took && a.Inverse != nil {
			var done Done
			c.o.hook("before undo")
			done, err = c.performed(ctx, in, a.ID, lease.Epoch, Order{
				ActionID: a.Undo.ID, IncidentID: in.ID, Purpose: string(incident.Undo), Action: undoAction(a), Envelope: a.Undo.Envelope,
				Reason: "undo in incident " + in.ID + ": " + a.Undo.Reason, Kind: in.Kind, Target: in.Target, Since: Since(in),
			})
			c.o.hook("after undo")
			if err == nil {
				c.post(in.ID, incident.Event{Type: incident.EvUndone, At: done.Effect.At, ActionID: a.Undo.ID})
				return
			}
		}
		if err == nil { // it never took effect, or nothing can take it back
			c.post(in.ID, incident.Event{Type: incident.EvUndone, At: c.o.Now(), ActionID: a.Undo.ID})
			return
		}
		if ev, ok := c.result(a.Undo.ID, Done{}, err); ok {
			ev.Type = incident.EvUndoFailed
			c.post(in.ID, ev)
		}
	})
}

// fence ends the execution of an action, waits for it, and tells whether the action took effect: from then on it can't.
func (c *core) fence(ctx context.Context, run *execution, a incident.Action, l store.Lease) (took bool, err error) {
	if run != nil {
		run.cancel()
		select {
		case <-run.done:
		case <-ctx.Done():
			return false, fmt.Errorf("action %s doesn't end: %w", a.ID, ctx.Err())
		}
	}
	// A write that was given up by its caller may still stand in the writer's queue: one behind it ends the wait.
	if _, err := c.o.Store.RenewLease(ctx, l, LeaseTTL); err != nil {
		return false, err
	}
	return c.took(ctx, a.ID)
}

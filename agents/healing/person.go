package healing

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"aura/healing/incident"
	"aura/store"
)

// ErrIdle: nobody heals now who could be told.
var ErrIdle = errors.New("healing: no agent heals now")

// toldWithin is how long who heals in another process may take to do what a person wants; askAgain is how often it is looked
// whether it has.
const (
	toldWithin = 10 * time.Second
	askAgain   = 100 * time.Millisecond
)

// spoken is what persons may say.
var spoken = []incident.EventType{incident.EvRetry, incident.EvEscalate, incident.EvClose}

// Tell hands an incident what a person wants of it: incident.EvRetry, EvEscalate or EvClose. It returns when that is
// saved, with who and why in the audit, if need be by another process. Errors: ErrIdle; *Refused where it doesn't fit the incident as it
// is, and nothing has changed; what the store says.
func (a *Agent) Tell(ctx context.Context, id string, want incident.EventType, by, reason string) error {
	if err := a.mu.take(ctx); err != nil {
		return err
	}
	c := a.core
	a.mu.Unlock()
	switch {
	case c != nil && !c.lost.Load() && c.ctx.Err() == nil:
		return c.tell(ctx, id, incident.Event{Type: want, At: a.o.Now(), By: by, Reason: reason})
	case a.o.Shared:
		return a.passOn(ctx, store.IncidentRequest{ID: uuid.NewString(), IncidentID: id, Verb: string(want), By: by, Reason: reason})
	}
	return ErrIdle
}

// passOn has who heals in another process do what a person wants.
func (a *Agent) passOn(ctx context.Context, r store.IncidentRequest) error {
	if err := a.o.Store.AskIncident(ctx, r, toldWithin); err != nil {
		return err
	}
	for begun := time.Now(); time.Since(begun) < toldWithin; {
		// After an error it may be done all the same, and shows in the incident then.
		if done, err := a.answered(ctx, r.ID); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err() // it expires
		case <-time.After(askAgain):
		}
	}
	err := a.o.Store.WithdrawIncidentRequest(ctx, r.ID)
	var late *store.Refused
	if errors.As(err, &late) { // it was answered just now
		_, err := a.answered(ctx, r.ID)
		return err
	}
	return cmp.Or(err, ErrIdle)
}

// answered reports whether who heals has done what a request wants; *Refused where it was refused.
func (a *Agent) answered(ctx context.Context, id string) (bool, error) {
	r, err := a.o.Store.IncidentRequest(ctx, id)
	if err == nil && r.Refused != "" {
		err = &Refused{Reason: r.Refused}
	}
	return r.Answered, err
}

func (c *core) tell(ctx context.Context, id string, ev incident.Event) error {
	if err := c.mu.take(ctx); err != nil {
		return err
	}
	defer c.mu.Unlock()
	return c.told(ctx, id, ev, "")
}

// passedOn does what persons have told processes that don't heal. The core is locked.
func (c *core) passedOn(ctx context.Context) error {
	if !c.o.Shared {
		return nil
	}
	list, err := c.o.Store.IncidentRequests(ctx)
	if err != nil {
		return err
	}
	for _, r := range list {
		err := error(&Refused{Reason: "persons don't say " + r.Verb})
		if want := incident.EventType(r.Verb); slices.Contains(spoken, want) {
			err = c.told(ctx, r.IncidentID, incident.Event{Type: want, At: c.o.Now(), By: r.By, Reason: r.Reason}, r.ID)
		}
		var unfit *Refused
		if errors.As(err, &unfit) {
			err = c.o.Store.RefuseIncidentRequest(ctx, c.lease.Epoch, r.ID, unfit.Reason)
		}
		var late *store.Refused
		if errors.As(err, &late) && late.Code == store.CodeLate {
			continue // it was withdrawn meanwhile: nothing has changed
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// told applies what a person wants, which another process may have passed on by a request. The core is locked.
func (c *core) told(ctx context.Context, id string, ev incident.Event, request string) error {
	e := c.incidents[id]
	if e == nil {
		return &Refused{Reason: "it has ended"}
	}
	var err error
	if ev.Type == incident.EvRetry {
		if ev.Ladder, ev.OrderReason, err = c.ladder(ctx, e.in.Signal); err != nil {
			return err
		}
	}
	now := c.o.Now()
	ev.Busy = incident.Locked(c.all(), e.in)
	if why := incident.Fits(e.in, ev, now); why != "" {
		return &Refused{Reason: why}
	}
	out, fx, err := incident.Step(e.in, ev, now)
	if err != nil {
		return err
	}
	err = c.commit(ctx, e, out, fx, true, said{request: request, audit: []store.AuditEntry{{
		At: now, Actor: ev.By, Kind: "incident." + strings.ToLower(string(ev.Type)), Subject: id, Detail: encode(map[string]string{"reason": ev.Reason}),
	}}})
	if err != nil {
		_ = c.outcome(err) // an epoch that is over ends this core
		return err
	}
	c.o.Log.Info("a person told an incident", "incident", id, "what", ev.Type, "by", ev.By, "reason", ev.Reason)
	return c.drain(ctx)
}

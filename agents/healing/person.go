package healing

import (
	"context"
	"errors"
	"strings"

	"aura/healing/incident"
	"aura/store"
)

// ErrIdle: no life of the agent holds incidents in this process now.
var ErrIdle = errors.New("healing: no life of the agent is at work here")

// ErrElsewhere: another process' agent holds the lease, and the incidents.
var ErrElsewhere = errors.New("healing: another process heals")

// Tell hands an incident what a person wants of it: incident.EvRetry, EvEscalate or EvClose. It returns when that is
// saved, with who and why in the audit. Errors: ErrIdle, ErrElsewhere; *Refused where it doesn't fit the incident as it is, and nothing
// has changed; what the store says.
func (a *Agent) Tell(ctx context.Context, id string, want incident.EventType, by, reason string) error {
	if err := a.mu.take(ctx); err != nil {
		return err
	}
	c := a.core
	a.mu.Unlock()
	if a.standby.Load() {
		return ErrElsewhere
	}
	if c == nil || c.lost.Load() || c.ctx.Err() != nil {
		return ErrIdle
	}
	return c.tell(ctx, id, incident.Event{Type: want, At: a.o.Now(), By: by, Reason: reason})
}

func (c *core) tell(ctx context.Context, id string, ev incident.Event) error {
	if err := c.mu.take(ctx); err != nil {
		return err
	}
	defer c.mu.Unlock()
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
	err = c.commit(ctx, e, out, fx, true, store.AuditEntry{
		At: now, Actor: ev.By, Kind: "incident." + strings.ToLower(string(ev.Type)), Subject: id, Detail: encode(map[string]string{"reason": ev.Reason}),
	})
	if err != nil {
		_ = c.outcome(err) // an epoch that is over ends this core
		return err
	}
	c.o.Log.Info("a person told an incident", "incident", id, "what", ev.Type, "by", ev.By, "reason", ev.Reason)
	return c.drain(ctx)
}

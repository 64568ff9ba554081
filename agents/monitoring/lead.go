package monitoring

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"aura/agents"
	"aura/healing/detect"
	"aura/store"
)

const (
	leaseTTL = 5 * time.Second
	// askEvery is how often a standby looks whether the lease is free.
	askEvery = 500 * time.Millisecond
	// deafAfter is how long a standby may hear nothing of a holder that renews its lease. One that is on the same bus reports each
	// second, and loses the lease when it dies.
	deafAfter = 3 * leaseTTL
)

// lead takes the lease if it can be had, and sees to it that this life has a monitor to judge with: the holder's to speak by,
// a standby's to be as warm as that when it takes over.
func (c *core) lead(ctx context.Context, now time.Time) error {
	if c.lease.Held || c.monitor != nil && now.Sub(c.asked).Abs() < askEvery {
		return nil
	}
	c.asked = now
	held, err := c.take(ctx)
	if err == nil && c.monitor == nil {
		c.monitor, err = c.restore(ctx)
	}
	switch {
	case err != nil && c.monitor == nil:
		return fmt.Errorf("%w: %w", agents.ErrNotReady, err)
	case err != nil: // it judges on; that the store is away shows there
		c.silent.Say(c.Log, slog.LevelWarn, "a standby can't ask whether the lease is free", "err", err)
		return nil
	case !held.Held:
		c.standBy(now)
		return nil
	}
	c.lease, c.lastSay, c.standsBy = held, time.Time{}, time.Time{}
	c.leads(held)
	c.Log.Info("monitoring", "epoch", held.Epoch, "threshold", c.monitor.Threshold())
	return nil
}

// standBy says once if nothing of the holder comes here: over one database without a common bus, nobody watches this process.
func (c *core) standBy(now time.Time) {
	if c.standsBy.IsZero() {
		c.standsBy, c.deaf = now, false
	}
	since := c.standsBy
	if at := c.lastHeard(); at.After(since) {
		since = at
	}
	silent := now.Sub(since) >= deafAfter
	if silent && !c.deaf {
		c.Log.Warn("another process holds monitoring's lease and nothing of it is heard here, so that nobody watches this process: "+
			"stop it, or let both use one bus (--bus=kafka)", "silent_for", now.Sub(since))
	}
	c.deaf = silent
}

// take asks for the lease; one that is not Held is another's. Only what seems to be free is asked for by a write.
func (c *core) take(ctx context.Context) (store.Lease, error) {
	if c.monitor != nil {
		l, err := c.Store.LeaseOf(ctx, store.LeaseMonitoring)
		if err != nil || !l.Free {
			l.Held = false
			return l, err
		}
	}
	l, err := c.Store.AcquireLease(ctx, store.LeaseMonitoring, c.life.Holder(), c.life.Incarnation, leaseTTL)
	var refused *store.Refused
	if errors.As(err, &refused) {
		if c.monitor == nil {
			c.Log.Info("another one monitors; this one stands by", "why", refused.Reason)
		}
		return store.Lease{}, nil
	}
	return l, err
}

// restore makes the monitor from the newest checkpoint, whoever wrote it.
func (c *core) restore(ctx context.Context) (*detect.Monitor, error) {
	m, err := detect.NewMonitor(c.Config)
	if err != nil {
		return nil, err
	}
	state, at, err := c.Store.LoadCheckpoint(ctx, Name)
	switch {
	case errors.Is(err, store.ErrNotFound) || err == nil && len(state) == 0:
		err = m.SetReference(c.Reference())
	case err == nil:
		if err = m.Restore(state, c.Reference()); err != nil {
			c.Log.Warn("the checkpoint can't be used; monitoring begins anew", "of", at, "err", err)
			if m, err = detect.NewMonitor(c.Config); err == nil {
				err = m.SetReference(c.Reference())
			}
		}
	}
	return m, err
}

// learn asks the store what changed lately and what is open, and keeps lease and checkpoint where it holds them. A store that
// doesn't answer makes everything UNKNOWN after a while: the detectors see how old its last answer is.
func (c *core) learn(ctx context.Context, now time.Time) {
	ctx, cancel := context.WithTimeout(ctx, reportEvery/2)
	defer cancel()
	scene, err := c.look(ctx, now)
	if err == nil && c.lease.Held {
		err = c.keep(ctx)
	}
	c.unanswered = err != nil
	var refused *store.Refused
	switch {
	case errors.As(err, &refused):
		c.Log.Warn("another one monitors; this one stands by", "err", err)
		c.lease.Held, c.unanswered = false, false
	case err != nil:
		c.silent.Say(c.Log, slog.LevelWarn, "the store doesn't answer monitoring", "err", err)
	default:
		c.scene, c.storeAt = scene, c.Now()
	}
}

// keep saves the checkpoint and renews the lease, both of which tell whether the epoch is over.
func (c *core) keep(ctx context.Context) error {
	state, err := c.monitor.MarshalJSON()
	if err != nil {
		return err
	}
	if err := c.Store.SaveCheckpoint(ctx, Name, c.lease.Epoch, state); err != nil {
		return err
	}
	renewed, err := c.Store.RenewLease(ctx, c.lease, leaseTTL)
	if err == nil {
		c.lease = renewed // one that could not be renewed in time is still ours, until another life takes it
	}
	return err
}

package app

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"aura/agents"
	"aura/agents/healing"
	"aura/store"
)

// This file: how wishes for new lives, and changes that all are to follow, reach the agents of every process.

// wish hands over desired state as it was just read; only the newest matters.
func (f *fleet) wish(settings map[string]store.Setting) {
	select {
	case <-f.wishes:
	default:
	}
	select {
	case f.wishes <- settings:
	default: // somebody else was quicker, with what is as new
	}
}

// Restart implements healing.Agents: the wish first, then its fulfilment by settle.
func (f *fleet) Restart(ctx context.Context, p store.ActionProof, agent, instance string, least int64, reason string) (store.Effect, error) {
	of, _, err := f.Incarnation(ctx, agent, instance)
	if err != nil {
		return store.Effect{}, err
	}
	return f.store.BumpAgentByAction(ctx, p, agent, f.named(of), least, reason)
}

// named is an instance as settings name it: not at all where there can be one process only.
func (f *fleet) named(instance string) string {
	if !f.shared {
		return ""
	}
	return instance
}

// livesEvery is how often other processes are asked for what they are to follow.
const livesEvery = 100 * time.Millisecond

// ensure returns when an instance of an agent is in a life that is new enough: one of this process is started, for another
// process' it waits while ctx lives. *healing.Refused where it can't be.
func (f *fleet) ensure(ctx context.Context, agent, instance string, least int64, reason string) error {
	if instance == f.instance || instance == "" {
		return f.renew(ctx, agent, least, reason)
	}
	for {
		h, err := f.find(ctx, agent, instance)
		switch {
		case err != nil:
			return err
		case h.Incarnation >= least:
			return nil
		case h.Stuck:
			return &healing.Refused{Reason: h.Cause}
		case !wait(ctx, livesEvery, 0):
			return fmt.Errorf("%s of %s is still in life %d, not %d: %w", agent, instance, h.Incarnation, least, context.DeadlineExceeded)
		}
	}
}

// renew starts the next life of an agent here unless it is in one that is new enough. The first life that it has in this process
// is, whatever was wished before: it only hasn't begun.
func (f *fleet) renew(ctx context.Context, agent string, least int64, reason string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.supervisor().Statuses() {
		if s.Agent != agent || s.Incarnation == 0 || s.Incarnation >= least {
			continue
		}
		_, err := f.supervisor().Restart(ctx, agent, reason)
		f.say()
		if errors.Is(err, agents.ErrQuarantined) {
			return &healing.Refused{Reason: err.Error()}
		}
		return err
	}
	return nil
}

// follow fulfils the wishes that are for agents of this process. One that can't be fulfilled is not tried again later, when
// nobody expects it any more.
func (f *fleet) follow(ctx context.Context, settings map[string]store.Setting) {
	for name, s := range settings {
		agent, instance, is := store.AgentOf(name)
		if !is || instance != f.instance || f.refused[name] == s.Generation {
			continue
		}
		least, err := strconv.ParseInt(s.Value, 10, 64)
		if err == nil {
			err = f.renew(ctx, agent, least, s.Owner+" wants life "+s.Value+" at least: "+s.Reason)
		}
		var refused *healing.Refused
		switch {
		case err == nil || ctx.Err() != nil:
		case errors.As(err, &refused):
			f.refused[name] = s.Generation
			fallthrough
		default:
			f.log.Warn("a wished life of an agent could not be started", "agent", agent, "least", least, "err", err)
		}
	}
}

// followWithin is how long the answer to a change waits for other processes to follow it.
const followWithin = 5 * time.Second

// followed waits until every live instance of an agent has a generation in force, and names those of other processes that don't
// in time. The decisions that they make meanwhile are refused by the store, and made again.
func (f *fleet) followed(ctx context.Context, agent string, generation int64) (missing []string) {
	if !f.shared {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, followWithin)
	defer cancel()
	for {
		members, err := f.members(ctx)
		if err == nil {
			missing = nil
			for _, h := range members {
				if h.Agent == agent && h.Instance != f.instance && works(h) && h.Generation < generation {
					missing = append(missing, h.Instance)
				}
			}
		}
		if err == nil && len(missing) == 0 {
			return nil
		}
		if !wait(ctx, livesEvery, 0) {
			f.log.Warn("a change is answered before all processes follow it", "agent", agent, "generation", generation, "missing", missing, "err", err)
			return missing
		}
	}
}

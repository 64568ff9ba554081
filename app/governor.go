package app

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"aura/app/config"
	"aura/healing/policy"
	"aura/store"
	"aura/store/complaint"
)

// governor knows whether another process of the deployment heals, so that the agents of this one are left to it.
type governor struct {
	store interface {
		LeaseOf(ctx context.Context, name string) (store.Lease, error)
		Desired(ctx context.Context) (store.State, error)
	}
	acts    func() bool // as configured: neither off nor a dry run
	log     *slog.Logger
	failing complaint.Log

	until atomic.Pointer[time.Time] // what was seen holds so long; nil where nobody else heals
}

const (
	governEvery = time.Second
	// governFor is how long a look holds. Where the database doesn't answer nobody heals, and agents are restarted here.
	governFor = 3 * time.Second
)

// newGovernor returns nil where there is no other process.
func newGovernor(cfg config.Config, s *store.Store, profile func() string, log *slog.Logger) *governor {
	if !shared(cfg) || !cfg.Healing.Enabled {
		return nil
	}
	return &governor{
		store: s, acts: func() bool { return profile() != policy.Off && !cfg.Healing.DryRun }, log: log.With("component", "governor"),
	}
}

func (g *governor) step() Step {
	if g == nil {
		return Step{}
	}
	return loop("who heals", every(governEvery, func(ctx context.Context) {
		if err := g.look(ctx); err != nil && ctx.Err() == nil {
			g.failing.Say(g.log, slog.LevelWarn, "it can't be told whether another process heals; agents are restarted here meanwhile", "err", err)
		}
	}))
}

// look asks the database once. Who heals must be told of deaths, too: both leases are held.
func (g *governor) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, governEvery)
	defer cancel()
	began := time.Now()
	for _, name := range []string{store.LeaseHealing, store.LeaseMonitoring} {
		l, err := g.store.LeaseOf(ctx, name)
		if err != nil {
			return err
		}
		if l.Free || name == store.LeaseHealing && l.Held { // in this process: the agent itself is asked
			g.until.Store(nil)
			return nil
		}
	}
	state, err := g.store.Desired(ctx)
	if err != nil {
		return err
	}
	if state.Settings[policy.SettingPaused].Value == "true" {
		g.until.Store(nil)
		return nil
	}
	g.until.Store(new(began.Add(governFor)))
	return nil
}

// governs reports whether another process heals, and may restart agents.
func (g *governor) governs() bool {
	if g == nil {
		return false
	}
	until := g.until.Load()
	return until != nil && time.Now().Before(*until) && g.acts()
}

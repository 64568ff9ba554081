package model

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"aura/agents/desired"
	"aura/mlops/registry"
)

// Loader loads a version of the registry, verified against its digest.
type Loader interface {
	Load(ctx context.Context, version int) (*registry.Model, error)
}

// Loaded is a champion ready to score, under the generation that put it in charge.
type Loaded struct {
	*registry.Model
	Version    int
	Generation int64
}

// Champion holds the model in charge. Reading it costs one atomic load.
type Champion struct {
	loader Loader
	view   *desired.View
	log    *slog.Logger

	current atomic.Pointer[Loaded]
	mu      sync.Mutex // one load at a time
	failure atomic.Pointer[error]
}

// NewChampion makes a holder that follows view; nothing is loaded yet.
func NewChampion(l Loader, view *desired.View, log *slog.Logger) *Champion {
	return &Champion{loader: l, view: view, log: log.With("component", "champion")}
}

// Current is the model in charge, nil if none could be loaded yet.
func (c *Champion) Current() *Loaded { return c.current.Load() }

// Follow loads what the view wants. Called on a change of desired state and, so that a file that was mended is found,
// with each poll.
func (c *Champion) Follow(ctx context.Context) {
	want := c.view.Current()
	if l := c.current.Load(); l != nil && l.Generation >= want.ChampionGeneration {
		return
	}
	if _, err := c.Ensure(ctx, want.ChampionGeneration); err != nil && ctx.Err() == nil {
		c.log.Error("the champion could not be loaded; applications wait until it can, or until the mode or the champion is changed",
			"version", want.Champion, "err", err)
	}
}

// Ensure returns a champion of at least the given generation, loading it if need be.
func (c *Champion) Ensure(ctx context.Context, generation int64) (*Loaded, error) {
	if l := c.current.Load(); l != nil && l.Generation >= generation {
		return l, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if l := c.current.Load(); l != nil && l.Generation >= generation {
		return l, nil
	}
	want := c.view.Current()
	if want.ChampionGeneration < generation {
		// The row moved and the view has not heard yet; whoever waits comes back.
		return nil, fmt.Errorf("model: generation %d of the champion is not announced yet (seen: %d)", generation, want.ChampionGeneration)
	}
	if want.Champion == 0 {
		return nil, c.fail(fmt.Errorf("model: no champion: train and promote one (aura train, aura model promote)"))
	}
	m, err := c.loader.Load(ctx, want.Champion)
	if err != nil {
		return nil, c.fail(fmt.Errorf("model: load version %d: %w", want.Champion, err))
	}
	l := &Loaded{Model: m, Version: want.Champion, Generation: want.ChampionGeneration}
	c.current.Store(l)
	c.failure.Store(nil)
	c.log.Info("champion loaded", "version", l.Version, "generation", l.Generation)
	return l, nil
}

func (c *Champion) fail(err error) error {
	c.failure.Store(&err)
	return err
}

// Ready says why there is no usable champion, nil if there is one.
func (c *Champion) Ready() error {
	if p := c.failure.Load(); p != nil {
		return *p
	}
	if c.current.Load() == nil {
		return fmt.Errorf("model: no champion is loaded yet")
	}
	return nil
}

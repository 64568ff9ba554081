// Package desired is this process' view of the desired state: the mode and the champion, each with its generation.
//
// The rows in the store are the one home of desired state; a View only follows them, by an announcement on
// config-updates, by a poll, or at once when this process made the change. Readers get the view without a lock and may
// be a moment late; that is harmless, because the store compares generations again when a decision is committed.
//
// Hooks run one refresh at a time, in the order of registration, before Refresh returns: when a change is answered,
// everything in this process has heard of it. A hook must not call Refresh. The package imports store, agents/event.
package desired

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"aura/agents/event"
	"aura/store"
)

// Reader reads the rows of desired state; *store.Store implements it.
type Reader interface {
	Desired(ctx context.Context) (store.State, error)
}

// State is what the view shows.
type State struct {
	Mode               event.Mode
	ModeGeneration     int64
	Champion           int
	ChampionGeneration int64
	// Reference is the id of the sample that monitoring compares with, "" for none.
	Reference string
	// Key is the id of the key that governance signs with, "" for none yet.
	Key string
}

// Hook hears of a change, with the state before and after it.
type Hook func(ctx context.Context, before, after State)

// View follows the desired state.
type View struct {
	reader Reader
	log    *slog.Logger

	mu    sync.Mutex
	hooks []Hook
	reads []func(map[string]store.Setting)

	state atomic.Pointer[State]
}

// New reads the state once, so that a view is never empty.
func New(ctx context.Context, r Reader, log *slog.Logger) (*View, error) {
	v := &View{reader: r, log: log.With("component", "desired")}
	if err := v.Refresh(ctx); err != nil {
		return nil, err
	}
	return v, nil
}

// Current is the newest state seen.
func (v *View) Current() State { return *v.state.Load() }

// OnChange registers a hook. Register before the first Run.
func (v *View) OnChange(h Hook) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.hooks = append(v.hooks, h)
}

// OnRead registers who hears of all settings each time that they were read. It must not block. Register before the first Run.
func (v *View) OnRead(f func(map[string]store.Setting)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.reads = append(v.reads, f)
}

// Refresh reads the rows and, if a generation moved, shows the new state and runs the hooks.
func (v *View) Refresh(ctx context.Context) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	row, err := v.reader.Desired(ctx)
	if err != nil {
		return fmt.Errorf("desired: read the state: %w", err)
	}
	for _, f := range v.reads {
		f(row.Settings)
	}
	after := State{
		Mode: event.Mode(row.Mode), ModeGeneration: row.ModeGeneration,
		Champion: row.Champion, ChampionGeneration: row.ChampionGeneration,
		Reference: row.Reference, Key: row.Settings[store.SettingKey].Value,
	}
	old := v.state.Load()
	if old == nil {
		v.state.Store(&after)
		return nil
	}
	if after == *old || after.ModeGeneration < old.ModeGeneration || after.ChampionGeneration < old.ChampionGeneration {
		return nil
	}
	before := *old
	v.state.Store(&after)
	v.log.Info("desired state changed", "mode", after.Mode, "mode_generation", after.ModeGeneration,
		"champion", after.Champion, "champion_generation", after.ChampionGeneration)
	for _, h := range v.hooks {
		h(ctx, before, after)
	}
	return nil
}

// Run polls each interval until ctx ends: an announcement may be lost.
func (v *View) Run(ctx context.Context, interval time.Duration) {
	t := time.NewTicker(interval)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			if err := v.Refresh(ctx); err != nil && ctx.Err() == nil {
				v.log.Warn("desired state could not be read; the last one stands", "err", err)
			}
		}
	}
}

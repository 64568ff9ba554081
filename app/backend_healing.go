package app

import (
	"context"
	"strconv"

	"aura/agents/desired"
	"aura/healing/policy"
	"aura/store"
	"aura/web/api"
)

// settingPaused is the row of desired state that stops forward actions while it is "true".
const settingPaused = policy.SettingPaused

// healingBackend answers for the loop's switch: a row of desired state that healing and governance read.
type healingBackend struct {
	store    *store.Store
	view     *desired.View
	announce announcer
	// heals says whether a healing agent runs in this process.
	heals   bool
	profile func() string
	dryRun  bool
}

// Healing implements api.Healer.
func (b *healingBackend) Healing(ctx context.Context) (api.Healing, error) {
	state, err := b.store.Desired(ctx)
	if err != nil {
		return api.Healing{}, refusal(err)
	}
	row := state.Settings[settingPaused]
	out := api.Healing{DryRun: b.dryRun, By: row.Owner, Reason: row.Reason}
	if b.profile != nil {
		out.Profile = b.profile()
	}
	if row.Generation > 0 {
		out.Since = row.ChangedAt
	}
	out.State = b.state(row)
	open, err := b.store.OpenIncidents(ctx)
	if err != nil {
		return out, refusal(err)
	}
	for _, r := range open {
		if r.Status == store.IncidentOpen || r.Status == store.IncidentMitigating {
			out.Incidents++
		}
	}
	waiting, err := b.store.PendingRequests(ctx, 200)
	if err != nil {
		return out, refusal(err)
	}
	out.Approvals = len(waiting)
	return out, nil
}

// state is what the row of the switch means here.
func (b *healingBackend) state(row store.Setting) string {
	switch {
	case !b.heals:
		return api.HealingOff
	case row.Value == "true":
		return api.HealingPaused
	}
	return api.HealingActive
}

// Pause implements api.Healer.
func (b *healingBackend) Pause(ctx context.Context, by api.Change) (api.Healing, error) {
	return b.set(ctx, true, by)
}

// Resume implements api.Healer.
func (b *healingBackend) Resume(ctx context.Context, by api.Change) (api.Healing, error) {
	return b.set(ctx, false, by)
}

// set is a person's hold: the row first, then everything in this process, then the others. A process that doesn't heal
// may still stop those that do: the row is everybody's.
func (b *healingBackend) set(ctx context.Context, paused bool, by api.Change) (api.Healing, error) {
	row, err := b.store.Set(ctx, store.Change{
		Setting: settingPaused, Value: strconv.FormatBool(paused), By: by.By, Reason: by.Reason, Person: true, Hold: paused,
	})
	if err != nil {
		return api.Healing{}, refusal(err)
	}
	if err := b.view.Refresh(ctx); err != nil {
		return api.Healing{}, refusal(err)
	}
	b.announce(ctx, settingPaused, row.Generation)
	return b.Healing(ctx)
}

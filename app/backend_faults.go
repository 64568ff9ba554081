package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"time"

	"aura/agents/fault"
	"aura/store"
	"aura/web/api"
)

// Inject implements api.Faults.
func (b *faults) Inject(ctx context.Context, r api.FaultRequest) (api.Fault, error) {
	f := fault.Fault{Target: r.Target, Kind: fault.Kind(r.Kind), Share: r.Share, Change: fault.Change(r.FaultChange), By: r.By}
	var err error
	if f.TTL, err = time.ParseDuration(r.TTL); err != nil {
		return api.Fault{}, badDuration("ttl", r.TTL)
	}
	if r.Delay != "" {
		if f.Delay, err = time.ParseDuration(r.Delay); err != nil {
			return api.Fault{}, badDuration("delay", r.Delay)
		}
	}
	f.Times = fault.DefaultTimes(f.Kind)
	if r.Times != nil {
		f.Times = *r.Times
	}
	injected, err := b.registry.Inject(f)
	if err != nil {
		return api.Fault{}, refusal(err)
	}
	out := faultOf(injected)
	return out, b.record(ctx, out, injected.By)
}

// record keeps what was injected, and by whom, for the scoreboard afterwards. A fault that can't be recorded doesn't stay.
func (b *faults) record(ctx context.Context, f api.Fault, by string) error {
	detail, err := json.Marshal(f)
	if err == nil {
		err = b.store.AppendAudit(ctx, store.AuditEntry{At: f.CreatedAt, Actor: cmp.Or(by, operator), Kind: kindFaultInjected, Subject: f.ID, Detail: detail})
	}
	if err != nil {
		_ = b.registry.Remove(f.ID) // it may have ended by itself
		return refusal(err)
	}
	return nil
}

func badDuration(field, got string) error {
	return api.RefuseFields(api.Field{Field: field, Problem: "not a duration", Got: got, Want: "a duration such as 2s or 500ms"})
}

// Remove implements api.Faults.
func (b *faults) Remove(_ context.Context, id string) error {
	err := b.registry.Remove(id)
	if errors.Is(err, fault.ErrNotFound) {
		return api.Refuse(api.NotFound, "no active fault has this id; GET /api/v1/faults lists them")
	}
	return err
}

// Clear implements api.Faults.
func (b *faults) Clear(context.Context) (int, error) { return b.registry.Clear(), nil }

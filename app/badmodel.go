package app

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"aura/agents/desired"
	"aura/agents/fault"
	"aura/mlops/registry"
	"aura/mlops/train"
)

// badModelWithin bounds the training and the promotion of a bad model.
const badModelWithin = time.Minute

// badModel acts out the fault of that kind: it trains a version that is really worse, registers it and puts it in charge
// as a person would, through the registry, in the name of who injects it. The version's note tells people what it is; no
// agent reads it: who judges must find out. When the fault ends, the version that was in charge before is put back, unless somebody has done something about it already.
type badModel struct {
	first  *firstModel
	models *modelsBackend
	log    *slog.Logger

	mu  sync.Mutex
	put map[string]put // by fault
}

// put is a bad version in charge and the one before it.
type put struct{ version, before int }

// operator is who a person on this machine is.
const operator = "local"

func newBadModel(first *firstModel, models *modelsBackend, log *slog.Logger) *badModel {
	return &badModel{first: first, models: models, log: log, put: map[string]put{}}
}

// Begin implements fault.Actor.
func (b *badModel) Begin(f fault.Fault) error {
	ctx, cancel := context.WithTimeout(context.Background(), badModelWithin)
	defer cancel()
	reg, by := b.models.registry, cmp.Or(f.By, operator)
	champion, _, err := reg.Champion(ctx)
	if err != nil {
		return err
	}
	rows, err := b.first.rows()
	if err != nil {
		return err
	}
	o := trainOptions(b.first.cfg)
	o.Seed += uint64(champion.Number) // another draw each time
	result, err := train.Worse(ctx, b.first.schema, rows, o)
	if err != nil {
		return err
	}
	v, err := reg.Register(ctx, result.Model, registry.Note{By: by, Text: "injected: a worse version, of fault " + f.ID})
	if err != nil {
		return err
	}
	if err := saveReference(ctx, b.first.store, b.first.schema, v.Number, rows, result.Unseen, by); err != nil {
		return err
	}
	generation, err := reg.Promote(ctx, v.Number, by, fmt.Sprintf("hold-out accuracy %.3f", result.Accuracy))
	if err != nil {
		return err
	}
	b.mu.Lock()
	b.put[f.ID] = put{v.Number, champion.Number}
	b.mu.Unlock()
	b.log.Warn("a model that is really worse is in charge", "component", "fault", "id", f.ID, "version", v.Number,
		"accuracy_claimed", result.Accuracy, "accuracy_true", result.TrueAccuracy)
	_, err = b.models.switched(ctx, generation)
	return err
}

// follow ends a fault whose version somebody has taken out of charge: it does nothing any more, and so nothing is put back.
func (b *badModel) follow(view *desired.View, faults *fault.Registry) {
	view.OnChange(func(_ context.Context, _, after desired.State) {
		for _, id := range b.replaced(after.Champion) {
			_ = faults.Over(id, "its version is no longer in charge") // unless it has just ended
		}
	})
}

// replaced forgets the faults whose versions are not the champion and returns their ids.
func (b *badModel) replaced(champion int) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var ids []string
	for id, p := range b.put {
		if p.version != champion {
			ids = append(ids, id)
			delete(b.put, id)
		}
	}
	return ids
}

// End implements fault.Actor.
func (b *badModel) End(f fault.Fault) {
	b.mu.Lock()
	p, ok := b.put[f.ID]
	delete(b.put, f.ID)
	b.mu.Unlock()
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), badModelWithin)
	defer cancel()
	if err := b.undo(ctx, p, cmp.Or(f.By, operator)); err != nil {
		b.log.Error("the model that was in charge before the fault could not be put back; use aura model promote", "component", "fault",
			"version", p.before, "err", err)
	}
}

func (b *badModel) undo(ctx context.Context, p put, by string) error {
	champion, _, err := b.models.registry.Champion(ctx)
	if err != nil || champion.Number != p.version {
		return err
	}
	generation, err := b.models.registry.Promote(ctx, p.before, by, fmt.Sprintf("back to version %d", p.before))
	if err != nil {
		return err
	}
	_, err = b.models.switched(ctx, generation)
	return err
}

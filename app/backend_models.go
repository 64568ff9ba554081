package app

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"aura/agents/desired"
	"aura/agents/fault"
	"aura/agents/model"
	"aura/mlops/forest"
	"aura/mlops/registry"
	"aura/web/api"
)

// modelsBackend answers for the registry.
type modelsBackend struct {
	registry *registry.Registry
	view     *desired.View
	champion *model.Champion
	announce announcer
	mirror   *mirror // set before anybody asks
}

func newModels(r *registry.Registry, view *desired.View, c *model.Champion, ctl *control) *modelsBackend {
	return &modelsBackend{registry: r, view: view, champion: c, announce: ctl.announce}
}

// Mirror implements api.Models.
func (b *modelsBackend) Mirror() *api.Mirror { return b.mirror.status() }

// Models implements api.Models. The cursor is the number of the last version shown.
func (b *modelsBackend) Models(ctx context.Context, limit int, cursor string) (api.List[api.Model], error) {
	before, err := number(cursor)
	if err != nil {
		return api.List[api.Model]{}, err
	}
	versions, err := b.registry.Versions(ctx, limit+1, before)
	if err != nil {
		return api.List[api.Model]{}, refusal(err)
	}
	aliases, err := b.registry.Aliases(ctx)
	if err != nil {
		return api.List[api.Model]{}, refusal(err)
	}
	list := api.List[api.Model]{Items: make([]api.Model, 0, min(limit, len(versions)))}
	for i, v := range versions {
		if i == limit {
			list.NextCursor = strconv.Itoa(versions[limit-1].Number)
			break
		}
		list.Items = append(list.Items, modelOf(v, aliases))
	}
	return list, nil
}

func number(cursor string) (int, error) {
	if cursor == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(cursor)
	if err != nil || n < 1 {
		return 0, api.RefuseCursor()
	}
	return n, nil
}

// Model implements api.Models.
func (b *modelsBackend) Model(ctx context.Context, version int) (api.Model, error) {
	v, err := b.registry.Version(ctx, version)
	if err != nil {
		return api.Model{}, refusal(err)
	}
	aliases, err := b.registry.Aliases(ctx)
	if err != nil {
		return api.Model{}, refusal(err)
	}
	return modelOf(v, aliases), nil
}

// ONNX implements api.Models.
func (b *modelsBackend) ONNX(ctx context.Context, version int) (api.ModelFile, error) {
	f, err := onnxOf(ctx, b.registry, version)
	if err != nil {
		return f, refusal(err)
	}
	return f, nil
}

// Promote implements api.Models.
func (b *modelsBackend) Promote(ctx context.Context, version int, by api.Change) (api.Switch, error) {
	generation, err := b.registry.Promote(ctx, version, by.By, by.Reason)
	if err != nil {
		return api.Switch{}, refusal(err)
	}
	return b.switched(ctx, generation)
}

// Rollback implements api.Models.
func (b *modelsBackend) Rollback(ctx context.Context, by api.Change) (api.Switch, error) {
	generation, err := b.registry.Rollback(ctx, by.By, by.Reason)
	if err != nil {
		return api.Switch{}, refusal(err)
	}
	return b.switched(ctx, generation)
}

// switched sees to it that the live model agent has the new champion before the change is answered.
func (b *modelsBackend) switched(ctx context.Context, generation int64) (api.Switch, error) {
	if err := b.view.Refresh(ctx); err != nil {
		return api.Switch{}, refusal(err)
	}
	if _, err := b.champion.Ensure(ctx, generation); err != nil {
		return api.Switch{}, refusal(err)
	}
	b.announce(ctx, "champion", generation)
	aliases, err := b.registry.Aliases(ctx)
	if err != nil {
		return api.Switch{}, refusal(err)
	}
	v, err := b.registry.Version(ctx, aliases[registry.Champion])
	if err != nil {
		return api.Switch{}, refusal(err)
	}
	return api.Switch{Version: v.Number, Previous: aliases[registry.Previous], Digest: v.Digest, Generation: generation}, nil
}

// History implements api.Models. The cursor is how many changes were shown.
func (b *modelsBackend) History(ctx context.Context, limit int, cursor string) (api.List[api.AliasChange], error) {
	skip, err := number(cursor)
	if err != nil {
		return api.List[api.AliasChange]{}, err
	}
	changes, err := b.registry.History(ctx, skip+limit+1)
	if err != nil {
		return api.List[api.AliasChange]{}, refusal(err)
	}
	changes = changes[min(skip, len(changes)):]
	list := api.List[api.AliasChange]{Items: make([]api.AliasChange, 0, min(limit, len(changes)))}
	for i, c := range changes {
		if i == limit {
			list.NextCursor = strconv.Itoa(skip + limit)
			break
		}
		list.Items = append(list.Items, api.AliasChange{
			Alias: c.Alias, Version: c.Version, Previous: c.Previous, Generation: c.Generation, By: c.By, Reason: c.Reason, At: c.At,
		})
	}
	return list, nil
}

// champions returns the version in charge, nil before the first one, and the one that a rollback would go to.
func (b *modelsBackend) champions(ctx context.Context) (*api.Model, int, error) {
	aliases, err := b.registry.Aliases(ctx)
	if err != nil {
		return nil, 0, refusal(err)
	}
	n := aliases[registry.Champion]
	if n == 0 {
		return nil, 0, nil
	}
	v, err := b.registry.Version(ctx, n)
	if err != nil {
		return nil, 0, refusal(err)
	}
	m := modelOf(v, aliases)
	return &m, aliases[registry.Previous], nil
}

func modelOf(v registry.Version, aliases map[string]int) api.Model {
	m := api.Model{
		Version: v.Number, Digest: v.Digest, SchemaName: v.SchemaName, SchemaDigest: v.SchemaDigest, Aliases: []string{},
		Metrics: api.Metrics{
			CVAUC: measured(v.Metrics.CVAUC), HoldoutAUC: measured(v.Metrics.HoldoutAUC), Brier: measured(v.Metrics.Brier),
			Accuracy: measured(v.Metrics.Accuracy), LogLoss: measured(v.Metrics.LogLoss),
		},
		Rows: v.Window.Rows, WindowFrom: v.Window.From, WindowTo: v.Window.To, Seed: v.Seed,
		CreatedAt: v.CreatedAt, CreatedBy: v.CreatedBy, Note: v.Note,
	}
	for alias, n := range aliases {
		if n == v.Number {
			m.Aliases = append(m.Aliases, alias)
		}
	}
	slices.Sort(m.Aliases)
	return m
}

// measured is nil for a metric that was not: none of them is ever exactly 0 on real data.
func measured(f float64) *float64 {
	if f == 0 {
		return nil
	}
	return &f
}

// modelRefusal is refusal for the errors of registry and faults.
func modelRefusal(err error) error {
	var refused *registry.Refused
	var invalid *fault.InvalidError
	var data *forest.DataError
	switch {
	case errors.As(err, &refused) && refused.Code == registry.CodeNotFound:
		return api.Refuse(api.NotFound, "%s", refused.Message)
	case errors.As(err, &refused):
		return api.Refuse(api.Conflict, "%s", refused.Message)
	case errors.As(err, &data):
		return api.Refuse(api.Conflict, "%s", data.Problem)
	case errors.As(err, &invalid):
		return api.RefuseFields(api.Field{Field: invalid.Field, Problem: invalid.Problem, Want: invalid.Remedy})
	}
	return err
}

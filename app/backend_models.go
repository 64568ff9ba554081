package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"aura/agents/desired"
	"aura/agents/fault"
	"aura/agents/model"
	"aura/healing/incident"
	"aura/mlops/forest"
	"aura/mlops/registry"
	"aura/store"
	"aura/web/api"
)

// modelsBackend answers for the registry.
type modelsBackend struct {
	registry *registry.Registry
	view     *desired.View
	champion *model.Champion
	announce announcer
	store    *store.Store
	mirror   *mirror // set before anybody asks

	oneImport sync.Mutex
	fleet     *fleet
}

func newModels(r *registry.Registry, view *desired.View, c *model.Champion, ctl *control, s *store.Store, fl *fleet) *modelsBackend {
	return &modelsBackend{registry: r, view: view, champion: c, announce: ctl.announce, store: s, fleet: fl}
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

// Import implements api.Models.
func (b *modelsBackend) Import(ctx context.Context, m api.ModelImport) (api.Imported, error) {
	result, err := b.importing(ctx, m)
	if err != nil {
		return result, refusal(err)
	}
	return result, nil
}

func (b *modelsBackend) importing(ctx context.Context, m api.ModelImport) (api.Imported, error) {
	b.oneImport.Lock() // a file may be large, and so may what is made of it
	defer b.oneImport.Unlock()
	rows, err := storedOutcomes(ctx, b.registry.Schema(), b.store)
	if err != nil {
		return api.Imported{}, err
	}
	if len(rows) < trainLeast {
		return api.Imported{}, api.Refuse(api.Conflict, "%d applications have an outcome, a model is judged on %d at least: wait for more, or stop the server and import it with --rows FILE.csv", len(rows), trainLeast)
	}
	return importing{b.registry, b.store}.run(ctx, m, rows, fromStore)
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
	generation, err := b.registry.Rollback(ctx, by.By, by.Reason, func(version int) error {
		switch why, err := b.takenAway(ctx, version); {
		case err != nil:
			return err
		case why != "":
			return api.Refuse(api.Conflict, "%s", why)
		}
		return nil
	})
	if err != nil {
		return api.Switch{}, refusal(err)
	}
	return b.switched(ctx, generation)
}

// takenAway says why a rollback would undo what healing has done: the version was last taken out of charge by its rollback. ""
// where it was not.
func (b *modelsBackend) takenAway(ctx context.Context, version int) (string, error) {
	c, err := b.store.Replaced(ctx, version)
	if err != nil || c == nil || c.ActionID == "" {
		return "", err
	}
	a, err := b.store.Action(ctx, c.ActionID)
	if errors.Is(err, store.ErrNotFound) || err == nil && a.Type != incident.RollbackModel {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("healing took version %d out of charge at %s, by %s of %s; if you mean it, promote it by number: aura model promote %d --reason WHY",
		version, c.ChangedAt.UTC().Format("2006-01-02 15:04:05 UTC"), a.Type, a.IncidentID, version), nil
}

// switched sees to it that the live model agents have the new champion before the change is answered: here in any case, in other
// processes unless they take too long.
func (b *modelsBackend) switched(ctx context.Context, generation int64) (api.Switch, error) {
	if err := b.view.Refresh(ctx); err != nil {
		return api.Switch{}, refusal(err)
	}
	if _, err := b.champion.Ensure(ctx, generation); err != nil {
		return api.Switch{}, refusal(err)
	}
	b.announce(ctx, "champion", generation)
	b.fleet.followed(ctx, model.Name, generation)
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

// rollback is the version that one would go to, 0 if none, and why it would be refused.
type rollback struct {
	Version int
	Refused string
}

// champions returns the version in charge, nil before the first one, and what a rollback would do.
func (b *modelsBackend) champions(ctx context.Context) (*api.Model, rollback, error) {
	aliases, err := b.registry.Aliases(ctx)
	if err != nil {
		return nil, rollback{}, refusal(err)
	}
	n := aliases[registry.Champion]
	if n == 0 {
		return nil, rollback{}, nil
	}
	v, err := b.registry.Version(ctx, n)
	if err != nil {
		return nil, rollback{}, refusal(err)
	}
	m, to := modelOf(v, aliases), rollback{Version: aliases[registry.Previous]}
	if to.Version != 0 {
		if to.Refused, err = b.takenAway(ctx, to.Version); err != nil {
			return nil, rollback{}, refusal(err)
		}
	}
	return &m, to, nil
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
	case errors.As(err, &refused) && refused.Code == registry.CodeNotImported:
		return api.RefuseFields(api.Field{Field: "body", Problem: refused.Message})
	case errors.As(err, &refused):
		return api.Refuse(api.Conflict, "%s", refused.Message)
	case errors.As(err, &data):
		return api.Refuse(api.Conflict, "%s", data.Problem)
	case errors.As(err, &invalid):
		return api.RefuseFields(api.Field{Field: invalid.Field, Problem: invalid.Problem, Want: invalid.Remedy})
	}
	return err
}

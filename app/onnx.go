package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"time"

	"aura/app/cli"
	"aura/app/config"
	"aura/mlops/dataset"
	"aura/mlops/forest"
	"aura/mlops/gate"
	"aura/mlops/onnx"
	"aura/mlops/registry"
	"aura/mlops/schema"
	"aura/store"
	"aura/web/api"
)

// onnxOf reads a version, or the champion for 0, as ONNX.
func onnxOf(ctx context.Context, r *registry.Registry, version int) (api.ModelFile, error) {
	if version == 0 {
		v, _, err := r.Champion(ctx)
		if err != nil {
			return api.ModelFile{}, err
		}
		version = v.Number
	}
	m, err := r.Load(ctx, version)
	if err != nil {
		return api.ModelFile{}, err
	}
	content, err := m.ONNX()
	return api.ModelFile{Version: version, Digest: m.Digest, Content: content}, err
}

// ExportModel is the body of `aura model export` where no server runs.
func ExportModel(ctx context.Context, cfg config.Config, version int) (_ api.ModelFile, err error) {
	s, err := loadSchema(cfg)
	if err != nil {
		return api.ModelFile{}, err
	}
	if err := hasStore(cfg); err != nil {
		return api.ModelFile{}, err
	}
	opened := &closers{}
	st, err := openStore(ctx, cfg, storeOptions(cfg, slog.New(slog.DiscardHandler)), opened)
	if err != nil {
		return api.ModelFile{}, err
	}
	defer func() { err = errors.Join(err, opened.close(context.WithoutCancel(ctx))) }()
	f, err := onnxOf(ctx, newRegistry(cfg, st, s, slog.New(slog.DiscardHandler)), version)
	var refused *registry.Refused
	if errors.As(err, &refused) {
		return f, cli.Exit(cli.ExitPrecondition, err, "")
	}
	return f, err
}

// ImportModel is the body of `aura model import` where no server runs.
func ImportModel(ctx context.Context, cfg config.Config, r cli.ImportRequest) (result api.Imported, err error) {
	cfg = withSeed(cfg)
	s, err := loadSchema(cfg)
	if err != nil {
		return result, err
	}
	if _, err := registry.ImportModel(s, r.Content, onnx.Options{Columns: r.Columns, Bad: r.Bad}, registry.Info{}); err != nil {
		return result, importRefused(err) // before anything is opened
	}
	opened, log := &closers{}, newLog(cfg, r.Streams.Err)
	st, err := openStore(ctx, cfg, storeOptions(cfg, log), opened)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, opened.close(context.WithoutCancel(ctx))) }()
	rows, from, err := judgedOn(ctx, cfg, s, st, r.Rows)
	if err != nil {
		return result, err
	}
	result, err = importing{newRegistry(cfg, st, s, log), st}.run(ctx, r.ModelImport, rows, from)
	return result, importRefused(err)
}

// importing registers models from elsewhere.
type importing struct {
	registry *registry.Registry
	store    *store.Store
}

// run measures a model on labelled rows that it was not trained on, registers it, and has the gate judge it against the champion. If it
// is better it becomes the challenger.
func (im importing) run(ctx context.Context, r api.ModelImport, rows []gate.LabelledRow, from string) (api.Imported, error) {
	s, options := im.registry.Schema(), onnx.Options{Columns: r.Columns, Bad: r.Bad}
	m, err := registry.ImportModel(s, r.Content, options, registry.Info{})
	if err != nil {
		return api.Imported{}, err
	}
	metrics := measureOn(m, rows)
	if m, err = registry.ImportModel(s, r.Content, options, registry.Info{Metrics: metrics}); err != nil {
		return api.Imported{}, err
	}
	note := "imported from " + r.Name
	if r.Note != "" {
		note += ": " + r.Note
	}
	v, err := im.registry.Register(ctx, m, registry.Note{By: r.By, Text: note})
	if err != nil {
		return api.Imported{}, err
	}
	if err := saveReference(ctx, im.store, s, v.Number, samplesOf(rows), scoresOf(m, rows), r.By); err != nil {
		return api.Imported{}, err
	}
	result := api.Imported{
		Version: v.Number, Digest: v.Digest, Schema: s.Name, Trees: m.Trees(), Rows: len(rows), RowsFrom: from,
		HoldoutAUC: metrics.HoldoutAUC, Brier: metrics.Brier, Accuracy: metrics.Accuracy,
	}
	err = im.challenge(ctx, m, r.By, rows, &result)
	return result, err
}

// importRefused tells a file that can't be used from a failure.
func importRefused(err error) error {
	var refused *registry.Refused
	if errors.As(err, &refused) {
		return cli.Exit(cli.ExitUsage, errors.New(refused.Message), "")
	}
	return err
}

// judgedOn are the labelled rows that an imported model is measured on, and where they are from.
func judgedOn(ctx context.Context, cfg config.Config, s *schema.Schema, st *store.Store, file string) ([]gate.LabelledRow, string, error) {
	if file != "" {
		set, err := dataset.Load(ctx, file, s, dataset.Options{Order: dataset.File})
		if err != nil {
			return nil, "", refuse("--rows: %v", err)
		}
		return unseen(set.Rows), "rows of " + filepath.Base(file), nil
	}
	if rows, err := storedOutcomes(ctx, s, st); err != nil || len(rows) >= trainLeast {
		return rows, fromStore, err
	}
	if cfg.Schema.File != "" {
		return nil, "", refuse("there are fewer than %d stored outcomes to judge it on: name a file of labelled rows by --rows FILE.csv", trainLeast)
	}
	// Not the rows that the first model is trained on.
	return unseen(dataset.Synthetic(cfg.Training.Rows, cfg.Seed+1)), "synthetic rows", nil
}

const fromStore = "stored applications with an outcome"

// storedOutcomes are the newest applications whose outcome is known.
func storedOutcomes(ctx context.Context, s *schema.Schema, st *store.Store) ([]gate.LabelledRow, error) {
	stored, err := st.LabelledSince(ctx, time.Time{}, now().Add(time.Second), trainMost)
	return labelledRows(s, stored), err
}

// unseen are rows of a file as the gate takes them.
func unseen(rows []dataset.Row) []gate.LabelledRow {
	out := make([]gate.LabelledRow, len(rows))
	for i, r := range rows {
		out[i] = gate.LabelledRow{Values: r.Values, Bad: r.Bad, Probability: nan}
	}
	return out
}

// measureOn are a model's figures on rows that it was not trained on; those that one outcome alone doesn't tell are absent.
func measureOn(m *registry.Model, rows []gate.LabelledRow) registry.Metrics {
	p, bad := scoresOf(m, rows), make([]bool, len(rows))
	for i, r := range rows {
		bad[i] = r.Bad
	}
	known := func(f float64) float64 {
		if f != f {
			return 0
		}
		return f
	}
	return registry.Metrics{
		HoldoutAUC: known(forest.AUC(p, bad)), Brier: known(forest.Brier(p, bad)), Accuracy: known(forest.Accuracy(p, bad, 0.5)),
		LogLoss: known(forest.LogLoss(p, bad)), Rows: len(rows),
	}
}

// challenge has the gate compare a new version with the champion, if there is one of this schema.
func (im importing) challenge(ctx context.Context, m *registry.Model, by string, rows []gate.LabelledRow, result *api.Imported) error {
	champion, _, err := im.registry.Champion(ctx)
	var refused *registry.Refused
	if errors.As(err, &refused) && refused.Code == registry.CodeNoChampion {
		return nil
	}
	if err != nil {
		return err
	}
	result.Champion = champion.Number
	now, err := im.registry.Load(ctx, champion.Number)
	if errors.As(err, &refused) {
		result.Verdict, result.Reason = "NOT_JUDGED", "the champion can't be loaded: "+refused.Message
		return nil
	}
	if err != nil {
		return err
	}
	out, err := gate.Challenge(im.registry.Schema(), now, m, "version "+strconv.Itoa(result.Version), rows, gate.Options{})
	if err != nil {
		return err
	}
	result.Verdict, result.Reason = string(out.Verdict.Code), out.Verdict.Reason
	for _, c := range out.Verdict.Checks {
		result.Checks = append(result.Checks, api.GateCheck{Name: c.Name, Value: c.Value, Limit: c.Limit, OK: c.OK, Info: c.Info})
	}
	if !out.Verdict.Promote {
		return nil
	}
	if err := im.registry.Challenge(ctx, result.Version, by, fmt.Sprintf("%.400s", out.Verdict.Reason)); err != nil {
		return err
	}
	result.Challenger = true
	return nil
}

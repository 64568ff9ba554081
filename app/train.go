package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"aura/app/cli"
	"aura/app/config"
	"aura/mlops/dataset"
	"aura/mlops/forest"
	"aura/mlops/registry"
	"aura/mlops/schema"
	"aura/mlops/train"
	"aura/store"
)

// firstModel sees to it that there is a champion before the first application comes.
type firstModel struct {
	cfg      config.Config
	log      *slog.Logger
	schema   *schema.Schema
	data     *userData
	registry *registry.Registry
	store    *store.Store
}

func newFirstModel(cfg config.Config, log *slog.Logger, s *schema.Schema, data *userData, r *registry.Registry, st *store.Store) *firstModel {
	return &firstModel{cfg, log, s, data, r, st}
}

// ensure trains and promotes the first model where the registry has no champion.
func (f *firstModel) ensure(ctx context.Context) error {
	n, err := f.registry.Share(ctx)
	if err != nil {
		return err
	}
	if n > 0 {
		f.log.Info("model files of an earlier program are in the database now", "n", n)
	}
	v, _, err := f.registry.Champion(ctx)
	if err == nil {
		return f.fits(ctx, v)
	}
	var refused *registry.Refused
	if !errors.As(err, &refused) || refused.Code != registry.CodeNoChampion {
		return err
	}
	rows, err := f.rows()
	if err != nil {
		return err
	}
	began := time.Now()
	result, err := train.Fit(ctx, f.schema, rows, trainOptions(f.cfg))
	if err != nil {
		return trainingRefused(err)
	}
	v, err = f.registry.Register(ctx, result.Model, registry.Note{By: "aura", Text: "first model of this registry"})
	if err != nil {
		return err
	}
	if err := saveReference(ctx, f.store, f.schema, v.Number, rows, result.Unseen, "aura"); err != nil {
		return err
	}
	if _, err := f.registry.Promote(ctx, v.Number, "aura", "the registry was empty"); err != nil {
		return err
	}
	if err := firstReference(ctx, f.store, v.Number); err != nil {
		return err
	}
	f.log.Info("first model trained", "version", v.Number, "rows", result.Rows, "holdout_auc", result.HoldoutAUC, "took", time.Since(began))
	return nil
}

// fits refuses to run on a champion of another schema. A champion whose file can't be loaded is no reason to stay down:
// /readyz says so, rules can decide, and it is looked for again.
func (f *firstModel) fits(ctx context.Context, v registry.Version) error {
	_, err := f.registry.Load(ctx, v.Number)
	var refused *registry.Refused
	if errors.As(err, &refused) && refused.Code == registry.CodeSchema {
		return refuse("the champion in %s doesn't fit the schema in use: %s; name the matching --schema, another --data directory, or promote a model for this one",
			f.cfg.Data.Dir, refused.Message)
	}
	return nil
}

// rows to train on: the user's, or synthetic ones where the schema is the built-in one.
func (f *firstModel) rows() ([]dataset.Row, error) {
	if f.data != nil {
		return f.data.train, nil
	}
	return builtinRows(f.cfg)
}

func builtinRows(cfg config.Config) ([]dataset.Row, error) {
	if cfg.Schema.File != "" {
		return nil, refuse("schema.file: there is no model for this schema yet and no rows to train one on; name a file (aura run --schema %s --source FILE.csv, or aura train --schema %s --data FILE.csv)",
			cfg.Schema.File, cfg.Schema.File)
	}
	return dataset.Synthetic(cfg.Training.Rows, cfg.Seed), nil
}

func trainOptions(cfg config.Config) train.Options {
	return train.Options{Seed: cfg.Seed, Trees: cfg.Training.Trees, Depth: cfg.Training.Depth}
}

// trainingRefused tells data that can't be trained on from a failure.
func trainingRefused(err error) error {
	var data *forest.DataError
	if errors.As(err, &data) {
		return refuse("training: %v", err)
	}
	return fmt.Errorf("train: %w", err)
}

// Train is the body of `aura train`: a model on the user's file or on synthetic rows, judged, registered, and put in
// charge if it is the first.
func Train(ctx context.Context, loaded config.Loaded, r cli.TrainRequest) (result cli.TrainResult, err error) {
	cfg, began := withSeed(loaded.Config), time.Now()
	log := newLog(cfg, r.Streams.Err)
	s, err := loadSchema(cfg)
	if err != nil {
		return result, err
	}
	rows, err := trainingRows(ctx, cfg, s, r.File)
	if err != nil {
		return result, err
	}
	opened := &closers{}
	st, err := openStore(ctx, cfg, storeOptions(cfg, log), opened)
	if err != nil {
		return result, trainBeside(cfg, err)
	}
	defer func() { err = errors.Join(err, opened.close(context.WithoutCancel(ctx))) }()
	o := trainOptions(cfg)
	o.CV, o.Progress = true, r.Progress
	fit, err := train.Fit(ctx, s, rows, o)
	if err != nil {
		return result, trainingRefused(err)
	}
	reg := newRegistry(cfg, st, s, log)
	v, err := reg.Register(ctx, fit.Model, registry.Note{By: "cli", Text: "aura train"})
	if err != nil {
		return result, err
	}
	if err := saveReference(ctx, st, s, v.Number, rows, fit.Unseen, "cli"); err != nil {
		return result, err
	}
	result = cli.TrainResult{
		Version: v.Number, Digest: v.Digest, Schema: s.Name, Rows: fit.Rows,
		Trees: cfg.Training.Trees, Depth: cfg.Training.Depth, Seed: cfg.Seed,
		CVAUC: fit.CVAUC, HoldoutAUC: fit.HoldoutAUC, Brier: fit.Brier, Accuracy: fit.Accuracy,
	}
	if _, _, err := reg.Champion(ctx); err != nil {
		if _, err := reg.Promote(ctx, v.Number, "cli", "the registry was empty"); err != nil {
			return result, err
		}
		if err := firstReference(ctx, st, v.Number); err != nil {
			return result, err
		}
		result.Champion = true
	}
	result.Seconds = time.Since(began).Seconds()
	return result, nil
}

// trainBeside says what to do where a server has the directory.
func trainBeside(cfg config.Config, err error) error {
	if addr, readErr := os.ReadFile(addrFile(cfg.Data.Dir)); readErr == nil && errors.As(err, new(*Refused)) {
		return refuse("a server runs on %s (http://%s): a version can't be added beside it. Stop it, train, and start it again; then `aura model promote` puts the version in charge. For the figures alone, train into another directory: --dir OTHER",
			cfg.Data.Dir, strings.TrimSpace(string(addr)))
	}
	return err
}

func trainingRows(ctx context.Context, cfg config.Config, s *schema.Schema, file string) ([]dataset.Row, error) {
	if file == "" {
		return builtinRows(cfg)
	}
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		return nil, refuse("--data: %s is a directory; here it names the CSV file to train on. The directory of database and models is --dir", file)
	}
	set, err := dataset.Load(ctx, file, s, dataset.Options{Order: dataset.File})
	if err != nil {
		return nil, refuse("--data: %v", err)
	}
	return set.Rows, nil
}

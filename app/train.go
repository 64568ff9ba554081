package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"aura/agents/reference"
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
	// leads reports whether this process is the one of its deployment that trains; nil for always.
	leads func(ctx context.Context) bool
}

func newFirstModel(cfg config.Config, log *slog.Logger, s *schema.Schema, data *userData, r *registry.Registry, st *store.Store, lead *leaders) *firstModel {
	return &firstModel{cfg, log, s, data, r, st, lead.of(leadFirstModel)}
}

// firstModelWithin bounds the training, or the wait for another process'.
const firstModelWithin = 10 * time.Minute

// ensure trains and promotes the first model where the registry has no champion. Of processes that start together one does, and
// the others wait for it.
func (f *firstModel) ensure(ctx context.Context) error {
	n, err := f.registry.Share(ctx)
	if err != nil {
		return err
	}
	if n > 0 {
		f.log.Info("model files of an earlier program are in the database now", "n", n)
	}
	if there, err := f.there(ctx); there || err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, firstModelWithin)
	defer cancel()
	if there, err := f.wait(ctx); there || err != nil {
		return err
	}
	if there, err := f.there(ctx); there || err != nil { // it may have come just before
		return err
	}
	return f.train(ctx)
}

// firstModelLook is how often a process looks whether another one has trained.
const firstModelLook = time.Second

// wait returns when it is this process that is to train, or when there is a champion.
func (f *firstModel) wait(ctx context.Context) (there bool, err error) {
	if f.leads == nil {
		return false, nil
	}
	tick := time.NewTicker(firstModelLook)
	defer tick.Stop()
	for !f.leads(ctx) {
		select {
		case <-ctx.Done():
			return false, fmt.Errorf("another process has the lease %s, and no first model comes of it: %w", leadFirstModel, context.Cause(ctx))
		case <-tick.C:
		}
		if there, err := f.there(ctx); there || err != nil {
			return there, err
		}
	}
	return false, nil
}

// there reports whether there is a champion, and sees that it can be used.
func (f *firstModel) there(ctx context.Context) (bool, error) {
	v, _, err := f.registry.Champion(ctx)
	var refused *registry.Refused
	if errors.As(err, &refused) && refused.Code == registry.CodeNoChampion {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := f.fits(ctx, v); err != nil {
		return true, err
	}
	return true, f.reference(ctx, v.Number)
}

// reference puts the champion's sample in force where no reference ever was: a process was stopped between the two.
func (f *firstModel) reference(ctx context.Context, champion int) error {
	state, err := f.store.Desired(ctx)
	if err != nil || state.ReferenceGeneration > 0 {
		return err
	}
	_, err = f.store.Reference(ctx, reference.OfModel(champion))
	if errors.Is(err, store.ErrNotFound) {
		return nil // a model from elsewhere
	}
	if err != nil {
		return err
	}
	return firstReference(ctx, f.store, champion)
}

func (f *firstModel) train(ctx context.Context) error {
	rows, err := f.rows()
	if err != nil {
		return err
	}
	if n := f.registry.Files(); n > 0 {
		f.log.Warn("the store is new and the directory has model files of an earlier one, whose applications and incidents are not here: "+
			"if its database was moved, stop, put it back and start again", "directory", f.cfg.Data.Dir, "files", n)
	}
	began := time.Now()
	result, err := train.Fit(ctx, f.schema, rows, trainOptions(f.cfg))
	if err != nil {
		return trainingRefused(err)
	}
	v, err := f.registry.Register(ctx, result.Model, registry.Note{By: "aura", Text: "first model of this registry"})
	if err != nil {
		return err
	}
	if err := saveReference(ctx, f.store, f.schema, v.Number, rows, result.Unseen, "aura"); err != nil {
		return err
	}
	if first, err := putFirst(ctx, f.registry, f.store, v.Number, "aura"); !first || err != nil {
		return err // another process was quicker, as somebody who trains by hand may be
	}
	f.log.Info("first model trained", "version", v.Number, "rows", result.Rows, "holdout_auc", result.HoldoutAUC, "took", time.Since(began))
	return nil
}

// putFirst puts a version and its reference in charge, if there is no champion.
func putFirst(ctx context.Context, r *registry.Registry, st *store.Store, version int, by string) (first bool, err error) {
	_, err = r.PromoteFirst(ctx, version, by, "the registry was empty")
	var refused *registry.Refused
	if errors.As(err, &refused) && refused.Code == registry.CodeHasChampion {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, firstReference(ctx, st, version)
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
	if result.Champion, err = putFirst(ctx, reg, st, v.Number, "cli"); err != nil {
		return result, err
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

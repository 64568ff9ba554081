package app

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"aura/agents/bus"
	"aura/app/config"
	"aura/store"
)

// ownServers keeps a database and an MLflow server of the file or the environment out of a benchmark or drill: they have a
// server's rows and models. Those of the command line (--db, --mlflow, --set) are meant.
func ownServers(loaded config.Loaded) config.Loaded {
	meant := func(key string) bool { return strings.HasPrefix(loaded.Origin(key), "flag ") }
	if cfg := loaded.Config; cfg.Store.URL != "" && !meant("store.url") {
		cfg.Store.URL = ""
		loaded = loaded.With(cfg, "off: it has a server's rows", "store.url")
	}
	if cfg := loaded.Config; cfg.MLflow.URL != "" && !meant("mlflow.url") {
		cfg.MLflow.URL = ""
		loaded = loaded.With(cfg, "off: it has a server's models", "mlflow.url")
	}
	return loaded
}

// scratch gives an instance that is thrown away a key of its own and puts it into a schema of its own, on topics of its own, and
// its models under names of their own, if it is on servers at all. remove takes them away.
func scratch(ctx context.Context, cfg *config.Config) (remove func(context.Context) error, err error) {
	cfg.Governance.KeyFile = "" // its own
	var removals []func(context.Context) error
	remove = func(ctx context.Context) (err error) {
		for _, r := range removals {
			err = errors.Join(err, r(ctx))
		}
		return err
	}
	name := "scratch-" + randomName()
	if cfg.Bus.Kind == kafkaBus {
		cfg.Kafka.Prefix += name + "-"
		topics := kafkaOptions(*cfg, slog.New(slog.DiscardHandler))
		removals = append(removals, func(context.Context) error { return bus.RemoveTopics(topics) })
	}
	if cfg.MLflow.URL != "" {
		cfg.MLflow.Model, cfg.MLflow.Experiment = name, cfg.MLflow.Experiment+"-"+name
		c, err := newMLflow(*cfg)
		if err != nil {
			return nil, err
		}
		removals = append(removals, func(ctx context.Context) error { return c.Remove(ctx, cfg.MLflow.Model, cfg.MLflow.Experiment) })
	}
	if cfg.Store.URL == "" {
		return remove, nil
	}
	place, drop, err := store.Scratch(ctx, cfg.Store.URL)
	var refused *store.Refused
	if errors.As(err, &refused) {
		return nil, refuse("store.url: %s", refused.Reason)
	}
	if err != nil {
		return nil, err
	}
	cfg.Store.URL = place
	removals = append(removals, drop)
	return remove, nil
}

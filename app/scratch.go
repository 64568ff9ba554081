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

// ownDatabase keeps a database of the file or the environment out of a benchmark or drill: it has a server's rows. One of
// the command line (--db, --set) is meant.
func ownDatabase(loaded config.Loaded) config.Loaded {
	cfg := loaded.Config
	if cfg.Store.URL == "" || strings.HasPrefix(loaded.Origin("store.url"), "flag ") {
		return loaded
	}
	cfg.Store.URL = ""
	return loaded.With(cfg, "off: it has a server's rows", "store.url")
}

// scratch gives an instance that is thrown away a key of its own, and puts it into a schema of its own, and on topics of its own, if it is on servers at all.
// remove takes them away.
func scratch(ctx context.Context, cfg *config.Config) (remove func(context.Context) error, err error) {
	cfg.Governance.KeyFile = "" // its own
	remove = func(context.Context) error { return nil }
	if cfg.Bus.Kind == kafkaBus {
		cfg.Kafka.Prefix += "scratch-" + randomName() + "-"
		topics := kafkaOptions(*cfg, slog.New(slog.DiscardHandler))
		remove = func(context.Context) error { return bus.RemoveTopics(topics) }
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
	topics := remove
	return func(ctx context.Context) error { return errors.Join(drop(ctx), topics(ctx)) }, nil
}

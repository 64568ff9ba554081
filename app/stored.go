package app

import (
	"os"
	"path/filepath"

	"aura/app/cli"
	"aura/app/config"
)

// hasStore refuses a data directory without a store, where a command would otherwise make one. With a server's database the
// directory of keys and models will do.
func hasStore(cfg config.Config) error {
	there := "aura.db"
	if cfg.Store.URL != "" {
		there = ""
	}
	if _, err := os.Stat(filepath.Join(cfg.Data.Dir, there)); err != nil {
		return cli.Exit(cli.ExitPrecondition, err, "name the data directory with --data")
	}
	return nil
}

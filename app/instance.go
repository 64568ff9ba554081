package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"aura/app/config"
	"aura/store"
)

// instance is what this process is called among those of a deployment: in its heartbeats and leases, and in Kafka's groups.
type instance string

// alone is the name where there are no others.
const alone instance = "local"

// instanceFile keeps the name of the processes of a data directory, one after the other, where none is configured: a new life
// takes over at once what the one before it read.
const instanceFile = "instance"

// newInstance comes after the store, which makes the data directory ours.
func newInstance(cfg config.Config, _ *store.Store) (instance, error) {
	switch {
	case cfg.Instance != "":
		return instance(cfg.Instance), nil
	case cfg.Bus.Kind != kafkaBus:
		return alone, nil
	}
	file := filepath.Join(cfg.Data.Dir, instanceFile)
	name, err := os.ReadFile(file)
	if text := strings.TrimSpace(string(name)); err == nil && text != "" {
		return instance(text), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("the name of this process: %w", err)
	}
	text := "aura-" + randomName()
	if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("the name of this process: %w", err)
	}
	return instance(text), nil
}

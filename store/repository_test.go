package store

import (
	"testing"

	"aura/mlops/registry"
	"aura/mlops/registry/registrytest"
)

// TestIsARegistrysRepository runs the suite that every repository of the registry must pass.
func TestIsARegistrysRepository(t *testing.T) {
	registrytest.Repository(t, func(t *testing.T) registry.Repository { return openDir(t, Options{Dir: t.TempDir()}) })
}

package store

import (
	"errors"
	"testing"

	"aura/mlops/registry"
	"aura/mlops/registry/registrytest"
)

// TestIsARegistrysRepository runs the suite that every repository of the registry must pass.
func TestIsARegistrysRepository(t *testing.T) {
	registrytest.Repository(t, func(t *testing.T) registry.Repository { return openDir(t, Options{Dir: t.TempDir()}) })
}

// TestADirectoryKeepsNoModelFiles: they lie beside the database.
func TestADirectoryKeepsNoModelFiles(t *testing.T) {
	s, ctx := openDir(t, Options{Dir: t.TempDir()}), t.Context()
	_, err := s.CreateVersion(ctx, version(1))
	must(t, err)
	must(t, s.SaveFile(ctx, version(1).Digest, []byte("x")))
	_, err = s.File(ctx, version(1).Digest)
	equal(t, "not found", errors.Is(err, registry.ErrNotFound), true)
	unsaved, err := s.Unsaved(ctx)
	must(t, err)
	equal(t, "unsaved", len(unsaved), 0)
}

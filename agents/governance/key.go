package governance

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// keyFile is governance's private key below the data directory.
const keyFile = "keys/agl.ed25519"

const pemType = "AURA ED25519 SEED"

// LoadKey reads the key of a data directory, and makes it where there is none: mode 0600, whole or not at all. A key that
// others may read is refused.
func LoadKey(dir string) (ed25519.PrivateKey, error) {
	name := filepath.Join(dir, keyFile)
	raw, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return makeKey(name)
	}
	if err != nil {
		return nil, fmt.Errorf("governance: key: %w", err)
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("governance: key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("governance: others may read %s (mode %o); chmod 600 it, or remove it to get a new one", name, info.Mode().Perm())
	}
	block, _ := pem.Decode(raw)
	if block == nil || block.Type != pemType || len(block.Bytes) != ed25519.SeedSize {
		return nil, fmt.Errorf("governance: %s is no key of AURA; remove it to get a new one", name)
	}
	return ed25519.NewKeyFromSeed(block.Bytes), nil
}

func makeKey(name string) (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("governance: make a key: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return nil, fmt.Errorf("governance: make a key: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".agl-*") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("governance: make a key: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: key.Seed()}))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, fmt.Errorf("governance: make a key: %w", err)
	}
	if err := os.Link(f.Name(), name); err != nil { // never over a key that another process has made meanwhile
		if errors.Is(err, fs.ErrExist) {
			return LoadKey(filepath.Dir(filepath.Dir(name)))
		}
		return nil, fmt.Errorf("governance: make a key: %w", err)
	}
	return key, nil
}

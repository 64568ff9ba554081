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
	key, err := readKey(name)
	if errors.Is(err, fs.ErrNotExist) {
		return makeKey(name)
	}
	return key, err
}

// CheckKey is LoadKey without making one: a directory that has none yet is well.
func CheckKey(dir string) error {
	if _, err := readKey(filepath.Join(dir, keyFile)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func readKey(name string) (ed25519.PrivateKey, error) {
	raw, err := os.ReadFile(name)
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

// RotateKey makes a new key in the place of the one that a data directory has, whole or not at all. What the old one
// signed is worth nothing any more to whoever knows only the new one.
func RotateKey(dir string) (ed25519.PrivateKey, error) {
	key, file, err := newKey(filepath.Join(dir, keyFile))
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(file) }()
	if err := errors.Join(os.Rename(file, filepath.Join(dir, keyFile)), syncDir(filepath.Join(dir, filepath.Dir(keyFile)))); err != nil {
		return nil, fmt.Errorf("governance: rotate the key: %w", err)
	}
	return key, nil
}

func makeKey(name string) (ed25519.PrivateKey, error) {
	key, file, err := newKey(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(file) }()
	if err := os.Link(file, name); err != nil { // never over a key that another process has made meanwhile
		if errors.Is(err, fs.ErrExist) {
			return LoadKey(filepath.Dir(filepath.Dir(name)))
		}
		return nil, fmt.Errorf("governance: make a key: %w", err)
	}
	return key, nil
}

// newKey writes a new key to a file beside name, mode 0600, and says where.
func newKey(name string) (key ed25519.PrivateKey, file string, err error) {
	if _, key, err = ed25519.GenerateKey(rand.Reader); err != nil {
		return nil, "", fmt.Errorf("governance: make a key: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return nil, "", fmt.Errorf("governance: make a key: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".agl-*") // mode 0600
	if err != nil {
		return nil, "", fmt.Errorf("governance: make a key: %w", err)
	}
	_, err = f.Write(pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: key.Seed()}))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, "", errors.Join(fmt.Errorf("governance: make a key: %w", err), os.Remove(f.Name()))
	}
	return key, f.Name(), nil
}

func syncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

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

	"aura/healing/policy"
)

const pemType = "AURA ED25519 SEED"

// KeyFile is where a data directory has governance's private key, where no other file is named.
func KeyFile(dir string) string { return filepath.Join(dir, "keys", "agl.ed25519") }

// nextFile holds the key that a rotation is about to put in force.
func nextFile(name string) string { return name + ".next" }

// KeyID names a private key by its public half.
func KeyID(key ed25519.PrivateKey) string { return policy.KeyID(key.Public().(ed25519.PublicKey)) }

// ReadKey reads a key's file; fs.ErrNotExist if there is none. One that others may read or change is refused: the group may
// read it, as it may a mounted secret, and whoever owns it is not asked for.
func ReadKey(name string) (ed25519.PrivateKey, error) {
	raw, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("governance: key: %w", err)
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("governance: key: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o027 != 0 {
		return nil, fmt.Errorf("governance: others may read %s, or its group may change it (mode %o); chmod 600 it", name, mode)
	}
	block, _ := pem.Decode(raw)
	if block == nil || block.Type != pemType || len(block.Bytes) != ed25519.SeedSize {
		return nil, fmt.Errorf("governance: %s is no key of AURA; put a copy of the key in its place", name)
	}
	return ed25519.NewKeyFromSeed(block.Bytes), nil
}

// LookForKey reads the key of an id: that of the file, or the one that a rotation left beside it before it was stopped. ok is
// false if the file has another key.
func LookForKey(name, id string) (key ed25519.PrivateKey, ok bool, err error) {
	if next, err := ReadKey(nextFile(name)); err == nil && KeyID(next) == id {
		return next, true, nil
	}
	key, err = ReadKey(name)
	return key, err == nil && KeyID(key) == id, err
}

// FindKey is LookForKey, and puts the key in its place.
func FindKey(name, id string) (key ed25519.PrivateKey, ok bool, err error) {
	if next, err := ReadKey(nextFile(name)); err == nil && KeyID(next) == id {
		if err := errors.Join(os.Rename(nextFile(name), name), syncDir(filepath.Dir(name))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, false, fmt.Errorf("governance: rotate the key: %w", err)
		} // fs.ErrNotExist: another process was quicker
	}
	return LookForKey(name, id)
}

// NextKey makes a key beside the one of a file, whole or not at all. FindKey puts it in its place, once it is in force.
func NextKey(name string) (ed25519.PrivateKey, error) {
	key, file, err := newKey(name)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(os.Rename(file, nextFile(name)), syncDir(filepath.Dir(name))); err != nil {
		return nil, fmt.Errorf("governance: rotate the key: %w", errors.Join(err, os.Remove(file)))
	}
	return key, nil
}

// MakeKey makes a key where there is no file: mode 0600, whole or not at all. Where another process was quicker it is that
// one's.
func MakeKey(name string) (ed25519.PrivateKey, error) {
	key, file, err := newKey(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(file) }()
	if err := os.Link(file, name); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return ReadKey(name)
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

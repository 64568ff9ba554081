package registry

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	modelsDir = "models"
	// maxModelBytes bounds what is read into memory from a file that may be anything.
	maxModelBytes = 1 << 30
)

// fileName is where version n of a digest lies, relative to the registry's directory.
func fileName(n int, digest string) string {
	return fmt.Sprintf("%s/v%06d-%.12s.aura", modelsDir, n, digest)
}

// Files counts the model files in the directory, those too that the registry knows nothing of.
func (r *Registry) Files() (n int) {
	files, _ := os.ReadDir(filepath.Join(r.dir, modelsDir)) // none if it can't be read: whoever needs them will say so
	for _, f := range files {
		if filepath.Ext(f.Name()) == ".aura" {
			n++
		}
	}
	return n
}

// writeFile makes name durable with all of data or not at all: a temporary file in the same folder, synced, renamed, and
// the folder synced, so that after the return neither a crash nor a power cut takes it away.
func writeFile(dir, name string, data []byte) (err error) {
	if err := below(name); err != nil {
		return err
	}
	path := filepath.Join(dir, filepath.FromSlash(name))
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	tmp, err := os.CreateTemp(folder, ".new-*")
	if err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("registry: write %s: %w", name, err), ignoreClosed(tmp.Close()), os.Remove(tmp.Name()))
		}
	}()
	if _, err := tmp.Write(data); err != nil {
		return err
	}
	if err := tmp.Chmod(0o644); err != nil {
		return err
	}
	if err := tmp.Sync(); err != nil {
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	if err := syncDir(folder); err != nil {
		return fmt.Errorf("registry: sync %s: %w", folder, err)
	}
	return nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// below refuses a name that leads out of the directory.
func below(name string) error {
	if !filepath.IsLocal(filepath.FromSlash(name)) {
		return &Refused{CodeFile, fmt.Sprintf("the row names the file %q, which is not below the registry's directory", name), nil}
	}
	return nil
}

// intact reports whether data is the model file of a digest: that of all but its end, which repeats it.
func intact(data []byte, digest string) bool {
	end := len(data) - sha256.Size
	if end < 0 {
		return false
	}
	sum := sha256.Sum256(data[:end])
	return bytes.Equal(sum[:], data[end:]) && hex.EncodeToString(sum[:]) == digest
}

// readFile reads a model file; a missing one is Refused. The row's name may not lead out of the directory.
func readFile(dir, name string) ([]byte, error) {
	if err := below(name); err != nil {
		return nil, err
	}
	f, err := os.Open(filepath.Join(dir, filepath.FromSlash(name)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &Refused{CodeFile, fmt.Sprintf("the model file %s is missing; restore it, or promote another version", name), err}
	}
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxModelBytes+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("registry: read %s: %w", name, err)
	}
	if len(data) > maxModelBytes {
		return nil, &Refused{CodeBroken, fmt.Sprintf("the model file %s is larger than %d bytes", name, maxModelBytes), nil}
	}
	return data, nil
}

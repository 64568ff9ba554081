package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestBugsAreCaught plants each bug in turn, by compiling another text in the place of one source file, and runs the test
// that must notice it. It takes minutes and runs where AURA_TEST_BUGS is set (.ci/run bugs); elsewhere it is only seen that each
// bug can still be planted.
func TestBugsAreCaught(t *testing.T) {
	planted := os.Getenv("AURA_TEST_BUGS") != ""
	sound := map[string]bool{}
	for _, b := range bugs {
		t.Run(b.name, func(t *testing.T) {
			overlay := b.plant(t)
			if !planted {
				return
			}
			if key := b.pkg + " " + b.test; !sound[key] {
				if out, err := b.run(t, ""); err != nil || !strings.Contains(out, "--- PASS") {
					t.Fatalf("the test doesn't pass without the bug: %v\n%s", err, tail(out, 20))
				}
				sound[key] = true
			}
			began := time.Now()
			out, err := b.run(t, overlay)
			var exit *exec.ExitError
			switch {
			case err == nil:
				t.Errorf("%s %s doesn't notice it", b.pkg, b.test)
			case !errors.As(err, &exit) || !strings.Contains(out, "--- FAIL"):
				t.Errorf("%s %s didn't even run: %v\n%s", b.pkg, b.test, err, tail(out, 20))
			default:
				t.Logf("noticed by %s %s after %s", b.pkg, b.test, time.Since(began).Round(time.Second/10))
			}
		})
	}
}

// plant writes the changed source and the overlay that puts it in the place of the true one.
func (b bug) plant(t *testing.T) (overlay string) {
	t.Helper()
	file, err := filepath.Abs(filepath.Join("..", b.file))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(raw), b.old); n != 1 || b.old == "" {
		t.Fatalf("%s holds the text to change %d times, want once: %q", b.file, n, b.old)
	}
	dir := t.TempDir()
	changed := filepath.Join(dir, filepath.Base(b.file))
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{file: changed}})
	if err != nil {
		t.Fatal(err)
	}
	overlay = filepath.Join(dir, "overlay.json")
	for name, text := range map[string]string{changed: strings.Replace(string(raw), b.old, b.new, 1), overlay: string(replace)} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return overlay
}

// run is go test of the bug's package, with the overlay if there is one.
func (b bug) run(t *testing.T, overlay string) (out string, err error) {
	t.Helper()
	const within = 5 * time.Minute
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	args := []string{"test", "-count=1", "-v", "-failfast", "-timeout", within.String(), "-run", b.test}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	args = append(args, b.pkg)
	if b.rapid {
		args = append(args, "-rapid.nofailfile")
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = ".."
	raw, err := cmd.CombinedOutput()
	return string(raw), err
}

package app

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"aura/agents/fault"
	"aura/agents/governance"
	"aura/app/cli"
	"aura/app/config"
	"aura/healing/incident"
	"aura/web/api"
)

// TestKeysAreRotated: in the running process, which heals on with the new key, and in a directory that nobody has open;
// who did it stands in the history.
func TestKeysAreRotated(t *testing.T) {
	t.Parallel()
	dir, ctx := t.TempDir(), t.Context()
	a := healed(t, func(c *config.Config) { c.Data.Dir = dir })
	first, err := governance.LoadKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	b := &operationsBackend{a.parts.Healer}
	out, err := b.RotateKey(ctx, api.Change{By: "ann", Reason: "bob left"})
	if err != nil || out.Previous != keyID(first) || out.KeyID == out.Previous {
		t.Fatalf("%+v, %v", out, err)
	}
	changes, err := a.parts.Store.ConfigHistory(ctx, 1, 0)
	if err != nil || changes[0].Setting.Setting != settingKey || changes[0].Owner != "ann" || changes[0].Value != out.KeyID || changes[0].Reason != "bob left" {
		t.Errorf("history %+v, %v", changes, err)
	}
	inject(t, a, fault.Fault{Target: "model", Kind: fault.Latency, Delay: 2 * time.Second, Share: 1, TTL: time.Minute})
	if in := await(t, a, incident.Degraded); in.Actions[0].Asks != 1 {
		t.Errorf("asked %d times", in.Actions[0].Asks)
	}
	if info, err := os.Stat(filepath.Join(dir, "keys", "agl.ed25519")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if _, err := RotateKey(ctx, inDir(dir), "ann", "x"); exitOf(err) != cli.ExitPrecondition {
		t.Errorf("a directory in use: %v", err)
	}
	if _, err := RotateKey(ctx, inDir(t.TempDir()), "ann", "x"); exitOf(err) != cli.ExitPrecondition {
		t.Errorf("no directory of ours: %v", err)
	}
}

// TestKeysAreRotatedOffline: the next process finds the new key, and says nothing of it that isn't known.
func TestKeysAreRotatedOffline(t *testing.T) {
	dir := t.TempDir()
	start := func() *App {
		cfg := config.Default()
		cfg.Data.Dir, cfg.HTTP.Addr, cfg.Simulate.Rate = dir, "127.0.0.1:0", 0
		cfg.Training.Rows, cfg.Training.Trees = 500, 5
		a, err := New(t.Context(), cfg, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		return a
	}
	stop := func(a *App) {
		if err := a.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	stop(start())
	out, err := RotateKey(t.Context(), inDir(dir), "ann", "yearly")
	if err != nil || out.Previous == "" || out.KeyID == out.Previous {
		t.Fatalf("%+v, %v", out, err)
	}
	a := start()
	defer stop(a)
	if id := keyID(a.parts.Healer.key); id != out.KeyID {
		t.Errorf("it goes by %s, not %s", id, out.KeyID)
	}
	state, err := a.parts.Store.Desired(t.Context())
	if row := state.Settings[settingKey]; err != nil || row.Value != out.KeyID || row.Owner != "ann" || row.Reason != "yearly" {
		t.Errorf("%+v, %v", row, err)
	}
	if r, err := a.parts.Store.VerifyAudit(t.Context()); err != nil || r.Broken != 0 {
		t.Errorf("audit %+v, %v", r, err)
	}
}

func exitOf(err error) int {
	coded, _ := err.(interface{ ExitCode() int })
	if coded == nil {
		return -1
	}
	return coded.ExitCode()
}

func inDir(dir string) config.Config {
	cfg := config.Default()
	cfg.Data.Dir = dir
	return cfg
}

package app

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aura/agents/fault"
	"aura/agents/governance"
	"aura/app/cli"
	"aura/app/config"
	"aura/healing/incident"
	"aura/store"
	"aura/web/api"
)

// TestKeysAreRotated: in the running process, which heals on with the new key, and in a directory that nobody has open;
// who did it stands in the history.
func TestKeysAreRotated(t *testing.T) {
	t.Parallel()
	dir, ctx := t.TempDir(), t.Context()
	a := healed(t, func(c *config.Config) { c.Data.Dir = dir })
	first, err := governance.ReadKey(governance.KeyFile(dir))
	if err != nil {
		t.Fatal(err)
	}
	b := &operationsBackend{a.parts.Healer}
	out, err := b.RotateKey(ctx, api.Change{By: "ann", Reason: "bob left"})
	if err != nil || out.Previous != governance.KeyID(first) || out.KeyID == out.Previous {
		t.Fatalf("%+v, %v", out, err)
	}
	changes, err := a.parts.Store.ConfigHistory(ctx, 1, 0)
	if err != nil || changes[0].Setting.Setting != store.SettingKey || changes[0].Owner != "ann" || changes[0].Value != out.KeyID || changes[0].Reason != "bob left" {
		t.Errorf("history %+v, %v", changes, err)
	}
	followed(t, a, dir)
	inject(t, a, fault.Fault{Target: "model", Kind: fault.Latency, Delay: 2 * time.Second, Share: 1, TTL: time.Minute})
	if in := await(t, a, incident.Degraded); in.Actions[0].Asks != 1 {
		t.Errorf("asked %d times", in.Actions[0].Asks)
	}
	if info, err := os.Stat(filepath.Join(dir, "keys", "agl.ed25519")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	changes, err = a.parts.Store.ConfigHistory(ctx, 1, 0)
	if err != nil || changes[0].Setting.Setting == store.SettingKey {
		t.Errorf("who follows changes nothing: %+v, %v", changes, err)
	}
	if _, err := RotateKey(ctx, inDir(dir), "ann", "x"); exitOf(err) != cli.ExitPrecondition {
		t.Errorf("a directory in use: %v", err)
	}
	if _, err := RotateKey(ctx, inDir(t.TempDir()), "ann", "x"); exitOf(err) != cli.ExitPrecondition {
		t.Errorf("no directory of ours: %v", err)
	}
}

// followed has other processes put keys in force: one with the same file, and one whose file is not here at first.
func followed(t *testing.T, a *App, dir string) {
	t.Helper()
	name, st, h := governance.KeyFile(dir), a.parts.Store, a.parts.Healer
	look := func() string {
		t.Helper()
		if err := a.parts.View.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.followKey()
		return *h.keyID.Load()
	}
	_, out, err := rotateKey(t.Context(), st, name, store.Change{By: "bob", Reason: "elsewhere", Person: true})
	if err != nil {
		t.Fatal(err)
	}
	if id := look(); id != out.KeyID {
		t.Errorf("it goes by %s; another process has put %s in force", id, out.KeyID)
	}
	elsewhere := filepath.Join(t.TempDir(), "key")
	id, err := NewKey(elsewhere)
	if err != nil {
		t.Fatal(err)
	}
	if err := st.PutKey(t.Context(), id, nil, out.KeyID, store.Change{By: "bob", Person: true}); err != nil {
		t.Fatal(err)
	}
	if now := look(); now != out.KeyID {
		t.Errorf("it goes by %s, and can't have it", now)
	}
	if err := os.Rename(elsewhere, name); err != nil {
		t.Fatal(err)
	}
	if now := look(); now != id {
		t.Errorf("it goes by %s, and %s is in its file and in force", now, id)
	}
}

// TestTheKeyInForceIsNeeded: a process that has another one, or none, doesn't start, and says what to do; whatever stops a
// rotation, the next start has the key in force.
func TestTheKeyInForceIsNeeded(t *testing.T) {
	dir, ctx := t.TempDir(), t.Context()
	st, err := store.Open(ctx, store.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := st.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	name, by := filepath.Join(dir, "shared", "key"), store.Change{By: "ann", Person: true}
	starts := func(when, want string) {
		t.Helper()
		key, err := loadKey(ctx, st, name)
		if err == nil {
			err = recordKey(ctx, st, name, key, store.Change{By: "configuration"})
		}
		var refused *Refused
		switch {
		case want == "" && err != nil, want != "" && !(errors.As(err, &refused) && strings.Contains(err.Error(), want) && strings.Contains(err.Error(), "aura keys rotate")):
			t.Errorf("%s: %v, want %q and the remedy", when, err, want)
		case want == "":
			if inForce, err := keyInForce(ctx, st); err != nil || inForce != governance.KeyID(key) {
				t.Errorf("%s: it has %s, in force is %s, %v", when, governance.KeyID(key), inForce, err)
			}
		}
	}
	starts("the first time", "")
	starts("again", "")
	if err := os.Rename(name, name+".away"); err != nil {
		t.Fatal(err)
	}
	starts("without its file", "missing")
	id, err := NewKey(name)
	if err != nil {
		t.Fatal(err)
	}
	starts("with another file", id)
	if _, err := NewKey(name); err == nil {
		t.Error("a key was written over")
	}
	if _, out, err := rotateKey(ctx, st, name, by); err != nil || out.KeyID != id {
		t.Errorf("rotated to %+v, %v; want the key that is in the file, %s", out, err, id)
	}
	starts("when that is in force", "")
	next, err := governance.NextKey(name) // a rotation is killed before the store names its key
	if err != nil {
		t.Fatal(err)
	}
	starts("rotation stopped before", "")
	if err := putKey(ctx, st, next, id, by); err != nil { // and just after
		t.Fatal(err)
	}
	starts("rotation stopped after", "")
	if err := putKey(ctx, st, next, id, by); err == nil {
		t.Error("a rotation from a key that isn't in force any more")
	}
	if err := os.WriteFile(name, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := rotateKey(ctx, st, name, by); err != nil {
		t.Error(err)
	}
	starts("after a broken file was rotated away", "")
	if r, err := st.VerifyAudit(ctx); err != nil || r.Broken != 0 {
		t.Errorf("audit %+v, %v", r, err)
	}
	// Where nothing can be written, as beside a mounted secret, the way round is named. (A mode would not stop root.)
	if _, _, err := rotateKey(ctx, st, filepath.Join(name, "key"), by); err == nil || !strings.Contains(err.Error(), "aura keys new") {
		t.Errorf("got %v", err)
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
	if id := *a.parts.Healer.keyID.Load(); id != out.KeyID {
		t.Errorf("it goes by %s, not %s", id, out.KeyID)
	}
	state, err := a.parts.Store.Desired(t.Context())
	if row := state.Settings[store.SettingKey]; err != nil || row.Value != out.KeyID || row.Owner != "ann" || row.Reason != "yearly" {
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

// TestWhoNeedsTheKey: a process that neither signs nor executes needs none, and puts none in force.
func TestWhoNeedsTheKey(t *testing.T) {
	for _, c := range []struct {
		agents []string
		shared bool
		want   bool
	}{
		{nil, false, true},
		{pipeline, false, false},
		{append([]string{webName}, pipeline...), false, false},
		{[]string{"governance"}, true, true},
		{[]string{"healing"}, true, true},
		{[]string{webName, "ingestion"}, true, true},
		{[]string{"feature", "model", "monitoring"}, true, false},
	} {
		cfg := config.Default()
		if cfg.Agents.Select = c.agents; c.shared {
			cfg.Bus.Kind, cfg.Store.URL = kafkaBus, "postgres://x"
		}
		if got := signs(cfg); got != c.want {
			t.Errorf("%v, shared %v: %v", c.agents, c.shared, got)
		}
	}
}

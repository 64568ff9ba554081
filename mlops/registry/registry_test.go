package registry_test

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"testing"

	"aura/mlops/dataset"
	"aura/mlops/registry"
	"aura/mlops/registry/registrytest"
	"aura/mlops/schema"
)

type bundle struct {
	repo     *registrytest.Memory
	dir      string
	registry *registry.Registry
	models   []*registry.Model // version n is models[n-1]
}

func setup(t *testing.T, versions int) *bundle {
	t.Helper()
	b := &bundle{repo: registrytest.NewMemory(), dir: t.TempDir()}
	b.registry = registry.New(b.repo, b.dir, schema.Builtin(), slog.New(slog.DiscardHandler))
	for i := range versions {
		m := registrytest.Model(t, schema.Builtin(), uint64(i+1))
		v, err := b.registry.Register(t.Context(), m, registry.Note{By: "tester", Text: "for a test"})
		if err != nil || v.Number != i+1 {
			t.Fatalf("registered %+v, %v", v, err)
		}
		b.models = append(b.models, m)
	}
	return b
}

func (b *bundle) path(t *testing.T, version int) string {
	t.Helper()
	v, err := b.repo.Version(t.Context(), version)
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(b.dir, filepath.FromSlash(v.File))
}

// refused checks that err is a Refused with this code.
func refused(t *testing.T, err error, code string) {
	t.Helper()
	var r *registry.Refused
	if !errors.As(err, &r) || r.Code != code || r.Message == "" {
		t.Errorf("got %v, want a refusal %s", err, code)
	}
}

func TestMemoryPassesTheSuite(t *testing.T) {
	registrytest.Repository(t, func(*testing.T) registry.Repository { return registrytest.NewMemory() })
}

func TestProcessesShareFiles(t *testing.T) {
	registrytest.Shared(t, func(*testing.T) [2]registry.Repository {
		m := registrytest.NewMemory()
		m.Shared = true
		return [2]registry.Repository{m, m}
	})
}

func TestRegisterAndLoad(t *testing.T) {
	b := setup(t, 2)
	v, err := b.registry.Version(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	m := b.models[1]
	if v.Digest != m.Digest || v.SchemaName != "credit" || v.SchemaDigest != schema.Builtin().Digest() || v.Seed != 2 || v.Window.Rows != 400 ||
		v.Metrics.HoldoutAUC != 0.9 || v.CreatedBy != "tester" || v.Note != "for a test" || v.File != "models/v000002-"+m.Digest[:12]+".aura" {
		t.Errorf("version %+v", v)
	}
	loaded, err := b.registry.Load(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(loaded.Info, m.Info) || loaded.Digest != m.Digest {
		t.Errorf("loaded %+v, want %+v", loaded.Info, m.Info)
	}
	for _, r := range dataset.Synthetic(200, 99) {
		x := schema.Builtin().Vector(r.Values)
		if loaded.Score(x) != m.Score(x) || !reflect.DeepEqual(loaded.Reasons(x), m.Reasons(x)) {
			t.Fatalf("%v scores %v, before it was written %v", x, loaded.Score(x), m.Score(x))
		}
	}
	entries, err := os.ReadDir(filepath.Join(b.dir, "models"))
	if err != nil || len(entries) != 2 {
		t.Errorf("files %v, %v: want the two models and nothing else", entries, err)
	}
	_, err = b.registry.Load(t.Context(), 3)
	refused(t, err, registry.CodeNotFound)
}

func TestPromoteAndRollback(t *testing.T) {
	b := setup(t, 3)
	ctx := t.Context()
	_, _, err := b.registry.Champion(ctx)
	refused(t, err, registry.CodeNoChampion)
	_, err = b.registry.Rollback(ctx, "ann", "too soon", nil)
	refused(t, err, registry.CodeNoPrevious)

	expect := func(what string, generation, wantGeneration int64, err error, want map[string]int) {
		t.Helper()
		aliases, aErr := b.registry.Aliases(ctx)
		if err != nil || aErr != nil || generation != wantGeneration || !reflect.DeepEqual(aliases, want) {
			t.Fatalf("%s: generation %d, aliases %v (%v, %v); want %d, %v", what, generation, aliases, err, aErr, wantGeneration, want)
		}
	}
	g, err := b.registry.Promote(ctx, 1, "ann", "first")
	expect("first", g, 1, err, map[string]int{"champion": 1})
	if err := b.registry.Challenge(ctx, 2, "ann", "contender"); err != nil {
		t.Fatal(err)
	}
	g, err = b.registry.Promote(ctx, 2, "ann", "better")
	expect("the challenger wins", g, 2, err, map[string]int{"champion": 2, "previous": 1})
	g, err = b.registry.Promote(ctx, 2, "ann", "again")
	expect("promoting the champion", g, 2, err, map[string]int{"champion": 2, "previous": 1})
	g, err = b.registry.Rollback(ctx, "bob", "worse after all", nil)
	expect("rollback", g, 3, err, map[string]int{"champion": 1, "previous": 2})
	g, err = b.registry.Rollback(ctx, "bob", "taken back", nil)
	expect("rollback of the rollback", g, 4, err, map[string]int{"champion": 2, "previous": 1})
	g, err = b.registry.Promote(ctx, 3, "ann", "newest")
	expect("third", g, 5, err, map[string]int{"champion": 3, "previous": 2})

	v, generation, err := b.registry.Champion(ctx)
	if err != nil || v.Number != 3 || generation != 5 {
		t.Errorf("champion %d, generation %d, %v", v.Number, generation, err)
	}
	history, err := b.registry.History(ctx, 2)
	if err != nil || len(history) != 2 {
		t.Fatal(history, err)
	}
	for _, h := range history {
		if h.By != "ann" || h.Reason != "newest" || h.Generation != 5 {
			t.Errorf("history %+v", h)
		}
	}
}

// Whatever is wrong with the target's file, promote and rollback refuse and nothing has moved.
func TestABrokenTargetIsRefused(t *testing.T) {
	flip := func(at func(n int) int) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			data[at(len(data))] ^= 0x10
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	cut := func(share int) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(path, info.Size()*int64(share)/100); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, path string)
		code  string
	}{
		{"missing", func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}, registry.CodeFile},
		{"empty", cut(0), registry.CodeBroken},
		{"half", cut(50), registry.CodeBroken},
		{"all but the end", cut(99), registry.CodeBroken},
		{"bit in the magic", flip(func(int) int { return 0 }), registry.CodeBroken},
		{"bit in the header", flip(func(int) int { return 60 }), registry.CodeBroken},
		{"bit in the trees", flip(func(n int) int { return n / 2 }), registry.CodeBroken},
		{"bit in the checksum", flip(func(n int) int { return n - 1 }), registry.CodeBroken},
		{"another model", func(t *testing.T, path string) {
			data, err := registrytest.Model(t, schema.Builtin(), 77).Encode()
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}, registry.CodeBroken},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := setup(t, 2)
			for _, n := range []int{1, 2} {
				if _, err := b.registry.Promote(t.Context(), n, "ann", "set up"); err != nil {
					t.Fatal(err)
				}
			}
			before, _ := b.registry.History(t.Context(), 100)
			c.spoil(t, b.path(t, 1))
			_, err := b.registry.Rollback(t.Context(), "ann", "to a broken one", nil)
			refused(t, err, c.code)
			_, err = b.registry.Promote(t.Context(), 1, "ann", "a broken one")
			refused(t, err, c.code)
			refused(t, b.registry.Challenge(t.Context(), 1, "ann", "a broken one"), c.code)
			after, _ := b.registry.History(t.Context(), 100)
			if !reflect.DeepEqual(before, after) {
				t.Errorf("history changed to %v", after)
			}
			if v, _, err := b.registry.Champion(t.Context()); err != nil || v.Number != 2 {
				t.Errorf("champion %d, %v", v.Number, err)
			}
		})
	}
}

func TestAFailedRowLeavesNoVersion(t *testing.T) {
	b := setup(t, 1)
	boom := errors.New("disk full")
	b.repo.Fail = func(string) error { return boom }
	_, err := b.registry.Register(t.Context(), registrytest.Model(t, schema.Builtin(), 9), registry.Note{})
	var r *registry.Refused
	if !errors.Is(err, boom) || errors.As(err, &r) {
		t.Errorf("got %v, want the repository's error and no refusal", err)
	}
	if _, err := b.registry.Promote(t.Context(), 1, "ann", ""); !errors.Is(err, boom) {
		t.Errorf("promote: %v", err)
	}
	b.repo.Fail = nil
	v, err := b.registry.Register(t.Context(), registrytest.Model(t, schema.Builtin(), 10), registry.Note{})
	if err != nil || v.Number != 2 {
		t.Errorf("after the failure: %+v, %v", v, err)
	}
	if _, err := b.registry.Load(t.Context(), 2); err != nil {
		t.Error(err)
	}
}

func TestTheFileIsThereBeforeTheRow(t *testing.T) {
	b := setup(t, 0)
	m := registrytest.Model(t, schema.Builtin(), 1)
	seen := false
	b.repo.Fail = func(operation string) error {
		if operation != "CreateVersion" {
			return nil
		}
		data, err := os.ReadFile(filepath.Join(b.dir, "models", "v000001-"+m.Digest[:12]+".aura"))
		if err != nil {
			t.Error(err)
		}
		want, _ := m.Encode()
		seen = string(data) == string(want)
		return nil
	}
	if _, err := b.registry.Register(t.Context(), m, registry.Note{}); err != nil || !seen {
		t.Errorf("the whole file was there before its row: %v (%v)", seen, err)
	}
	b.dir = filepath.Join(b.dir, "models", "v000001-"+m.Digest[:12]+".aura") // a directory that can't be made
	if _, err := registry.New(b.repo, b.dir, schema.Builtin(), slog.New(slog.DiscardHandler)).Register(t.Context(), m, registry.Note{}); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an unusable directory: %v", err)
	}
	if list, _ := b.repo.Versions(t.Context(), 10, 0); len(list) != 1 {
		t.Errorf("%d versions", len(list))
	}
}

func TestRowsMayNotLeadOutOfTheDirectory(t *testing.T) {
	b := setup(t, 0)
	v := registrytest.Sample(1)
	v.File = "../../etc/passwd"
	if _, err := b.repo.CreateVersion(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	_, err := b.registry.Load(t.Context(), 1)
	refused(t, err, registry.CodeFile)
}

func TestManyRegisterAtOnce(t *testing.T) {
	b := setup(t, 0)
	other := registry.New(b.repo, b.dir, schema.Builtin(), slog.New(slog.DiscardHandler)) // as another process would
	m := registrytest.Model(t, schema.Builtin(), 1)
	var wg sync.WaitGroup
	for i := range 8 {
		r := []*registry.Registry{b.registry, other}[i%2]
		wg.Go(func() {
			v, err := r.Register(t.Context(), m, registry.Note{})
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := r.Load(t.Context(), v.Number); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if list, _ := b.registry.Versions(t.Context(), 100, 0); len(list) != 8 {
		t.Errorf("%d versions, want 8", len(list))
	}
}

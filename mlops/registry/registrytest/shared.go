package registrytest

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"aura/mlops/registry"
	"aura/mlops/schema"
)

// Shared runs the suite of repositories that keep files over pairs that open makes: two on one empty database, as two
// processes have it, each with a directory of its own.
func Shared(t *testing.T, open func(t *testing.T) [2]registry.Repository) {
	for name, test := range map[string]func(*testing.T, [2]registry.Repository){
		"a file is kept once and whole":                       files,
		"what one registers and promotes, the other loads":    elsewhere,
		"a file that is missing or broken is fetched":         healsItself,
		"what is broken everywhere is refused":                whatIsBrokenEverywhere,
		"a process that dies leaves no version without file":  killed,
		"files of an earlier program are given to the others": share,
		"both register at once":                               registerAtOnce,
		"both promote at once":                                promoteAtOnce,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func files(t *testing.T, repo [2]registry.Repository) {
	if _, err := repo[0].File(t.Context(), "d"); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("a file that nobody saved: %v, want ErrNotFound", err)
	}
	large := bytes.Repeat([]byte("0123456789abcde"), 50_000) // several parts of any size that a database may want, and a rest
	for digest, data := range map[string][]byte{"large": large, "small": {0}, "page": large[:256<<10]} {
		for range 2 {
			if err := repo[0].SaveFile(t.Context(), digest, data); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := repo[1].File(t.Context(), digest); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes, %v, want %d", digest, len(got), err, len(data))
		}
	}
}

// process is a registry of a directory of its own.
type process struct {
	*registry.Registry
	dir string
}

func newProcess(t *testing.T, repo registry.Repository) process {
	dir := t.TempDir()
	return process{registry.New(repo, dir, schema.Builtin(), slog.New(slog.DiscardHandler)), dir}
}

// file is where a version's file lies.
func (p process) file(t *testing.T, version int) string {
	t.Helper()
	v, err := p.Version(t.Context(), version)
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(p.dir, filepath.FromSlash(v.File))
}

func (p process) register(t *testing.T, m *registry.Model) int {
	t.Helper()
	v, err := p.Register(t.Context(), m, registry.Note{By: "tester"})
	if err != nil {
		t.Fatal(err)
	}
	return v.Number
}

// loads fails the test unless the process loads a version as the model that was registered, and has its file afterwards.
func (p process) loads(t *testing.T, version int, want *registry.Model) {
	t.Helper()
	got, err := p.Load(t.Context(), version)
	if err != nil {
		t.Fatal(err)
	}
	x := schema.Builtin().Vector(schema.Vector{620, 40_000, 15_000, 5, 0.2})
	if err := got.Check(); err != nil || got.Digest != want.Digest || got.Score(x) != want.Score(x) {
		t.Errorf("version %d is %.12s and scores %v (%v); registered was %.12s, %v", version, got.Digest, got.Score(x), err, want.Digest, want.Score(x))
	}
	data, err := os.ReadFile(p.file(t, version))
	if file, encodeErr := want.Encode(); err != nil || encodeErr != nil || !bytes.Equal(data, file) {
		t.Errorf("version %d here: %d bytes, %v, want %d", version, len(data), err, len(file))
	}
}

func elsewhere(t *testing.T, repo [2]registry.Repository) {
	a, b := newProcess(t, repo[0]), newProcess(t, repo[1])
	models := []*registry.Model{Model(t, schema.Builtin(), 1), Model(t, schema.Builtin(), 2)}
	for i, m := range models {
		if n := a.register(t, m); n != i+1 {
			t.Fatalf("version %d, want %d", n, i+1)
		}
		if _, err := b.Promote(t.Context(), i+1, "ann", "registered elsewhere"); err != nil {
			t.Fatal(err)
		}
		b.loads(t, i+1, m)
	}
	if _, err := newProcess(t, repo[1]).Rollback(t.Context(), "ann", "where neither lies", nil); err != nil {
		t.Fatal(err)
	}
	if v, _, err := a.Champion(t.Context()); err != nil || v.Number != 1 {
		t.Errorf("champion %d, %v", v.Number, err)
	}
}

// withoutFiles is a repository that can't be asked for files.
type withoutFiles struct{ registry.Repository }

var errAway = errors.New("the database is away")

func (withoutFiles) File(context.Context, string) ([]byte, error) { return nil, errAway }

func healsItself(t *testing.T, repo [2]registry.Repository) {
	a, b := newProcess(t, repo[0]), newProcess(t, repo[1])
	m := Model(t, schema.Builtin(), 1)
	n := a.register(t, m)
	for name, spoil := range map[string]func(path string, whole []byte) error{
		"missing": func(path string, _ []byte) error { return os.Remove(path) },
		"empty":   func(path string, _ []byte) error { return os.WriteFile(path, nil, 0o600) },
		"half":    func(path string, d []byte) error { return os.WriteFile(path, d[:len(d)/2], 0o600) },
		"a bit":   func(path string, d []byte) error { d[len(d)/2] ^= 4; return os.WriteFile(path, d, 0o600) },
		"another": func(path string, _ []byte) error { return writeModel(path, Model(t, schema.Builtin(), 2)) },
		"a stopped write": func(path string, d []byte) error {
			return errors.Join(os.Remove(path), os.WriteFile(path+".new-1", d[:9], 0o600))
		},
		"no file but a folder": func(path string, _ []byte) error {
			return errors.Join(os.Remove(path), os.Mkdir(path, 0o700))
		},
	} {
		b.loads(t, n, m)
		path := b.file(t, n)
		whole, err := os.ReadFile(path)
		if err := errors.Join(err, spoil(path, bytes.Clone(whole))); err != nil {
			t.Fatal(name, err)
		}
		away := registry.New(withoutFiles{repo[1]}, b.dir, schema.Builtin(), slog.New(slog.DiscardHandler))
		if _, err := away.Load(t.Context(), n); !errors.Is(err, errAway) || errors.As(err, new(*registry.Refused)) {
			t.Errorf("%s, and the database is away: %v, want that and no refusal", name, err)
		}
		if got, err := b.Load(t.Context(), n); err != nil || got.Digest != m.Digest {
			t.Errorf("%s: %v", name, err)
		}
		if name == "no file but a folder" { // what can't be written doesn't keep the model from being used
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if _, err := away.Load(t.Context(), n); err != nil {
			t.Errorf("%s: it isn't here after it was fetched: %v", name, err)
		}
	}
}

// spoiled is a repository whose files aren't what was saved.
type spoiled struct{ registry.Repository }

func (s spoiled) File(ctx context.Context, digest string) ([]byte, error) {
	data, err := s.Repository.File(ctx, digest)
	if err == nil {
		data[0] ^= 1
	}
	return data, err
}

// whatIsBrokenEverywhere is refused, and nothing broken is written.
func whatIsBrokenEverywhere(t *testing.T, repo [2]registry.Repository) {
	n := newProcess(t, repo[0]).register(t, Model(t, schema.Builtin(), 1))
	b := newProcess(t, spoiled{repo[1]})
	if _, err := b.Load(t.Context(), n); !isRefused(err, registry.CodeBroken) {
		t.Errorf("got %v, want a refusal", err)
	}
	if _, err := os.Stat(b.file(t, n)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something was written: %v", err)
	}
}

func writeModel(path string, m *registry.Model) error {
	data, err := m.Encode()
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

// dying is the repository of a process that is killed before its n-th write, or just after it.
type dying struct {
	registry.Repository
	n     *int
	after bool
}

var errKilled = errors.New("killed")

func (d dying) die(write func() error) error {
	*d.n--
	if *d.n > 0 {
		return write()
	}
	if *d.n == 0 && d.after {
		_ = write() // the process doesn't live to see how it ended
	}
	return errKilled
}

func (d dying) SaveFile(ctx context.Context, digest string, data []byte) error {
	return d.die(func() error { return d.Repository.SaveFile(ctx, digest, data) })
}

func (d dying) CreateVersion(ctx context.Context, v registry.Version) (out registry.Version, err error) {
	err = d.die(func() error { out, err = d.Repository.CreateVersion(ctx, v); return err })
	return out, err
}

// killed stops a registration at each of its steps: whatever versions there are can be loaded in another process.
func killed(t *testing.T, repo [2]registry.Repository) {
	survivor, registered := newProcess(t, repo[1]), 0
	for point := range 2 {
		for _, after := range []bool{false, true} {
			m, n := Model(t, schema.Builtin(), uint64(10*point+1)), point+1
			victim := newProcess(t, dying{repo[0], &n, after})
			if _, err := victim.Register(t.Context(), m, registry.Note{By: "victim"}); !errors.Is(err, errKilled) {
				t.Fatalf("point %d: %v", point, err)
			}
			if point == 1 && after {
				registered++ // the row was written, and nobody was told
			}
			list, err := survivor.Versions(t.Context(), 100, 0)
			if err != nil || len(list) != registered {
				t.Fatalf("point %d: versions %v, %v, want %d", point, list, err, registered)
			}
			again := survivor.register(t, m)
			registered++
			for _, v := range append(list, registry.Version{Number: again}) {
				if _, err := newProcess(t, repo[1]).Load(t.Context(), v.Number); err != nil {
					t.Errorf("point %d: version %d: %v", point, v.Number, err)
				}
			}
		}
	}
}

// noFiles is the repository of an earlier program, which kept files in its directory alone.
type noFiles struct{ registry.Repository }

func (noFiles) SaveFile(context.Context, string, []byte) error { return nil }

func share(t *testing.T, repo [2]registry.Repository) {
	old := newProcess(t, noFiles{repo[0]})
	models := []*registry.Model{Model(t, schema.Builtin(), 1), Model(t, schema.Builtin(), 2), Model(t, schema.Builtin(), 3)}
	for _, m := range models {
		old.register(t, m)
	}
	if err := os.WriteFile(old.file(t, 2), []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := newProcess(t, repo[1])
	n, err := b.Share(t.Context()) // it has none of them
	if err != nil || n != 0 {
		t.Errorf("shared %d, %v", n, err)
	}
	if _, err := b.Load(t.Context(), 1); !isRefused(err, registry.CodeFile) {
		t.Errorf("got %v, want a refusal: the file is in another directory", err)
	}
	now := registry.New(repo[0], old.dir, schema.Builtin(), slog.New(slog.DiscardHandler))
	for _, want := range []int{2, 0} {
		if n, err := now.Share(t.Context()); err != nil || n != want {
			t.Errorf("shared %d, %v, want %d", n, err, want)
		}
	}
	b.loads(t, 1, models[0])
	b.loads(t, 3, models[2])
	if _, err := b.Load(t.Context(), 2); !isRefused(err, registry.CodeFile) {
		t.Errorf("got %v, want a refusal: nobody has the file", err)
	}
	unsaved, err := repo[1].Unsaved(t.Context())
	if err != nil || len(unsaved) != 1 || unsaved[0].Number != 2 {
		t.Errorf("unsaved: %+v, %v", unsaved, err)
	}
}

func isRefused(err error, code string) bool {
	var r *registry.Refused
	return errors.As(err, &r) && r.Code == code
}

func registerAtOnce(t *testing.T, repo [2]registry.Repository) {
	p := [2]process{newProcess(t, repo[0]), newProcess(t, repo[1])}
	m := Model(t, schema.Builtin(), 1)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if _, err := p[i%2].Register(t.Context(), m, registry.Note{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for n := range 8 {
		p[n%2].loads(t, n+1, m)
	}
}

// overtaken is a repository on which another process does something just before this one moves aliases.
type overtaken struct {
	registry.Repository
	first func()
}

func (o *overtaken) SetAliases(ctx context.Context, changes, seen map[string]int, by, reason string) (int64, error) {
	if first := o.first; first != nil {
		o.first = nil
		first()
	}
	return o.Repository.SetAliases(ctx, changes, seen, by, reason)
}

// promoteAtOnce: previous is always who was champion, one first champion wins, and of two rollbacks one is refused.
func promoteAtOnce(t *testing.T, repo [2]registry.Repository) {
	late := &overtaken{Repository: repo[1]}
	a, b := newProcess(t, repo[0]), newProcess(t, late)
	for seed := range 3 {
		a.register(t, Model(t, schema.Builtin(), uint64(seed+1)))
	}
	before := func(version int) func() {
		return func() {
			if _, err := a.Promote(t.Context(), version, "ann", "quicker"); err != nil {
				t.Error(err)
			}
		}
	}
	are := func(when string, champion, previous int) {
		t.Helper()
		if got, err := a.Aliases(t.Context()); err != nil || got[registry.Champion] != champion || got[registry.Previous] != previous {
			t.Errorf("%s: %v, %v; want champion %d, previous %d", when, got, err, champion, previous)
		}
	}
	late.first = before(1)
	if _, err := b.PromoteFirst(t.Context(), 2, "bob", "first"); !isRefused(err, registry.CodeHasChampion) {
		t.Errorf("got %v, want a refusal: there is a first champion", err)
	}
	are("one is the first", 1, 0)
	late.first = before(2)
	if _, err := b.Promote(t.Context(), 3, "bob", "slower"); err != nil {
		t.Error(err)
	}
	are("one after the other", 3, 2)
	late.first = func() {
		if _, err := a.Rollback(t.Context(), "ann", "quicker", nil); err != nil {
			t.Error(err)
		}
	}
	if _, err := b.Rollback(t.Context(), "bob", "slower", nil); !isRefused(err, registry.CodeMoved) {
		t.Errorf("got %v, want a refusal: it is rolled back", err)
	}
	are("rolled back once", 2, 3)
}

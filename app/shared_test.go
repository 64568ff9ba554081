package app

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"aura/agents/governance"
	"aura/agents/reference"
	"aura/app/config"
	"aura/mlops/dataset"
	"aura/mlops/registry"
	"aura/mlops/registry/registrytest"
	"aura/mlops/schema"
	"aura/store"
	"aura/store/pgtest"
)

// TestProcessesShareADatabase: what processes with directories of their own do to each other on one real server.
func TestProcessesShareADatabase(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, "fsync=off") // no machine stops here
	for name, test := range map[string]func(*testing.T, [2]*store.Store){
		"KeysOfTheirOwn": keysOfTheirOwn, "AKeyTheyShare": aKeyTheyShare,
		"OneFirstModel": oneFirstModel, "AFirstModelOfTheOther": aFirstModelOfTheOther, "TheTrainerDies": theTrainerDies,
	} {
		t.Run(name, func(t *testing.T) {
			address := server.Database(t)
			test(t, [2]*store.Store{opened(t, address), opened(t, address)})
		})
	}
}

func opened(t *testing.T, address string) *store.Store {
	t.Helper()
	st, err := store.Open(t.Context(), store.Options{Dir: t.TempDir(), URL: address})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return st
}

// firstKeys has both processes look for a key before either has named one, and then name it.
func firstKeys(t *testing.T, st [2]*store.Store, names [2]string) (errs [2]error) {
	t.Helper()
	var looked, done sync.WaitGroup
	looked.Add(len(st))
	for i := range st {
		done.Go(func() {
			key, err := loadKey(t.Context(), st[i], names[i])
			looked.Done()
			looked.Wait()
			if err == nil {
				err = recordKey(t.Context(), st[i], names[i], key, store.Change{By: "configuration"})
			}
			errs[i] = err
		})
	}
	done.Wait()
	return errs
}

// keysOfTheirOwn: of two processes that start at once, each with a key of its own, one starts, and the other says what to do.
func keysOfTheirOwn(t *testing.T, st [2]*store.Store) {
	errs := firstKeys(t, st, [2]string{governance.KeyFile(st[0].Dir()), governance.KeyFile(st[1].Dir())})
	refused, other := errs[0], errs[1]
	if refused == nil {
		refused, other = other, refused
	}
	if other != nil || !errors.As(refused, new(*Refused)) || !strings.Contains(refused.Error(), "put a copy of that key's file there") {
		t.Errorf("%v, %v; want one start, and a refusal with the remedy", errs[0], errs[1])
	}
}

// aKeyTheyShare: both start, with one key, whoever made it.
func aKeyTheyShare(t *testing.T, st [2]*store.Store) {
	name := filepath.Join(t.TempDir(), "mounted", "key")
	if errs := firstKeys(t, st, [2]string{name, name}); errs != [2]error{} {
		t.Error(errs)
	}
}

// firstOf is the first model of a process; each has a seed of its own, so that two would differ.
func firstOf(t *testing.T, st *store.Store, seed uint64) *firstModel {
	t.Helper()
	cfg, log, s := config.Default(), slog.New(slog.DiscardHandler), schema.Builtin()
	cfg.Seed, cfg.Data.Dir, cfg.Training.Rows, cfg.Training.Trees = seed, st.Dir(), 500, 5
	lead := &leaders{leases: st, holder: instance(st.Dir()), life: 1, log: log}
	return newFirstModel(cfg, log, s, nil, newRegistry(cfg, st, s, log), st, lead)
}

// oneFirstModel: of processes that start at once on an empty database one trains, and both go by what it trained.
func oneFirstModel(t *testing.T, st [2]*store.Store) {
	first := [2]*firstModel{firstOf(t, st[0], 1), firstOf(t, st[1], 2)}
	if !first[0].leads(t.Context()) { // it is about to train
		t.Fatal("nobody else was there")
	}
	waits, leads := make(chan struct{}, 1), first[1].leads
	first[1].leads = func(ctx context.Context) bool {
		here := leads(ctx)
		select {
		case waits <- struct{}{}:
		default:
		}
		return here
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := first[1].ensure(t.Context()); err != nil {
			t.Error(err)
		}
	})
	<-waits
	if err := first[0].ensure(t.Context()); err != nil {
		t.Error(err)
	}
	wg.Wait()
	for _, f := range first {
		goesByTheFirst(t, f)
	}
}

// theTrainerDies: a process that waits for another one's first model trains when that one doesn't renew its lease any more.
func theTrainerDies(t *testing.T, st [2]*store.Store) {
	died, next := firstOf(t, st[0], 1), firstOf(t, st[1], 2)
	if !died.leads(t.Context()) {
		t.Fatal("nobody else was there")
	}
	l, err := st[0].LeaseOf(t.Context(), leadFirstModel)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st[0].RenewLease(t.Context(), l, time.Microsecond); err != nil { // its time is over
		t.Fatal(err)
	}
	if err := next.ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	goesByTheFirst(t, next)
}

// goesByTheFirst: there is one version, it is champion and can be loaded here, and its sample is the reference.
func goesByTheFirst(t *testing.T, f *firstModel) {
	t.Helper()
	list, err := f.registry.Versions(t.Context(), 10, 0)
	if err != nil || len(list) != 1 {
		t.Fatalf("versions %+v, %v; want one", list, err)
	}
	if v, generation, err := f.registry.Champion(t.Context()); err != nil || v.Number != 1 || generation != 1 {
		t.Errorf("champion %d, generation %d, %v", v.Number, generation, err)
	}
	if _, err := f.registry.Load(t.Context(), 1); err != nil {
		t.Error(err)
	}
	state, err := f.store.Desired(t.Context())
	if err != nil || state.Reference != reference.OfModel(1) || state.ReferenceGeneration != 1 {
		t.Errorf("reference %q, generation %d, %v", state.Reference, state.ReferenceGeneration, err)
	}
}

// aFirstModelOfTheOther: a process that was stopped between any two steps of it leaves a database on which the next one starts; and
// who trains by hand beside it is not undone.
func aFirstModelOfTheOther(t *testing.T, st [2]*store.Store) {
	ctx, a, b := t.Context(), firstOf(t, st[0], 1), firstOf(t, st[1], 2)
	m := registrytest.Model(t, schema.Builtin(), 3)
	v, err := a.registry.Register(ctx, m, registry.Note{By: "ann", Text: "by hand"})
	if err != nil {
		t.Fatal(err)
	}
	if err := saveReference(ctx, st[0], schema.Builtin(), v.Number, dataset.Synthetic(500, 3), nil, "ann"); err != nil {
		t.Fatal(err)
	}
	if _, err := a.registry.PromoteFirst(ctx, v.Number, "ann", "by hand"); err != nil { // and is killed before the reference
		t.Fatal(err)
	}
	if err := b.train(ctx); err != nil { // it had seen no champion before
		t.Error(err)
	}
	if v, _, err := b.registry.Champion(ctx); err != nil || v.Number != 1 {
		t.Errorf("champion %d, %v; want the one by hand", v.Number, err)
	}
	if err := b.ensure(ctx); err != nil {
		t.Fatal(err)
	}
	state, err := st[1].Desired(ctx)
	if err != nil || state.Reference != reference.OfModel(1) {
		t.Errorf("reference %q, %v; want the champion's sample", state.Reference, err)
	}
}

package app

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"aura/agents/governance"
	"aura/store"
	"aura/store/pgtest"
)

// TestProcessesShareADatabase: what processes with directories of their own do to each other on one real server.
func TestProcessesShareADatabase(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, "fsync=off") // no machine stops here
	for name, test := range map[string]func(*testing.T, [2]*store.Store){
		"KeysOfTheirOwn": keysOfTheirOwn, "AKeyTheyShare": aKeyTheyShare,
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

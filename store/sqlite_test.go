package store

import (
	"context"
	"testing"
	"time"
)

// openDir opens a store in dir and closes it with the test.
func openDir(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), o)
	must(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestSQLite(t *testing.T) {
	suite(t, func(t *testing.T) *Store { return openDir(t, Options{Dir: t.TempDir()}) })
}

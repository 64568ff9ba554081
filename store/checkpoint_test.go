package store

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
)

// TestLogStartsAgain writes many times what the log may hold, without a pause in which a checkpoint could catch up by
// itself: the log must start again at its head, and a reader beside it must not stop that for good.
func TestLogStartsAgain(t *testing.T) {
	const pages = 100
	s := openDir(t, Options{Dir: t.TempDir(), checkpointPages: pages})
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for ctx.Err() == nil {
				_, _ = s.Accept(ctx, many(t, 20)) // ends with ctx
			}
		})
	}
	wg.Go(func() {
		for ctx.Err() == nil {
			_, _ = s.RecentDecisions(ctx, 20, "")
		}
	})
	for s.Stats().Accepted < 50000 && ctx.Err() == nil {
		accept(t, s, many(t, 1)...)
	}
	stop()
	wg.Wait()
	size := fileSize(t, filepath.Join(s.Dir(), databaseFile+"-wal")) / 4096
	database := fileSize(t, filepath.Join(s.Dir(), databaseFile)) / 4096
	t.Logf("log %d pages, database %d, %d checkpoints", size, database, s.Stats().Checkpoints)
	if size > 10*pages { // without the part of the writer it is more than twice that
		t.Fatalf("the log grew to %d pages over %d checkpoints at %d", size, s.Stats().Checkpoints, pages)
	}
}

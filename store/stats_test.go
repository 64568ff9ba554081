package store

import (
	"slices"
	"testing"
	"time"
)

// TestCommitTimes counts at each edge what took no longer, the edge itself too.
func TestCommitTimes(t *testing.T) {
	var c commitTimes
	for _, took := range []time.Duration{0, 100 * time.Microsecond, 101 * time.Microsecond, 300 * time.Millisecond, time.Hour} {
		c.add(took)
	}
	got := c.read()
	at := func(edge time.Duration) int64 { return got.UpTo[slices.Index(got.Edges, edge)] }
	if got.N != 5 || at(100*time.Microsecond) != 2 || at(200*time.Microsecond) != 3 || at(100*time.Millisecond) != 3 ||
		at(300*time.Millisecond) != 4 || at(5*time.Second) != 4 || got.Sum != time.Hour+300*time.Millisecond+201*time.Microsecond {
		t.Errorf("%+v", got)
	}
}

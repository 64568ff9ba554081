package store

import (
	"testing"
	"time"
)

// TestObjectiveAddsUp: minutes that come in parts are one, those outside of the window don't count, old ones go.
func TestObjectiveAddsUp(t *testing.T) {
	s := openDir(t, Options{Dir: t.TempDir()})
	at := time.Date(2026, 11, 25, 12, 0, 30, 0, time.UTC)
	minute := at.Truncate(time.Minute)
	must(t, s.AddObjective(t.Context(), []ObjectiveMinute{{at, 10, 9}, {at.Add(-time.Hour), 100, 50}}))
	must(t, s.AddObjective(t.Context(), []ObjectiveMinute{{at.Add(20 * time.Second), 5, 5}, {at.Add(-50 * 24 * time.Hour), 1, 0}}))
	got, err := s.Objective(t.Context(), at.Add(-10*time.Minute))
	must(t, err)
	equal(t, "the last minutes", got, ObjectiveMinute{minute, 15, 14})
	got, err = s.Objective(t.Context(), time.Unix(0, 0))
	must(t, err)
	equal(t, "all that is kept", got, ObjectiveMinute{minute.Add(-time.Hour), 115, 64})
	got, err = s.Objective(t.Context(), at.Add(time.Hour))
	must(t, err)
	equal(t, "nothing", got, ObjectiveMinute{})
}

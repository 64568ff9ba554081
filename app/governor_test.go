package app

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"aura/healing/policy"
	"aura/store"
)

// seat is who holds the leases, as the database says.
type seat struct {
	leases map[string]store.Lease
	paused string
	err    error
}

func (s *seat) LeaseOf(_ context.Context, name string) (store.Lease, error) {
	return s.leases[name], s.err
}

func (s *seat) Desired(context.Context) (store.State, error) {
	return store.State{Settings: map[string]store.Setting{policy.SettingPaused: {Value: s.paused}}}, s.err
}

// TestAgentsAreLeftToWhoHeals: only while another process holds both leases, may act, and the database says so.
func TestAgentsAreLeftToWhoHeals(t *testing.T) {
	held := func() map[string]store.Lease {
		return map[string]store.Lease{store.LeaseHealing: {}, store.LeaseMonitoring: {}}
	}
	for _, c := range []struct {
		name  string
		turns func(s *seat)
		acts  bool
		want  bool
	}{
		{"another process heals", func(*seat) {}, true, true},
		{"it may not act", func(*seat) {}, false, false},
		{"nobody heals", func(s *seat) { s.leases[store.LeaseHealing] = store.Lease{Free: true} }, true, false},
		{"nobody watches", func(s *seat) { s.leases[store.LeaseMonitoring] = store.Lease{Free: true} }, true, false},
		{"this process heals", func(s *seat) { s.leases[store.LeaseHealing] = store.Lease{Held: true} }, true, false},
		{"this process watches", func(s *seat) { s.leases[store.LeaseMonitoring] = store.Lease{Held: true} }, true, true},
		{"paused", func(s *seat) { s.paused = "true" }, true, false},
	} {
		s := &seat{leases: held()}
		c.turns(s)
		g := &governor{store: s, acts: func() bool { return c.acts }}
		if err := g.look(t.Context()); err != nil || g.governs() != c.want {
			t.Errorf("%s: %v, %v; want %v", c.name, g.governs(), err, c.want)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		s := &seat{leases: held()}
		g := &governor{store: s, acts: func() bool { return true }}
		if g.governs() {
			t.Error("before the first look")
		}
		if err := g.look(t.Context()); err != nil || !g.governs() {
			t.Error("after it")
		}
		s.err = errors.New("away")
		time.Sleep(governFor - time.Millisecond)
		if err := g.look(t.Context()); err == nil || !g.governs() {
			t.Error("what was seen holds for a while")
		}
		if time.Sleep(time.Millisecond); g.governs() {
			t.Error("and no longer")
		}
	})
	if (*governor)(nil).governs() {
		t.Error("there is no other process")
	}
}

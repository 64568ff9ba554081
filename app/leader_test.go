package app

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aura/store"
)

// lessor is a database's one lease, by the time of the test.
type lessor struct {
	mu    sync.Mutex
	lease store.Lease
	down  bool
	asked int
}

func (l *lessor) answers() error {
	l.asked++
	if l.down {
		return &store.Unavailable{Code: "away", Err: errors.New("no connection")}
	}
	return nil
}

func (l *lessor) free() bool { return !time.Now().Before(l.lease.ExpiresAt) }

func (l *lessor) LeaseOf(context.Context, string) (store.Lease, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := l.lease
	out.Free = l.free()
	return out, l.answers()
}

func (l *lessor) AcquireLease(_ context.Context, _, holder string, life int64, ttl time.Duration) (store.Lease, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.answers(); err != nil {
		return store.Lease{}, err
	}
	if !l.free() && l.lease.Holder != holder {
		return store.Lease{}, errHeld
	}
	l.lease = store.Lease{Holder: holder, Incarnation: life, Epoch: l.lease.Epoch + 1, ExpiresAt: time.Now().Add(ttl)}
	return l.lease, nil
}

func (l *lessor) RenewLease(_ context.Context, held store.Lease, ttl time.Duration) (store.Lease, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.answers(); err != nil {
		return store.Lease{}, err
	}
	if held.Epoch != l.lease.Epoch {
		return store.Lease{}, &store.Refused{Code: store.CodeStaleEpoch, Reason: "over"}
	}
	l.lease.ExpiresAt = time.Now().Add(ttl)
	return l.lease, nil
}

func (l *lessor) ReleaseLease(context.Context, store.Lease) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lease.ExpiresAt = time.Now()
	return nil
}

// TestOneLeads: of two processes one leads; the other follows it when it is gone, given back or stopped answering, and never
// while it renews. A store that is away changes nothing until the lease has ended.
func TestOneLeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &lessor{}
		process := func(name instance, life int64) *leader {
			return (&leaders{leases: db, holder: name, life: life, log: slog.New(slog.DiscardHandler)}).elect(leadPurge)
		}
		a, b := process("a", 1), process("b", 1)
		want := func(l *leader, leads bool, when string) {
			t.Helper()
			if l.leads(t.Context()) != leads {
				t.Errorf("%s leads: want %v, %s", l.holder, leads, when)
			}
		}
		for range 60 {
			want(a, true, "first")
			want(b, false, "second")
			time.Sleep(time.Second)
		}
		if db.asked > 60 {
			t.Errorf("the store was asked %d times in a minute", db.asked)
		}
		time.Sleep(leadTTL) // a is paused
		want(b, true, "a is paused")
		want(a, false, "it was paused, and b leads")
		if err := b.release(t.Context()); err != nil {
			t.Error(err)
		}
		want(b, false, "it gave it back")
		time.Sleep(leadTTL / 2)
		want(a, true, "b gave it back")
		db.down = true
		time.Sleep(leadTTL / 2)
		want(a, true, "the store is away for less than the lease")
		time.Sleep(leadTTL / 2)
		want(a, false, "the store is away for longer")
		db.down = false
		want(a, true, "the store is back, and nobody else was there")
		want(process("a", 2), true, "the next life takes over at once")
	})
}

// TestWhatIsSeldomDoneStaysInOneProcess: a lease doesn't lapse between two uses, and goes over at an orderly end.
func TestWhatIsSeldomDoneStaysInOneProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &lessor{}
		begin := func(name instance) (purges func(context.Context) bool, stop func()) {
			l := &leaders{leases: db, holder: name, life: 1, log: slog.New(slog.DiscardHandler)}
			purges = l.of(leadPurge)
			step := l.step()
			if err := step.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			return purges, func() {
				if err := step.Stop(t.Context()); err != nil {
					t.Error(err)
				}
			}
		}
		first, endFirst := begin("a")
		time.Sleep(leadTTL / 2)
		second, endSecond := begin("b")
		for range 10 {
			time.Sleep(time.Minute)
			if !first(t.Context()) || second(t.Context()) {
				t.Error("it went to the other process")
			}
		}
		if db.lease.Epoch != 1 {
			t.Errorf("the lease changed hands %d times", db.lease.Epoch-1)
		}
		endFirst()
		time.Sleep(leadTTL)
		if !second(t.Context()) {
			t.Error("nobody does it after an orderly end")
		}
		endSecond()
	})
}

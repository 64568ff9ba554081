package app

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"aura/app/config"
	"aura/store"
)

// Work that one process of a deployment does for all, each under a lease of its own.
const (
	leadOrphans  = "orphans"  // applications that nobody follows
	leadOutcomes = "outcomes" // whose announcement was lost
	leadPurge    = "purge"
	leadMirror   = "mlflow"
	// leadFirstModel is for the start of a deployment.
	leadFirstModel = "first-model"
)

const (
	leadTTL = 15 * time.Second
	// leadWithin bounds one question of the store.
	leadWithin = 2 * time.Second
)

// leases is what leaders need of the store.
type leases interface {
	LeaseOf(ctx context.Context, name string) (store.Lease, error)
	AcquireLease(ctx context.Context, name, holder string, incarnation int64, ttl time.Duration) (store.Lease, error)
	RenewLease(ctx context.Context, l store.Lease, ttl time.Duration) (store.Lease, error)
	ReleaseLease(ctx context.Context, l store.Lease) error
}

// leader elects the one process of a deployment that does a piece of background work. Two may do it for a moment, when one was
// paused for longer than its lease: what is done under it must be harmless to do twice. What must not be has an epoch (store).
type leader struct {
	leases leases
	work   string
	holder instance
	life   int64 // of this process
	log    *slog.Logger

	mu    sync.Mutex
	held  bool
	lease store.Lease
	asked time.Time // when the store last answered
}

// leaders makes the leaders of a process, keeps what they hold for as long as it runs, however seldom it is used, and gives it
// back at the end.
type leaders struct {
	leases leases
	holder instance
	life   int64
	log    *slog.Logger
	made   []*leader
}

// newLeaders returns nil where there is no other process.
func newLeaders(ctx context.Context, cfg config.Config, s *store.Store, name instance, log *slog.Logger) (*leaders, error) {
	if !shared(cfg) {
		return nil, nil
	}
	life, err := s.NextIncarnation(ctx, "process", string(name))
	if err != nil {
		return nil, err
	}
	return &leaders{leases: s, holder: name, life: life, log: log.With("component", "leader")}, nil
}

// of returns what tells whether this process is to do a piece of work now; nil, for always, where there is no other process.
func (l *leaders) of(work string) func(context.Context) bool {
	if l == nil {
		return nil
	}
	return l.elect(work).leads
}

func (l *leaders) elect(work string) *leader {
	made := &leader{leases: l.leases, work: work, holder: l.holder, life: l.life, log: l.log}
	l.made = append(l.made, made)
	return made
}

// step keeps the leases. Those that lapsed between two uses would go to and fro, and each change of hands is an audit record.
func (l *leaders) step() Step {
	if l == nil {
		return Step{}
	}
	step := loop("leases", every(leadTTL/3, l.keep))
	stop := step.Stop
	step.Stop = func(ctx context.Context) error { return errors.Join(stop(ctx), l.release(ctx)) }
	return step
}

func (l *leaders) keep(ctx context.Context) {
	for _, made := range l.made {
		made.leads(ctx)
	}
}

func (l *leaders) release(ctx context.Context) error {
	var errs []error
	for _, made := range l.made {
		errs = append(errs, made.release(ctx))
	}
	return errors.Join(errs...)
}

// leads reports whether this process is to do the work now. It asks the store at most three times in the life of a lease; where
// that doesn't answer, what it said last counts until the lease has ended.
func (l *leader) leads(ctx context.Context) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.asked) < leadTTL/3 {
		return l.held
	}
	ctx, cancel := context.WithTimeout(ctx, leadWithin)
	defer cancel()
	lease, err := l.ask(ctx)
	var refused *store.Refused
	switch {
	case err == nil && !l.held:
		l.log.Info("this process does it for the deployment", "work", l.work, "epoch", lease.Epoch)
		l.held, l.lease, l.asked = true, lease, time.Now()
	case err == nil:
		l.lease, l.asked = lease, time.Now()
	case errors.As(err, &refused):
		if l.held {
			l.log.Info("another process does it now", "work", l.work)
		}
		l.held, l.asked = false, time.Now()
	case time.Since(l.asked) >= leadTTL:
		l.held = false
	}
	return l.held
}

var errHeld = &store.Refused{Code: store.CodeLeaseHeld, Reason: "another process has it"}

func (l *leader) ask(ctx context.Context) (store.Lease, error) {
	if l.held {
		lease, err := l.leases.RenewLease(ctx, l.lease, leadTTL)
		var refused *store.Refused
		if !errors.As(err, &refused) {
			return lease, err
		}
	}
	now, err := l.leases.LeaseOf(ctx, l.work)
	switch {
	case err != nil:
		return store.Lease{}, err
	case !now.Free && now.Holder != string(l.holder): // an earlier life of this process can't do it any more
		return store.Lease{}, errHeld
	}
	return l.leases.AcquireLease(ctx, l.work, string(l.holder), l.life, leadTTL)
}

func (l *leader) release(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.held {
		return nil
	}
	l.held = false
	return l.leases.ReleaseLease(ctx, l.lease)
}

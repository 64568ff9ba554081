package fault

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"aura/agents"
	"aura/mlops/synth"
)

// Options of a Registry.
type Options struct {
	// MaxTTL bounds the TTL of a fault (DefaultMaxTTL if 0).
	MaxTTL time.Duration
	// Seed of the draws for Share.
	Seed uint64
	// Targets, if there are any, are the names that a fault may aim at.
	Targets []string
	// Data is what the process' source sends; nil where it has none, and then there are no faults of it.
	Data *Data
	// BadModel acts out the fault of that kind; without one it is refused.
	BadModel Actor
	Logger   *slog.Logger
}

// Actor does what a fault does where that is not a matter of single events. Begin is called once the fault is active, by
// who injects it; an error ends the fault. End is called once when the fault is over, by the timer, by who removes it,
// or by Close, which waits for it. Neither is called with the registry locked.
type Actor interface {
	Begin(f Fault) error
	End(f Fault)
}

// Registry holds the active faults of this process and acts them out.
type Registry struct {
	opts Options

	mu     sync.Mutex
	random *rand.Rand
	active []*active // by creation
	closed bool
	acts   sync.WaitGroup // of Actors
	// table is what Before reads: the active faults by target, nil if there are none.
	table atomic.Pointer[map[string][]*active]
}

// active is a fault that acts. Its counts are guarded by Registry.mu.
type active struct {
	Fault
	timer *time.Timer
	done  chan struct{} // closed when the fault ends
	actor Actor         // nil for faults of single events
	shift synth.Shift   // of a drift of numbers
	lives int           // lives hit, of crash and hang
	last  int64         // the newest of them
}

var _ agents.Injector = (*Registry)(nil)

// New makes a registry without faults.
func New(o Options) *Registry {
	o.MaxTTL = cmp.Or(o.MaxTTL, DefaultMaxTTL)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler)).With("component", "fault")
	return &Registry{opts: o, random: rand.New(rand.NewPCG(o.Seed, 0xfa17))}
}

// Inject makes a fault act from now on and returns it with its id and times. A refusal is an *InvalidError.
func (r *Registry) Inject(f Fault) (Fault, error) {
	if err := r.opts.check(f); err != nil {
		return Fault{}, err
	}
	a, f, err := r.activate(f)
	if err != nil || a.actor == nil {
		return f, err
	}
	defer r.acts.Done()
	if err := a.actor.Begin(f); err != nil {
		r.end(a, "it could not begin")
		return Fault{}, fmt.Errorf("fault: %s: %w", f.Kind, err)
	}
	return f, nil
}

// activate makes a checked fault act and returns it with its id and times.
func (r *Registry) activate(f Fault) (*active, Fault, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, Fault{}, fmt.Errorf("fault: id: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return nil, Fault{}, errors.New("fault: the process is stopping")
	case len(r.active) >= MaxActive:
		return nil, Fault{}, &InvalidError{"target", fmt.Sprintf("has %d faults around it already", MaxActive), "stop some of them"}
	}
	if i := slices.IndexFunc(r.active, func(a *active) bool { return a.Kind == BadModel }); f.Kind == BadModel && i >= 0 {
		return nil, Fault{}, &InvalidError{"kind", "is bad-model, and fault " + r.active[i].ID + " has put a worse version in charge already", "stop that one first"}
	}
	f.ID, f.Hits = id.String(), 0
	f.CreatedAt = time.Now().UTC()
	f.ExpiresAt = f.CreatedAt.Add(f.TTL)
	a := &active{Fault: f, done: make(chan struct{})}
	if r.opts.Data != nil {
		a.shift = r.opts.Data.shiftOf(f)
	}
	if f.Kind == BadModel {
		a.actor = r.opts.BadModel
		r.acts.Add(1)
	}
	a.timer = time.AfterFunc(f.TTL, func() { r.end(a, "its time was over") })
	r.active = append(r.active, a)
	r.publish()
	r.opts.Logger.Warn("a fault is injected", "id", f.ID, "target", f.Target, "kind", string(f.Kind), "ttl", f.TTL)
	return a, f, nil
}

// List returns the active faults, oldest first.
func (r *Registry) List() []Fault {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]Fault, len(r.active))
	for i, a := range r.active {
		out[i] = a.Fault
	}
	return out
}

// Get returns an active fault, or ErrNotFound.
func (r *Registry) Get(id string) (Fault, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.active {
		if a.ID == id {
			return a.Fault, nil
		}
	}
	return Fault{}, fmt.Errorf("%w: %q", ErrNotFound, id)
}

// Remove ends a fault at once; who waits or hangs in it goes on.
func (r *Registry) Remove(id string) error { return r.Over(id, "it was stopped") }

// Over is Remove for who knows that the fault can do nothing any more, and why.
func (r *Registry) Over(id, why string) error {
	r.mu.Lock()
	for _, a := range r.active {
		if a.ID == id {
			r.mu.Unlock()
			r.end(a, why)
			return nil
		}
	}
	r.mu.Unlock()
	return fmt.Errorf("%w: %q", ErrNotFound, id)
}

// Clear ends all faults and returns how many there were.
func (r *Registry) Clear() int {
	r.mu.Lock()
	all := slices.Clone(r.active)
	r.mu.Unlock()
	for _, a := range all {
		r.end(a, "all were stopped")
	}
	return len(all)
}

// Close ends all faults, refuses new ones and waits for what their Actors still do. It is idempotent.
func (r *Registry) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.Clear()
	r.acts.Wait()
}

// end ends a fault, if it hasn't ended, and lets its Actor undo it.
func (r *Registry) end(a *active, why string) {
	r.mu.Lock()
	acts := r.endLocked(a, why) && a.actor != nil
	ended := a.Fault
	if acts {
		r.acts.Add(1)
	}
	r.mu.Unlock()
	if acts {
		defer r.acts.Done()
		a.actor.End(ended)
	}
}

// endLocked reports whether the fault was active. mu is held.
func (r *Registry) endLocked(a *active, why string) bool {
	for i, b := range r.active {
		if a != b {
			continue
		}
		r.active = append(r.active[:i:i], r.active[i+1:]...)
		a.timer.Stop()
		close(a.done)
		r.publish()
		r.opts.Logger.Warn("a fault has ended", "id", a.ID, "why", why, "hits", a.Hits)
		return true
	}
	return false
}

// publish makes a new table. mu is held.
func (r *Registry) publish() {
	if len(r.active) == 0 {
		r.table.Store(nil)
		return
	}
	t := map[string][]*active{}
	for _, a := range r.active {
		t[a.Target] = append(t[a.Target], a)
	}
	r.table.Store(&t)
}

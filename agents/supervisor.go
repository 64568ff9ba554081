package agents

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"aura/agents/bus"
	"aura/agents/event"
	"aura/store/complaint"
)

// Supervisor owns mailboxes, loops, the watchdog, heartbeats and restarts of the agents of one process.
type Supervisor struct {
	opts  Options
	epoch time.Time // zero of the monotonic clock that loops and watchdog share

	mu      sync.Mutex
	agents  []*agent
	byName  map[string]*agent
	started bool
	stop    sync.Once
	stopped chan struct{}
	stopErr error

	root   context.Context // ends when everything is abandoned
	cancel context.CancelFunc
	tasks  sync.WaitGroup // watchdog, heartbeat

	unheard complaint.Log // heartbeats that the bus would not take
	quit    chan struct{} // closed to end the tasks
}

// New makes a supervisor without agents.
func New(o Options) (*Supervisor, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	root, cancel := context.WithCancel(context.Background())
	return &Supervisor{
		opts: o, epoch: time.Now(), byName: map[string]*agent{}, root: root, cancel: cancel,
		quit: make(chan struct{}), stopped: make(chan struct{}),
	}, nil
}

// Add describes one more agent and opens its mailboxes, so that nothing published from now on misses it. Agents must be
// added before Start, in the order applications pass them: Stop stops them in this order.
func (s *Supervisor) Add(spec Spec) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.started:
		return fmt.Errorf("agents: add %s: the supervisor has been started", spec.Name)
	case spec.Name == "" || spec.NewHandler == nil:
		return errors.New("agents: a spec needs a name and a constructor of handlers")
	case s.byName[spec.Name] != nil:
		return fmt.Errorf("agents: %s is there already", spec.Name)
	}
	a, err := newAgent(s, spec)
	if err != nil {
		return err
	}
	s.agents = append(s.agents, a)
	s.byName[spec.Name] = a
	return nil
}

// Start begins the first life of each agent, the watchdog and the heartbeats, and returns. A life whose number can't be
// had yet (the store is away) is tried again; the agent is STARTING until then.
func (s *Supervisor) Start(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.quit:
		return ErrNotRunning
	default:
	}
	if s.started {
		return errors.New("agents: the supervisor has been started already")
	}
	s.started = true
	for _, a := range s.agents {
		for _, l := range a.lanes {
			l.begin(s.opts)
		}
		go a.keep()
	}
	s.tasks.Go(s.watch)
	s.tasks.Go(s.beat)
	return nil
}

// Stop ends taking, agent by agent in the order they were added, lets handlers finish what they have in hand while ctx
// lives, then cancels them and abandons what does not return within the grace, which is an error. It is idempotent.
func (s *Supervisor) Stop(ctx context.Context) error {
	s.stop.Do(func() {
		defer close(s.stopped)
		s.mu.Lock()
		close(s.quit)
		list, started := s.agents, s.started
		s.mu.Unlock()
		if started {
			for i, a := range list {
				a.stop(ctx, len(list)-i)
			}
		}
		s.cancel()
		s.tasks.Wait()
		var errs []error
		for _, a := range list {
			errs = append(errs, a.abandoned(s.opts.Grace))
		}
		if started {
			s.lastBeat(ctx)
		}
		s.stopErr = errors.Join(errs...)
	})
	<-s.stopped
	return s.stopErr
}

// Restart installs the agent's next life and returns its number. A healthy life is replaced without loss: it stops
// taking, hands over lane by lane what it has not acked, and is fenced where it does not within the grace.
func (s *Supervisor) Restart(ctx context.Context, name, reason string) (int64, error) {
	s.mu.Lock()
	a, started := s.byName[name], s.started
	s.mu.Unlock()
	if a == nil {
		return 0, fmt.Errorf("%w: %q", ErrUnknownAgent, name)
	}
	if !started {
		return 0, ErrNotRunning
	}
	return a.restart(ctx, reason)
}

// Statuses describes each agent, in the order they were added.
func (s *Supervisor) Statuses() []Status {
	list := s.list()
	out := make([]Status, len(list))
	for i, a := range list {
		out[i] = a.status(time.Now())
	}
	return out
}

// Mailbox returns an agent's mailbox of a topic, nil if it has none.
func (s *Supervisor) Mailbox(name string, topic event.Topic) bus.Mailbox {
	for _, a := range s.list() {
		if a.spec.Name != name {
			continue
		}
		for _, b := range a.boxes {
			if b.topic == topic {
				return b.mailbox
			}
		}
	}
	return nil
}

// Holds reports which of the keys belong to messages that failed and are set aside for another try. They are no longer
// in any mailbox, so that whoever sweeps must ask here as well as at the transport.
func (s *Supervisor) Holds(keys map[string]bool) map[string]bool {
	held := map[string]bool{}
	for _, a := range s.list() {
		for _, l := range a.lanes {
			l.holds(keys, held)
		}
	}
	return held
}

func (s *Supervisor) list() []*agent {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.agents
}

// clock is the time since the epoch, monotonic, in nanoseconds.
func (s *Supervisor) clock() int64 { return int64(time.Since(s.epoch)) }

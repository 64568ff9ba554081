package agents

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"aura/agents/bus"
	"aura/agents/event"
	"aura/store/complaint"
)

// agent is what outlives an agent's lives: mailboxes, lanes, counts, and the keeper that installs one life after the
// other.
type agent struct {
	sup   *Supervisor
	spec  Spec
	boxes []*box
	lanes []*lane
	stats stats

	finished atomic.Int64 // messages done in all lives: the watermark
	zombies  atomic.Int32 // abandoned goroutines still running
	logged   atomic.Int64 // clock of the last line that mayLog let through
	unready  complaint.Log

	asks chan ask        // requests for a restart, to the keeper
	kept chan struct{}   // closed when the keeper has ended
	run  context.Context // ends when the agent is being stopped
	quit context.CancelFunc

	mu       sync.Mutex
	life     *life
	lives    []*life // abandoned ones that may still have goroutines
	state    State
	since    time.Time
	cause    string
	restarts int64
	lastBeat time.Time
	notices  []notice // states to be announced with the next heartbeat
}

// notice is a state that the next heartbeat must announce, even if it has passed by then.
type notice struct {
	state       State
	incarnation int64
	cause       string
}

func newAgent(s *Supervisor, spec Spec) (*agent, error) {
	a := &agent{
		sup: s, spec: spec, state: Starting, since: time.Now(),
		asks: make(chan ask), kept: make(chan struct{}),
	}
	a.run, a.quit = context.WithCancel(s.root)
	a.stats.init(s.opts.Heartbeat)
	for _, in := range spec.Inputs {
		group := event.Group(spec.Name)
		if in.Everywhere {
			group = ""
		}
		m, err := s.opts.Transport.Mailbox(bus.MailboxOptions{Topic: in.Topic, Group: group, Lazy: in.Lazy})
		if err != nil {
			return nil, fmt.Errorf("agents: mailbox of %s for %s: %w", spec.Name, in.Topic, err)
		}
		b := &box{Input: in, topic: in.Topic, mailbox: m}
		a.boxes = append(a.boxes, b)
		for i, q := range m.Lanes() {
			a.lanes = append(a.lanes, newLane(a, b, i, q))
		}
	}
	return a, nil
}

// become sets the state. A cause belongs to the states that need one.
func (a *agent) become(s State, cause string, incarnation int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.becomeLocked(s, cause, incarnation)
}

func (a *agent) becomeLocked(s State, cause string, incarnation int64) {
	if a.state == s && a.cause == cause {
		return
	}
	a.state, a.cause, a.since = s, cause, time.Now()
	if s == Running || s == Slow || s == Starting {
		return
	}
	if len(a.notices) < 8 { // a crash loop is slower than the heartbeat; more than a few can't pile up in a slot
		a.notices = append(a.notices, notice{s, incarnation, cause})
	}
}

// install begins a life and makes it the present one.
func (a *agent) install(number int64) *life {
	a.mu.Lock()
	defer a.mu.Unlock()
	old := a.life
	if old != nil {
		a.restarts++
		a.lives = append(a.lives, old)
	}
	a.life = a.begin(number)
	a.becomeLocked(Running, "", number)
	return a.life
}

// undead counts the lives that still have abandoned goroutines, the present one included.
func (a *agent) undead() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	if a.life != nil && a.life.zombies.Load() > 0 {
		n++
	}
	rest := a.lives[:0]
	for _, l := range a.lives {
		if l.gone() {
			continue
		}
		rest = append(rest, l)
		if l.zombies.Load() > 0 {
			n++
		}
	}
	clear(a.lives[len(rest):])
	a.lives = rest
	return n
}

// finish counts n messages as done; given-up ones are not.
func (a *agent) finish(n int, givenUp bool, t *tally) {
	if n > 0 && !givenUp {
		a.finished.Add(int64(n))
		t.handled += int64(n)
	}
	a.stats.merge(t)
}

// fail counts a failure.
func (a *agent) fail(t *tally) {
	t.failed++
	a.stats.merge(t)
}

// refuse counts n results that came after their life was over.
func (a *agent) refuse(n int) {
	if n > 0 {
		a.stats.merge(&tally{refused: int64(n)})
	}
}

// mayLog lets one line a second through, for failures that repeat.
func (a *agent) mayLog(now int64) bool {
	last := a.logged.Load()
	return (last == 0 || now-last > int64(time.Second)) && a.logged.CompareAndSwap(last, max(now, 1))
}

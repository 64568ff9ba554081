package agents_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aura/agents"
	"aura/agents/bus"
	"aura/agents/event"
	"aura/agents/fault"
)

var ctx = context.Background()

// numbers hands out lives' numbers; failing makes it refuse.
type numbers struct {
	mu      sync.Mutex
	last    map[string]int64
	failing error
}

func (n *numbers) NextIncarnation(_ context.Context, agent, _ string) (int64, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.failing != nil {
		return 0, n.failing
	}
	if n.last == nil {
		n.last = map[string]int64{}
	}
	n.last[agent]++
	return n.last[agent], nil
}

func (n *numbers) fail(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.failing = err
}

// handle is a handler made of a function.
type handle func(ctx context.Context, m *bus.Message, out *agents.Outbox) error

func (h handle) Handle(ctx context.Context, m *bus.Message, out *agents.Outbox) error {
	return h(ctx, m, out)
}

func all(h handle) func(agents.Life) agents.Handler {
	return func(agents.Life) agents.Handler { return h }
}

// forward passes an application on to the next topic.
func forward(_ context.Context, m *bus.Message, out *agents.Outbox) error {
	switch e := m.Event.(type) {
	case *event.RawEvent:
		out.Emit(&event.Features{Subject: e.Subject})
	case *event.Features:
		out.Emit(&event.Prediction{Features: *e})
	case *event.Prediction:
		out.Emit(&event.Decision{Subject: e.Subject})
	}
	return nil
}

func key(m *bus.Message) string { return m.Event.Key() }

// rig is a supervisor over a memory bus, with one agent ("relay": raw-events to features) unless the test adds others.
type rig struct {
	t       *testing.T
	bus     *bus.Memory
	faults  *fault.Registry
	numbers *numbers
	sup     *agents.Supervisor
	out     bus.Mailbox // features
	beats   bus.Mailbox
	results []*bus.Message
	stopped bool // the test has stopped it, and expects an error

	mu      sync.Mutex
	givenUp []string // "key: cause"
}

func newRig(t *testing.T, o agents.Options, lanes int) *rig {
	t.Helper()
	r := &rig{
		t: t, bus: bus.NewMemory(bus.MemoryOptions{Lanes: lanes, Capacity: 1 << 16}),
		faults: fault.New(fault.Options{Seed: 1}), numbers: new(numbers),
	}
	o.Transport, o.Incarnations = r.bus, r.numbers
	if o.Injector == nil {
		o.Injector = r.faults
	}
	var err error
	if r.sup, err = agents.New(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.stop)
	r.out = r.mailbox(event.FeaturesTopic)
	r.beats = r.mailbox(event.Metrics)
	return r
}

func (r *rig) mailbox(topic event.Topic) bus.Mailbox {
	m, err := r.bus.Mailbox(bus.MailboxOptions{Topic: topic})
	if err != nil {
		r.t.Fatal(err)
	}
	return m
}

func (r *rig) relay(s agents.Spec) agents.Spec {
	s.Name = "relay"
	if s.Inputs == nil {
		s.Inputs = []agents.Input{{Topic: event.RawEvents}}
	}
	if s.GiveUp == nil {
		s.GiveUp = r.giveUp
	}
	return s
}

func (r *rig) giveUp(_ context.Context, m *bus.Message, cause error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.givenUp = append(r.givenUp, fmt.Sprintf("%s: %v", m.Key(), cause))
	return nil
}

// add adds agents, so that what is published from now on waits for them.
func (r *rig) add(specs ...agents.Spec) {
	r.t.Helper()
	for _, s := range specs {
		if err := r.sup.Add(s); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *rig) start(specs ...agents.Spec) {
	r.t.Helper()
	r.add(specs...)
	if err := r.sup.Start(ctx); err != nil {
		r.t.Fatal(err)
	}
}

// stop ends everything, at the end of each test; faults end first, so that nothing hangs any more.
func (r *rig) stop() {
	r.t.Helper()
	r.faults.Close()
	c, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := r.sup.Stop(c); err != nil && !r.stopped {
		r.t.Error(err)
	}
	if err := r.bus.Close(); err != nil {
		r.t.Error(err)
	}
}

func raw(key string) event.Event {
	return &event.RawEvent{Subject: event.Subject{ID: key, ApplicationID: key}}
}

func (r *rig) publish(keys ...string) {
	r.t.Helper()
	for _, k := range keys {
		if err := r.bus.Publish(ctx, bus.NewMessage(raw(k), time.Now())); err != nil {
			r.t.Fatal(err)
		}
	}
}

// drain takes what a mailbox holds right now.
func drain(t *testing.T, box bus.Mailbox) (out []*bus.Message) {
	t.Helper()
	for _, l := range box.Lanes() {
		for l.Len() > 0 {
			batch, err := l.Take(ctx, 1000)
			if err != nil {
				t.Fatal(err)
			}
			l.Ack(len(batch))
			out = append(out, batch...)
		}
	}
	return out
}

// got returns the keys of all results so far, in order.
func (r *rig) got() (keys []string) {
	r.t.Helper()
	r.results = append(r.results, drain(r.t, r.out)...)
	for _, m := range r.results {
		keys = append(keys, key(m))
	}
	return keys
}

func (r *rig) want(keys ...string) {
	r.t.Helper()
	if g, w := strings.Join(r.got(), " "), strings.Join(keys, " "); g != w {
		r.t.Fatalf("results %q, want %q", g, w)
	}
}

func (r *rig) status() agents.Status { return r.sup.Statuses()[0] }

func (r *rig) wantState(s agents.State) agents.Status {
	r.t.Helper()
	st := r.status()
	if st.State != s {
		r.t.Fatalf("state %s (%s), want %s", st.State, st.Cause, s)
	}
	return st
}

// beatsSince drains the heartbeats as "state/incarnation".
func (r *rig) beatsSince() (out []*event.AgentMetrics) {
	r.t.Helper()
	for _, m := range drain(r.t, r.beats) {
		out = append(out, m.Event.(*event.AgentMetrics))
	}
	return out
}

func bubble(t *testing.T, f func(t *testing.T)) { t.Helper(); synctest.Test(t, f) }

func (r *rig) inject(f fault.Fault) string {
	r.t.Helper()
	f.Target, f.Share = "relay", 1
	if f.TTL == 0 {
		f.TTL = 15 * time.Minute
	}
	got, err := r.faults.Inject(f)
	if err != nil {
		r.t.Fatal(err)
	}
	return got.ID
}

var errBroken = errors.New("broken")

// pass lets time pass and everything settle that is due by then.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

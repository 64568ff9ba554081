package monitoring

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"aura/agents"
	"aura/agents/bus"
	"aura/agents/desired"
	"aura/agents/event"
	"aura/healing/detect"
	"aura/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeStore keeps a lease and a checkpoint in memory.
type fakeStore struct {
	mu     sync.Mutex
	lease  store.Lease
	state  []byte
	down   bool
	slow   bool // the lease can't be renewed in time
	open   []store.IncidentRow
	number int64
	clock  func() time.Time // nil: the machine's
}

func (f *fakeStore) now() time.Time {
	if f.clock != nil {
		return f.clock()
	}
	return time.Now()
}

func (f *fakeStore) Desired(context.Context) (store.State, error) {
	return store.State{Generations: store.Generations{Mode: store.ModeModel, ModeGeneration: 1, Champion: 1, ChampionGeneration: 1}}, nil
}

func (f *fakeStore) NextIncarnation(context.Context, string, string) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.number++
	return f.number, nil
}

func (f *fakeStore) AcquireLease(_ context.Context, name, holder string, incarnation int64, ttl time.Duration) (store.Lease, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return store.Lease{}, errDown
	}
	mine, free := f.lease.Holder == holder, !f.lease.ExpiresAt.After(f.now())
	if mine && f.lease.Incarnation > incarnation || !mine && !free {
		return store.Lease{}, &store.Refused{Code: store.CodeLeaseHeld}
	}
	if !mine || free || f.lease.Incarnation != incarnation {
		f.lease = store.Lease{Name: name, Holder: holder, Incarnation: incarnation, Epoch: f.lease.Epoch + 1}
	}
	f.lease.Held, f.lease.ExpiresAt = true, f.now().Add(ttl)
	return f.lease, nil
}

func (f *fakeStore) RenewLease(_ context.Context, l store.Lease, ttl time.Duration) (store.Lease, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.slow || f.down {
		return store.Lease{}, context.DeadlineExceeded
	}
	if l.Epoch != f.lease.Epoch {
		return store.Lease{}, &store.Refused{Code: store.CodeStaleEpoch}
	}
	f.lease.ExpiresAt = f.now().Add(ttl)
	return f.lease, nil
}

func (f *fakeStore) ReleaseLease(_ context.Context, l store.Lease) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l.Epoch == f.lease.Epoch {
		f.lease.ExpiresAt = time.Time{}
	}
	return nil
}

func (f *fakeStore) LeaseOf(context.Context, string) (store.Lease, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return store.Lease{}, errDown
	}
	l := f.lease
	l.Free = !l.ExpiresAt.After(f.now())
	return l, nil
}

var errDown = &store.Unavailable{Code: "io", Err: context.DeadlineExceeded}

func (f *fakeStore) SaveCheckpoint(_ context.Context, _ string, epoch int64, state []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.down:
		return errDown
	case epoch != f.lease.Epoch:
		return &store.Refused{Code: store.CodeStaleEpoch}
	}
	f.state = state
	return nil
}

func (f *fakeStore) LoadCheckpoint(context.Context, string) ([]byte, time.Time, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state == nil {
		return nil, time.Time{}, store.ErrNotFound
	}
	return f.state, time.Now(), nil
}

func (f *fakeStore) ConfigHistory(context.Context, int, int64) ([]store.ConfigChange, error) {
	return nil, nil
}

func (f *fakeStore) OpenIncidents(context.Context) ([]store.IncidentRow, error) { return f.open, nil }

func (f *fakeStore) Stats() store.Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return store.Stats{FailingCode: "io"}
	}
	return store.Stats{}
}

func (f *fakeStore) set(down bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = down
}

func (f *fakeStore) delay(slow bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.slow = slow
}

// world is monitoring on a bus of its own, with made-up agents beside it, in fake time.
type world struct {
	t      *testing.T
	bus    *bus.Memory
	store  *fakeStore
	agent  *Monitoring
	sup    *agents.Supervisor
	alerts bus.Mailbox
	slow   bool // what ingestion counts is late
	silent string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	w := &world{t: t, bus: bus.NewMemory(bus.MemoryOptions{Lanes: 1, Logger: log}), store: &fakeStore{}}
	view, err := desired.New(t.Context(), w.store, log)
	if err != nil {
		t.Fatal(err)
	}
	w.agent = New(Options{
		Store: w.store, View: view, Config: detect.DefaultConfig(), Now: time.Now, Log: log,
		Reference: func() *detect.Reference { return nil },
		Validated: func(context.Context, int) (float64, int) { return .85, 2000 },
	})
	if w.alerts, err = w.bus.Mailbox(bus.MailboxOptions{Topic: event.Alerts, Overflow: bus.DropOldest}); err != nil {
		t.Fatal(err)
	}
	if w.sup, err = agents.New(agents.Options{Transport: w.bus, Incarnations: w.store, Logger: log}); err != nil {
		t.Fatal(err)
	}
	if err := w.sup.Add(w.agent.Spec()); err != nil {
		t.Fatal(err)
	}
	if err := w.sup.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) stop() {
	if err := w.sup.Stop(context.Background()); err != nil {
		w.t.Error(err)
	}
	_ = w.bus.Close()
}

// pass lets time pass; every 100 ms each made-up agent beats, and ingestion counts five decisions.
func (w *world) pass(d time.Duration) {
	w.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(100 * time.Millisecond)
		now := time.Now()
		for _, name := range detect.DefaultPath {
			if name == w.silent {
				continue
			}
			e := &event.AgentMetrics{Agent: name, Instance: "local", Incarnation: 1, State: "RUNNING", At: now, SlotMS: 100, Handled: 5, DeadlineMS: 1000}
			if name == "ingestion" {
				e.Counts = w.counts(now)
			}
			if err := w.bus.Publish(w.t.Context(), bus.NewMessage(e, now)); err != nil {
				w.t.Fatal(err)
			}
		}
		synctest.Wait()
	}
}

func (w *world) counts(now time.Time) *detect.Counts {
	c := &detect.Counts{}
	latency := 5 * time.Millisecond
	if w.slow {
		latency = 800 * time.Millisecond
	}
	for range 5 {
		c.Decided(detect.Cohort{Accepted: now.Add(-latency), Mode: "MODEL", Version: 1}, latency, 300*time.Millisecond, false)
	}
	return c
}

func (w *world) state(k detect.Kind, target string) detect.State {
	for _, s := range w.agent.Report().Signals {
		if s.Kind == k && s.Target == target {
			return s.State
		}
	}
	return "absent"
}

func (w *world) want(k detect.Kind, target string, states ...detect.State) {
	w.t.Helper()
	got := w.state(k, target)
	for _, s := range states {
		if got == s {
			return
		}
	}
	w.t.Errorf("%s of %s is %s, want one of %v", k, target, got, states)
}

// heard counts the alerts of a kind on the bus since the last call.
func (w *world) heard() map[string]int {
	out := map[string]int{}
	l := w.alerts.Lanes()[0]
	if l.Len() == 0 {
		return out
	}
	batch, err := l.Take(w.t.Context(), 10_000)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, m := range batch {
		out[m.Event.(*event.Alert).Kind]++
	}
	l.Ack(len(batch))
	return out
}

func inWorld(t *testing.T, f func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.stop()
		f(w)
	})
}

func TestLatencyIsSaidEachSecondWhileItLasts(t *testing.T) {
	inWorld(t, func(w *world) {
		w.pass(5 * time.Second)
		w.want(detect.LatencyBreach, detect.TargetService, detect.Healthy)
		if got := w.heard(); got[KindHeartbeat] < 4 || got[string(detect.LatencyBreach)] != 0 {
			w.t.Errorf("healthy for 5 s: heard %v", got)
		}
		w.slow = true
		w.pass(4 * time.Second)
		w.want(detect.LatencyBreach, detect.TargetService, detect.Confirmed)
		w.heard()
		w.pass(10 * time.Second)
		if got := w.heard()[string(detect.LatencyBreach)]; got < 9 || got > 12 {
			w.t.Errorf("%d alerts in 10 s, want one a second", got)
		}
		w.slow = false
		w.pass(6 * time.Second)
		w.want(detect.LatencyBreach, detect.TargetService, detect.Healthy)
	})
}

func TestAgentThatBeatsNoMoreIsDown(t *testing.T) {
	inWorld(t, func(w *world) {
		w.pass(3 * time.Second)
		w.silent = "model"
		w.pass(2 * time.Second)
		w.want(detect.AgentDown, "model", detect.Confirmed)
		w.want(detect.AgentDown, "feature", detect.Healthy)
	})
}

func TestStoreThatDoesNotAnswerMakesEverythingUnknown(t *testing.T) {
	inWorld(t, func(w *world) {
		w.pass(3 * time.Second)
		w.store.set(true)
		w.pass(4 * time.Second)
		w.want(detect.LatencyBreach, detect.TargetService, detect.Unknown)
		w.want(detect.AgentDown, "model", detect.Unknown)
		w.store.set(false)
		w.pass(5 * time.Second)
		w.want(detect.LatencyBreach, detect.TargetService, detect.Healthy)
	})
}

// TestALeaseThatIsRenewedLateIsKept: a store that was too slow once must not silence monitoring for good.
func TestALeaseThatIsRenewedLateIsKept(t *testing.T) {
	inWorld(t, func(w *world) {
		w.pass(3 * time.Second)
		w.store.delay(true)
		w.pass(2 * time.Second)
		w.store.delay(false)
		w.pass(5 * time.Second)
		if blind, since := w.agent.Look(time.Now(), 2*time.Second); blind {
			w.t.Errorf("nothing is reported since %s", since)
		}
		w.want(detect.LatencyBreach, detect.TargetService, detect.Healthy)
	})
}

func TestVerificationIsAnsweredOnDataFromAfterTheAction(t *testing.T) {
	inWorld(t, func(w *world) {
		w.slow = true
		w.pass(4 * time.Second)
		ask := func(since time.Time) {
			detail, err := json.Marshal(detect.Watch{IncidentID: "i", ActionID: "a", Kind: detect.LatencyBreach, Target: detect.TargetService, Since: since})
			if err != nil {
				w.t.Fatal(err)
			}
			e := &event.IncidentEntry{IncidentID: "i", Step: StepVerify, At: since, Detail: detail}
			if err := w.bus.Publish(w.t.Context(), bus.NewMessage(e, since)); err != nil {
				w.t.Fatal(err)
			}
		}
		verdict := func() detect.Verdict {
			for _, v := range w.agent.Report().Verdicts {
				if v.ActionID == "a" {
					return v.Verdict
				}
			}
			return detect.Verdict{Finding: "none"}
		}
		finding := func() detect.Finding { return verdict().Finding }
		since := time.Now()
		ask(since)
		w.pass(1200 * time.Millisecond)
		// Decisions are 800 ms late: of the 50 in the second until the report a few were accepted after the action.
		if got := verdict(); got.Finding != detect.Pending || got.N == 0 || got.N > 25 {
			w.t.Errorf("at once: %s on %d samples, want PENDING on a few: most of what is late now was accepted before", got.Finding, got.N)
		}
		w.slow = false
		w.pass(5 * time.Second)
		if got := finding(); got != detect.Cured {
			w.t.Errorf("after 5 s of fast decisions: %s", got)
		}
		w.pass(watchFor + 2*time.Second)
		if got := finding(); got != "none" {
			w.t.Errorf("nobody asks any more and it is still %s", got)
		}
	})
}

func TestNextLifeGoesOnFromTheCheckpoint(t *testing.T) {
	inWorld(t, func(w *world) {
		w.slow = true
		w.pass(5 * time.Second)
		if _, err := w.sup.Restart(w.t.Context(), Name, "test"); err != nil {
			w.t.Fatal(err)
		}
		w.pass(5 * time.Second) // what passed between checkpoint and first step makes it UNKNOWN for a moment
		w.want(detect.LatencyBreach, detect.TargetService, detect.Confirmed)
		if w.store.lease.Epoch != 2 {
			w.t.Errorf("epoch %d, want 2", w.store.lease.Epoch)
		}
	})
}

// TestWhoRanOnWasAwake: a process that was stopped was not looked at either, whoever comes first when it goes on.
func TestWhoRanOnWasAwake(t *testing.T) {
	at := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		looks []float64 // seconds before the step
		want  bool
	}{
		"nobody ever looked":          {nil, false},
		"looked at all the time":      {[]float64{3, 2.5, 2, 1.5, 1, .5, 0}, true},
		"stopped, stepped first":      {[]float64{30, 20}, false},
		"stopped, looked at first":    {[]float64{20.5, 20, 0}, false},
		"looked at for the last time": {[]float64{3, 2.5, 2}, false},
	} {
		m := &Monitoring{Options: Options{Config: detect.DefaultConfig()}}
		for _, before := range test.looks {
			m.Look(at.Add(-time.Duration(before*float64(time.Second))), time.Second)
		}
		if got := m.awake(at); got != test.want {
			t.Errorf("%s: awake %v", name, got)
		}
	}
}

func TestSilenceIsSeen(t *testing.T) {
	inWorld(t, func(w *world) {
		w.pass(3 * time.Second)
		if blind, _ := w.agent.Look(time.Now(), 3*time.Second); blind {
			w.t.Error("blind while it reports")
		}
		look := func(from, to float64) (blind bool) {
			for at := from; at <= to; at++ {
				blind, _ = w.agent.Look(time.Now().Add(time.Duration(at*float64(time.Second))), 3*time.Second)
			}
			return blind
		}
		if !look(1, 4) {
			w.t.Error("not blind 4 s after the last report")
		}
		if look(20, 22) { // the process was stopped: what was said meanwhile could not be heard
			w.t.Error("blind 2 s after a pause")
		}
		if !look(23, 24) {
			w.t.Error("not blind 4 s after a pause")
		}
	})
}

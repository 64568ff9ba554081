package healing

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aura/agents"
	"aura/agents/bus"
	"aura/agents/event"
	"aura/healing/incident"
	"aura/healing/playbook"
	"aura/healing/policy"
	"aura/store"
)

// peer is the agent of one process among several on the world's store.
type peer struct {
	w     *world
	agent *Agent
	life  agents.Life
	dead  bool

	mu     sync.Mutex
	hooks  int
	stopAt int           // the hook call at which the process is stopped, 0 for none
	goOn   chan struct{} // not nil while it is stopped
}

// hook stops the process like SIGSTOP does: whoever comes here waits.
func (p *peer) hook(point string) {
	p.mu.Lock()
	p.hooks++
	if p.stopAt > 0 && p.hooks >= p.stopAt && p.goOn == nil && p.mayStop(point) {
		p.goOn = make(chan struct{})
	}
	wait := p.goOn
	p.mu.Unlock()
	if wait != nil && p.mayStop(point) {
		<-wait
	}
}

// mayStop: fake time would stand still if an execution waited for the lock that is held where a step is saved.
func (p *peer) mayStop(point string) bool {
	switch point {
	case "before execute", "after execute", "before undo", "after undo":
		return true
	case "before save", "after save":
		c := p.agent.present.Load()
		return c != nil && c.ctx.Err() == nil && len(c.running) == 0
	}
	return false
}

func (p *peer) stopped() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.goOn != nil
}

// stop stops the process n hook calls from now; 0: at once.
func (p *peer) stop(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n > 0 {
		p.stopAt = p.hooks + n
	} else if p.goOn == nil {
		p.goOn = make(chan struct{})
	}
}

func (p *peer) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopAt = 0
	if p.goOn != nil {
		close(p.goOn)
		p.goOn = nil
	}
}

// crew runs agents of several processes on one store.
func crew(t *testing.T, names []string, f func(w *world, peers []*peer)) {
	run(t, func(w *world) {
		public := w.key.Public().(ed25519.PublicKey)
		var peers []*peer
		for i, name := range names {
			p := &peer{w: w, life: agents.Life{Agent: Name, Instance: name, Incarnation: int64(i + 1)}}
			var err error
			p.agent, err = New(Options{
				Store: w.store, Publisher: w, Keys: map[string]ed25519.PublicKey{policy.KeyID(public): public}, Targets: w.targets, Caller: w,
				Playbook: playbook.Default, Settings: incident.Defaults(), ApprovalTTL: 10 * time.Minute, Heals: []string{"model"},
				Instance: name, Shared: true, Now: w.clock, hook: p.hook,
			})
			if err != nil {
				t.Fatal(err)
			}
			peers = append(peers, p)
		}
		defer func() {
			for _, p := range peers {
				p.agent.close()
				p.resume()
			}
			synctest.Wait()
		}()
		f(w, peers)
	})
}

// passAll is pass for several processes: each that runs hears all.
func (w *world) passAll(d time.Duration, peers []*peer) {
	w.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(250 * time.Millisecond) {
		w.decide()
		report := w.report()
		holders := 0
		for _, p := range peers {
			if p.dead || p.stopped() {
				continue
			}
			for _, e := range []event.Event{report, &event.AgentMetrics{Agent: Name, Instance: p.life.Instance}} {
				if p.stopped() {
					break
				}
				go func() { // it may be stopped on its way
					h := p.agent.Spec().NewHandler(p.life)
					_ = h.Handle(w.t.Context(), bus.NewMessage(e, time.Now()), nil)
				}()
				synctest.Wait()
			}
			if !p.stopped() && p.agent.Governs() {
				holders++
			}
		}
		if holders > 1 {
			w.t.Errorf("%d processes heal at one time", holders)
		}
	}
}

// twice lists what was called for more than once.
func (w *world) twice() (out []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := map[string]int{}
	for _, n := range w.calls {
		if seen[n.ID]++; seen[n.ID] == 2 {
			out = append(out, n.ID)
		}
	}
	return out
}

// TestAStandbyHeals: it does nothing while the holder lives, and goes on with the holder's incident soon after that is gone.
func TestAStandbyHeals(t *testing.T) {
	for name, end := range map[string]func(p *peer) time.Duration{
		"killed": func(p *peer) time.Duration { p.dead = true; return LeaseTTL + 2*askEvery },
		"frozen": func(p *peer) time.Duration { p.stop(0); return LeaseTTL + 2*askEvery },
		"ended": func(p *peer) time.Duration {
			p.dead = true
			if err := p.agent.Close(p.w.t.Context()); err != nil {
				p.w.t.Error(err)
			}
			return 2 * askEvery
		},
	} {
		t.Run(name, func(t *testing.T) {
			crew(t, []string{"a", "b"}, func(w *world, peers []*peer) {
				w.passAll(2*time.Second, peers)
				if !peers[0].agent.Governs() || peers[1].agent.Governs() {
					w.t.Fatal("not the first of two heals")
				}
				within := end(peers[0])
				w.breakModel(true)
				w.passAll(within, peers)
				if !peers[1].agent.Governs() {
					w.t.Fatalf("nobody heals %v after the holder is gone", within)
				}
				w.passAll(5*time.Second, peers)
				if w.mode() != store.ModeSafe {
					w.t.Error("the standby holds the lease and doesn't heal")
				}
				if name == "frozen" {
					peers[0].resume()
					w.passAll(2*time.Second, peers)
					if peers[0].agent.Governs() || !peers[1].agent.Governs() {
						w.t.Error("the zombie heals")
					}
					peers[1].dead = true
					w.breakModel(false)
					w.passAll(LeaseTTL+2*askEvery+20*time.Second, peers)
					if w.mode() != store.ModeModel {
						w.t.Error("who was stopped once never takes over again")
					}
				}
				w.modeChanges()
			})
		})
	}
}

// TestAStandbyPassesOn: what a person tells a process that doesn't heal is done, or refused with the same words, by the one that does,
// also if that takes over only now; where nobody heals it is never done.
func TestAStandbyPassesOn(t *testing.T) {
	crew(t, []string{"a", "b"}, func(w *world, peers []*peer) {
		tell := func(id string, want incident.EventType) error {
			told := make(chan error, 1)
			go func() { told <- peers[1].agent.Tell(w.t.Context(), id, want, "ann", "I look after it") }()
			w.passAll(toldWithin+2*time.Second, peers)
			return <-told
		}
		refused := func(err error, words string) {
			t.Helper()
			var unfit *Refused
			if !errors.As(err, &unfit) || !strings.Contains(unfit.Reason, words) {
				t.Errorf("got %v, want it refused: %s", err, words)
			}
		}
		w.govern = func(*world, store.PolicyRequest) {} // nobody decides: the incident waits
		w.passAll(time.Second, peers)
		w.breakModel(true)
		w.passAll(3*time.Second, peers)
		in, any := w.incident()
		if !any {
			t.Fatal("no incident")
		}
		refused(tell("INC-unknown", incident.EvClose), "it has ended")
		refused(tell(in.ID, incident.EvSucceeded), "persons don't say SUCCEEDED")
		peers[0].dead = true
		if err := tell(in.ID, incident.EvEscalate); err != nil {
			t.Errorf("a standby was told that takes over: %v", err)
		}
		if in, _ = w.incident(); in.State != incident.Escalated {
			t.Errorf("the incident is %s", in.State)
		}
		said, err := w.store.Audit(w.t.Context(), store.AuditFilter{Kind: "incident.escalate", Subject: in.ID}, 0, 10)
		if err != nil || len(said) != 1 || said[0].Actor != "ann" {
			t.Errorf("the record says %+v, %v", said, err)
		}
		refused(tell(in.ID, incident.EvEscalate), "a person has been called already")
	})
}

// TestNobodyIsTold: where nobody heals a person hears so, and what was wanted is not done later.
func TestNobodyIsTold(t *testing.T) {
	crew(t, []string{"a"}, func(w *world, peers []*peer) {
		if err := peers[0].agent.Tell(w.t.Context(), "i", incident.EvRetry, "ann", "now"); !errors.Is(err, ErrIdle) {
			t.Errorf("told nobody: %v", err)
		}
		if list, err := w.store.IncidentRequests(w.t.Context()); err != nil || len(list) > 0 {
			t.Errorf("left behind: %+v, %v", list, err)
		}
	})
}

// TestReportsOfOneMonitorOnly: of two that report, only the present holder of monitoring's lease is believed.
func TestReportsOfOneMonitorOnly(t *testing.T) {
	crew(t, []string{"a"}, func(w *world, peers []*peer) {
		for holder := range 2 {
			l, err := w.store.AcquireLease(w.t.Context(), store.LeaseMonitoring, fmt.Sprint(holder), 1, time.Microsecond)
			if err != nil {
				w.t.Fatal(err)
			}
			w.epoch = l.Epoch
			time.Sleep(time.Millisecond)
		}
		w.breakModel(true)
		for _, epoch := range []int64{1, 3} { // one that is over, one that nobody has yet
			w.epoch = epoch
			w.passAll(5*time.Second, peers)
			if _, any := w.incident(); any {
				w.t.Fatalf("a report of epoch %d opened an incident; the lease is at 2", epoch)
			}
		}
		w.epoch = 2
		w.passAll(5*time.Second, peers)
		if w.mode() != store.ModeSafe {
			w.t.Error("reports of who monitors are not believed")
		}
	})
}

// TestStoppedAnywhere stops and resumes processes at any point between two steps, any number of times: each action takes
// effect at most once, nobody is called twice for one thing, no two heal at one time, and in the end all is healed.
func TestStoppedAnywhere(t *testing.T) {
	worlds := 40
	if testing.Short() {
		worlds = 4
	}
	for i := range worlds {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(i), 5))
			crew(t, []string{"a", "b"}, func(w *world, peers []*peer) {
				if i%2 == 0 { // a person is called for each request, and approves it
					w.govern = func(w *world, r store.PolicyRequest) {
						if r.Status == store.RequestEscalated && w.clock().Sub(r.CreatedAt) > 4*time.Second {
							w.approve(r, w.envelope(r, nil))
							return
						}
						d := store.PolicyDecision{RequestID: r.ID, Verdict: store.AGLEscalated, Rule: "supervised", By: "governance", DecidedAt: w.clock(), ExpiresAt: r.ExpiresAt}
						_, _ = w.store.DecideRequest(w.t.Context(), d) // the second one is refused
					}
				}
				w.passAll(time.Second, peers)
				w.breakModel(true)
				for range 2 + r.IntN(4) {
					p := peers[r.IntN(2)]
					if p.stopped() {
						p.resume()
					} else {
						p.stop(r.IntN(25))
					}
					if r.IntN(4) == 0 {
						w.breakModel(!w.fault)
					}
					w.passAll(time.Duration(1+r.IntN(28))*250*time.Millisecond, peers)
				}
				for _, p := range peers {
					p.resume()
				}
				w.breakModel(false)
				w.passAll(45*time.Second, peers)
				w.modeChanges() // each effective once
				if twice := w.twice(); len(twice) > 0 {
					w.t.Errorf("a person was called twice for %v", twice)
				}
				in, any := w.incident()
				if w.mode() != store.ModeModel || any && !in.State.Final() {
					w.t.Errorf("in the end the mode is %s, the incident %s (%s): %s", w.mode(), in.State, in.Escalation, in.Reason)
					for _, e := range in.Timeline {
						w.t.Logf("%s %s -> %s %s: %s", e.At.Format("05.000"), e.From, e.State, e.Action, e.Text)
					}
				}
			})
		})
	}
}

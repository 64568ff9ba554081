package app_test

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"aura/agents"
	"aura/agents/bus"
	"aura/agents/event"
	"aura/agents/fault"
	"aura/app/config"
)

// TestClockSetBack sets the wall clock back, and forward, between the acceptance of applications and their loss on the
// bus: they are swept when their time has come on the monotonic clock all the same, decisions are not older than their
// applications, and a fault ends in its time.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	for name, jump := range map[string]time.Duration{"back": -time.Hour, "forward": time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			r := prepare(t, dir, func(c *config.Config) { c.Bus.LaneCapacity, c.Sweep.MinAge = 1, 500*time.Millisecond })
			var offset atomic.Int64
			r.parts.Intake.Now = func() time.Time {
				return time.Now().Add(time.Duration(offset.Load())).UTC().Truncate(time.Microsecond)
			}
			r.begin()
			r.decide("before")
			if _, err := r.parts.Faults.Inject(fault.Fault{Target: "decision", Kind: fault.Latency, Delay: time.Millisecond, Share: 1, TTL: time.Second}); err != nil {
				t.Fatal(err)
			}
			hang := r.inject(fault.Fault{Target: "feature", Kind: fault.Hang})
			box := r.parts.Supervisor.Mailbox("feature", event.RawEvents)
			box.SetOverflow(bus.DropOldest)
			if jump > 0 {
				offset.Store(int64(jump)) // the applications are accepted an hour ahead of all others' clock
			}
			ids := r.accept("lost", 60)
			offset.Store(int64(min(jump, 0)))
			if box.Dropped() < 20 {
				t.Fatalf("only %d were lost on the bus: the test is not what it says", box.Dropped())
			}
			if err := r.parts.Faults.Remove(hang); err != nil {
				t.Fatal(err)
			}
			box.SetOverflow(bus.Block)
			r.revive("feature")
			r.decided(15*time.Second, ids...)
			if n := r.count(`SELECT COUNT(*) FROM decisions d JOIN applications a ON a.id = d.id
				WHERE d.decided_at < a.accepted_at OR d.latency_us < 0`); n > 0 {
				t.Errorf("%d decisions are older than their applications", n)
			}
			until(t, 5*time.Second, "the fault's end", func() string {
				if l := r.parts.Faults.List(); len(l) > 0 {
					return fmt.Sprintf("%+v", l)
				}
				return ""
			})
			r.stop()
			checkBook(t, dir, newBook())
		})
	}
}

// revive sees to it that an agent whose hang is over runs, as a person would.
func (r *running) revive(agent string) {
	r.t.Helper()
	until(r.t, 10*time.Second, agent+"'s return", func() string {
		s := r.status(agent)
		if s.State == agents.Quarantined && s.Zombies == 0 {
			r.must(http.StatusOK, http.MethodPost, "agents/"+agent+"/restart", map[string]string{"reason": "the hang is over"}, nil)
		}
		if s.State != agents.Running && s.State != agents.Slow {
			return string(s.State)
		}
		return ""
	})
}

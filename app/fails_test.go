package app

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"aura/agents"
	"aura/agents/fault"
	"aura/healing/incident"
)

// TestAModelThatFailsIsHealedBySafeMode: a share of the model agent's work fails, and no restart helps. Safe mode does, since
// it goes round the agent: that is a healing, nobody is called, and the model is back soon after the fault's end.
func TestAModelThatFailsIsHealedBySafeMode(t *testing.T) {
	t.Parallel()
	for _, share := range []float64{0.6, 0.8, 1} {
		t.Run(fmt.Sprint(share), func(t *testing.T) {
			t.Parallel()
			virtually(t, nil, func(w *world) {
				time.Sleep(15 * time.Second)
				w.inject(fault.Fault{Target: "model", Kind: fault.Error, Share: share, TTL: time.Minute})
				time.Sleep(time.Minute)
				list := w.incidents()
				if len(list) != 1 || list[0].State != incident.Degraded || list[0].ResolvedAt.Sub(list[0].DetectedAt) > 20*time.Second {
					t.Errorf("under the fault\n%s", story(list, w.begun))
				}
				w.waitFor(modelBackWithin, func() bool { return len(w.inCharge()) == 0 && w.incidents()[0].State == incident.Resolved })
				list = w.incidents()
				if did := called(list); len(did) > 0 || len(list) != 1 || list[0].State != incident.Resolved {
					t.Errorf("%v\n%s", did, story(list, w.begun))
				}
				for _, problem := range append(w.sound(), w.inCharge()...) {
					t.Error(problem)
				}
			})
		})
	}
}

// TestWhoDiesWhileNobodyWatches: the model agent dies with monitoring. Where that is back at once the loop heals as ever;
// where it keeps dying, the supervisor restarts who died, once, and nobody waits for a loop that hears nothing.
func TestWhoDiesWhileNobodyWatches(t *testing.T) {
	t.Parallel()
	for times, want := range map[int]string{1: "RESTART_AGENT of AGENT_DOWN:model", 0: ""} {
		t.Run(fmt.Sprint(times), func(t *testing.T) {
			t.Parallel()
			virtually(t, nil, func(w *world) {
				time.Sleep(15 * time.Second)
				w.inject(fault.Fault{Target: "monitoring", Kind: fault.Crash, Share: 1, TTL: time.Minute, Times: times})
				w.waitFor(time.Second, func() bool { return w.life("monitoring") > 1 })
				w.inject(fault.Fault{Target: "model", Kind: fault.Crash, Share: 1, TTL: time.Minute, Times: 1})
				if !w.waitFor(5*time.Second, func() bool { return w.life("model") > 1 }) {
					t.Errorf("the model agent stays dead\n%s", story(w.incidents(), w.begun))
				}
				time.Sleep(time.Minute)
				if got := strings.Join(executed(w.incidents()), ", "); got != want || w.life("model") != 2 {
					t.Errorf("done: %q, want %q; the model agent is in life %d\n%s", got, want, w.life("model"), story(w.incidents(), w.begun))
				}
				for _, problem := range append(w.sound(), w.inCharge()...) {
					t.Error(problem)
				}
			})
		})
	}
}

// life is the number of an agent's present life.
func (w *world) life(agent string) int64 {
	for _, s := range w.parts.Supervisor.Statuses() {
		if s.Agent == agent && (s.State == agents.Running || s.State == agents.Slow) {
			return s.Incarnation
		}
	}
	return 0
}

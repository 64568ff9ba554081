package app

import (
	"strings"
	"testing"
	"time"

	"aura/agents/fault"
	"aura/app/config"
	"aura/healing/incident"
	"aura/store"
)

// TestADryRunChangesNothing: the whole loop up to the execution is real and recorded; nothing is executed, and the
// supervisor goes on restarting what dies, as nobody else will.
func TestADryRunChangesNothing(t *testing.T) {
	t.Parallel()
	a := healed(t, func(c *config.Config) { c.Healing.DryRun = true })
	ctx := t.Context()
	before, err := a.parts.Store.ConfigHistory(ctx, 100, 0)
	if err != nil {
		t.Fatal(err)
	}
	inject(t, a, fault.Fault{Target: "model", Kind: fault.Latency, Delay: 2 * time.Second, Share: 1, TTL: time.Minute})
	in := await(t, a, incident.Observed)
	act := in.Actions[0]
	if act.Type != incident.EnableSafeMode || act.AGL != incident.AGLApproved || act.Rule != "demo" || act.Result != incident.DryRunResult || !act.ExecutedAt.IsZero() {
		t.Errorf("%+v", act)
	}
	if a.parts.View.Current().Mode != "MODEL" || in.Degraded {
		t.Errorf("mode %s, degraded %v", a.parts.View.Current().Mode, in.Degraded)
	}
	a.parts.Faults.Clear()
	in = await(t, a, incident.Cancelled)
	if !strings.Contains(in.Reason, "by itself") {
		t.Errorf("%s", in.Reason)
	}
	inject(t, a, fault.Fault{Target: "model", Kind: fault.Crash, Share: 1, TTL: time.Minute, Times: 1})
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		i := 0
		for _, s := range a.parts.Supervisor.Statuses() {
			if s.Agent == "model" {
				i = int(s.Incarnation)
			}
		}
		if i > 1 {
			break
		}
		if time.Since(began) > 20*time.Second {
			t.Fatal("nobody restarted the agent")
		}
	}
	rows, err := a.parts.Store.Actions(ctx, store.ActionFilter{}, "", 50)
	if err != nil || len(rows) == 0 {
		t.Fatal(len(rows), err)
	}
	for _, r := range rows {
		if !r.ExecutedAt.IsZero() {
			t.Errorf("%s %s was executed", r.ID, r.Type)
		}
	}
	after, err := a.parts.Store.ConfigHistory(ctx, 100, 0)
	if err != nil || len(after) != len(before) {
		t.Errorf("%d changes of desired state instead of %d, %v", len(after), len(before), err)
	}
}

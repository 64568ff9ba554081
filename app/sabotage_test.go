package app

import (
	"database/sql"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"aura/agents"
	"aura/agents/fault"
	"aura/app/config"
	"aura/healing/incident"
	"aura/healing/policy"
	"aura/mlops/registry"
	"aura/store"
)

// long is a test that waits for long, in real time: .ci/run kill.
func long(t *testing.T) {
	t.Helper()
	if os.Getenv("AURA_KILLS") == "" {
		t.Skip("it waits for long; .ci/run kill runs it, or AURA_KILLS=1")
	}
}

// sabotaged is the whole process in fake time, once it is known to be well.
func sabotaged(t *testing.T, change func(*config.Config), do func(t *testing.T, a *App)) {
	t.Helper()
	virtually(t, change, func(w *world) {
		awaitSignal(w.t, w.App, "LATENCY_SLO_BREACH", "service", "HEALTHY")
		awaitSignal(w.t, w.App, "AGENT_DOWN", "model", "HEALTHY")
		do(w.t, w.App)
	})
}

// TestTheHealersFailToo: monitoring, governance and the healing agent itself crash, or hang, in the middle of a healing.
// The supervisor gives each its next life, the healing goes on, and each change is made once.
func TestTheHealersFailToo(t *testing.T) {
	t.Parallel()
	for _, kind := range []fault.Kind{fault.Crash, fault.Hang} {
		t.Run(string(kind), func(t *testing.T) {
			if kind == fault.Hang {
				long(t)
			}
			t.Parallel()
			a := healed(t, nil)
			inject(t, a, fault.Fault{Target: "model", Kind: fault.Latency, Delay: 2 * time.Second, Share: 1, TTL: 2 * time.Minute})
			for _, agent := range []string{"healing", "monitoring", "governance"} { // at once: the first of them is dead when it is needed
				inject(t, a, fault.Fault{Target: agent, Kind: kind, Share: 1, TTL: time.Minute, Times: 1})
			}
			await(t, a, incident.Degraded)
			for _, agent := range []string{"monitoring", "healing", "governance"} {
				inject(t, a, fault.Fault{Target: agent, Kind: kind, Share: 1, TTL: time.Minute, Times: 1})
			}
			stopFaults(t, a, "model")
			in := await(t, a, incident.Resolved)
			if a.parts.View.Current().Mode != "MODEL" || in.Degraded {
				t.Errorf("mode %s, degraded %v", a.parts.View.Current().Mode, in.Degraded)
			}
			lives := map[string]int64{}
			for _, s := range a.parts.Supervisor.Statuses() {
				lives[s.Agent] = s.Incarnation
			}
			if lives["healing"] < 3 || lives["monitoring"] < 3 || lives["governance"] < 3 {
				t.Errorf("lives %v: the test is not what it says", lives)
			}
			if changed := changesByActions(t, a); strings.Join(changed, " ") != "mode=SAFE_MODE mode=MODEL" {
				t.Errorf("changes %v", changed)
			}
		})
	}
}

func stopFaults(t *testing.T, a *App, target string) {
	t.Helper()
	for _, f := range a.parts.Faults.List() {
		if f.Target == target {
			if err := a.parts.Faults.Remove(f.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// changesByActions are the changes of desired state that actions made, oldest first; no action may have made two.
func changesByActions(t *testing.T, a *App) (out []string) {
	t.Helper()
	rows, err := a.parts.Store.ConfigHistory(t.Context(), 1000, 0)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for i := len(rows) - 1; i >= 0; i-- {
		c := rows[i]
		if c.ActionID == "" {
			continue
		}
		if seen[c.ActionID] {
			t.Errorf("action %s took effect twice", c.ActionID)
		}
		seen[c.ActionID] = true
		out = append(out, c.Setting.Setting+"="+c.Value)
	}
	return out
}

// decides fails unless applications that come now are decided, in a mode.
func decides(t *testing.T, a *App, mode string) {
	t.Helper()
	for began := time.Now(); time.Since(began) < 20*time.Second; time.Sleep(50 * time.Millisecond) {
		rows, err := a.parts.Store.RecentDecisions(t.Context(), 50, "")
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, d := range rows {
			if d.AcceptedAt.After(began) && string(d.Mode) == mode {
				n++
			}
		}
		if n >= 10 {
			return
		}
	}
	t.Errorf("nothing that comes now is decided in %s", mode)
}

// TestACrashLoopEnds: an agent that dies each time it lives is not restarted for ever. The model agent's loop ends in safe
// mode, where decisions go on; another one's ends with a person.
func TestACrashLoopEnds(t *testing.T) {
	t.Parallel()
	sabotaged(t, nil, func(t *testing.T, a *App) {
		inject(t, a, fault.Fault{Target: "model", Kind: fault.Crash, Share: 1, TTL: 2 * time.Minute, Times: 0})
		for began := time.Now(); a.parts.View.Current().Mode != "SAFE_MODE"; time.Sleep(20 * time.Millisecond) {
			if time.Since(began) > time.Minute {
				t.Fatalf("never in safe mode; %v", changesByActions(t, a))
			}
		}
		decides(t, a, "SAFE_MODE")
		time.Sleep(3 * time.Second) // restarts may not go on
		restarts := 0
		for _, c := range changesByActions(t, a) {
			if strings.HasPrefix(c, store.AgentSetting("model", "")) {
				restarts++
			}
		}
		if restarts == 0 || restarts > 3 {
			t.Errorf("%d restarts", restarts)
		}
	})
}

// TestACrashLoopOfAnotherAgentEndsWithAPerson: safe mode doesn't help where the feature agent dies.
func TestACrashLoopOfAnotherAgentEndsWithAPerson(t *testing.T) {
	t.Parallel()
	sabotaged(t, nil, func(t *testing.T, a *App) {
		inject(t, a, fault.Fault{Target: "feature", Kind: fault.Crash, Share: 1, TTL: 2 * time.Minute, Times: 0})
		in := await(t, a, incident.Escalated)
		if in.Kind != incident.AgentDown || in.Target != "feature" || len(a.parts.Healer.calls.recent()) == 0 {
			t.Errorf("%s %s, %d calls", in.Kind, in.Target, len(a.parts.Healer.calls.recent()))
		}
		if in.EnteredAt.Sub(in.DetectedAt) > time.Minute || !strings.Contains(in.Reason, "aura agent restart feature") {
			t.Errorf("called after %v: %s", in.EnteredAt.Sub(in.DetectedAt), in.Reason)
		}
		before := len(changesByActions(t, a))
		time.Sleep(5 * time.Second) // restarts may not go on
		if after := len(changesByActions(t, a)); after != before || after > 4 {
			t.Errorf("%d changes when a person was called, %d later", before, after)
		}
		a.parts.Faults.Clear()
	})
}

// TestAnAgentThatCrashesForAWhileIsHealed: three crashes within a second, or crashes for twenty, use up what is tried at once;
// the restarts that wait come when it is over, and nobody is called.
func TestAnAgentThatCrashesForAWhileIsHealed(t *testing.T) {
	for name, f := range map[string]fault.Fault{
		"three times": {Target: "decision", Kind: fault.Crash, Share: 1, TTL: time.Minute, Times: 3},
		"20 s":        {Target: "feature", Kind: fault.Crash, Share: 1, TTL: 20 * time.Second, Times: 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sabotaged(t, nil, func(t *testing.T, a *App) {
				inject(t, a, f)
				in := await(t, a, incident.Resolved)
				if in.Kind != incident.AgentDown || in.Escalations != 0 || in.SelfRecovered || in.ResolvedAt.Sub(in.DetectedAt) > time.Minute {
					t.Errorf("%s %s after %v: %s", in.Kind, in.Target, in.ResolvedAt.Sub(in.DetectedAt), in.Reason)
				}
				decides(t, a, "MODEL")
			})
		})
	}
}

// TestALateFeatureAgentLeavesSafeMode: safe mode can't help, for it needs features too. It is undone, the next rung runs,
// and when that doesn't help either a person is called, in MODEL mode.
func TestALateFeatureAgentLeavesSafeMode(t *testing.T) {
	t.Parallel()
	sabotaged(t, nil, func(t *testing.T, a *App) {
		inject(t, a, fault.Fault{Target: "feature", Kind: fault.Latency, Delay: 800 * time.Millisecond, Share: 1, TTL: 2 * time.Minute})
		in := await(t, a, incident.Escalated)
		if a.parts.View.Current().Mode != "MODEL" || in.Degraded || !in.ResolvedAt.IsZero() {
			t.Errorf("mode %s, degraded %v, resolved %v", a.parts.View.Current().Mode, in.Degraded, in.ResolvedAt)
		}
		if in.Actions[0].Type != incident.EnableSafeMode || in.Actions[0].Result != incident.Undone || len(in.Actions) < 2 {
			t.Errorf("%+v", in.Actions)
		}
		a.parts.Faults.Clear()
		decides(t, a, "MODEL")
	})
}

// TestADamagedRollbackTarget: the version that was in charge before can't be loaded any more. Going back is refused and
// recorded, the next rung runs, and decisions go on.
func TestADamagedRollbackTarget(t *testing.T) {
	t.Parallel()
	sabotaged(t, func(c *config.Config) { c.Simulate.OutcomeDelay = time.Second }, func(t *testing.T, a *App) {
		inject(t, a, fault.Fault{Target: "model", Kind: fault.BadModel, Share: 1, TTL: 5 * time.Minute})
		aliases, err := a.parts.Registry.Aliases(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		v, err := a.parts.Registry.Version(t.Context(), aliases[registry.Previous])
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(filepath.Join(a.cfg.Data.Dir, v.File), 100); err != nil {
			t.Fatal(err)
		}
		for began := time.Now(); a.parts.View.Current().Mode != "SAFE_MODE"; time.Sleep(20 * time.Millisecond) {
			if time.Since(began) > time.Minute {
				t.Fatal("the next rung never ran")
			}
		}
		rows, err := a.parts.Store.Incidents(t.Context(), store.IncidentFilter{}, "", 1)
		if err != nil || len(rows) != 1 {
			t.Fatal(err)
		}
		var in incident.Incident
		if err := json.Unmarshal(rows[0].Document, &in); err != nil {
			t.Fatal(err)
		}
		if first := in.Actions[0]; first.Type != incident.RollbackModel || first.Result != incident.Refused || first.Reason == "" {
			t.Errorf("%s %s: %s", first.Type, first.Result, first.Reason)
		}
		decides(t, a, "SAFE_MODE")
	})
}

// TestAnEditedRowExecutesNothing: whoever writes APPROVED into the database of the running process gets nothing for it.
func TestAnEditedRowExecutesNothing(t *testing.T) {
	t.Parallel()
	a := healed(t, func(c *config.Config) { c.Governance.Profile = policy.Supervised })
	inject(t, a, fault.Fault{Target: "model", Kind: fault.Crash, Share: 1, TTL: time.Minute, Times: 1})
	in := await(t, a, incident.AwaitingApproval)
	db, err := sql.Open("sqlite", "file:"+filepath.Join(a.cfg.Data.Dir, "aura.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range []string{
		`UPDATE policy_requests SET status = 'APPROVED'`,
		`UPDATE healing_actions SET agl_decision = 'APPROVED', executed_at = proposed_at`,
		`INSERT INTO policy_decisions (request_id, incident_id, action_id, verdict, rule, reason, decided_by, inputs, envelope, decided_at, expires_at)
			SELECT request_id, incident_id, action_id, 'APPROVED', 'person', 'yes', 'ann', inputs, '{"envelope":{}}', decided_at + 1, expires_at FROM policy_decisions LIMIT 1`,
	} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	until := time.Now().Add(4 * time.Second)
	for time.Now().Before(until) {
		for _, s := range a.parts.Supervisor.Statuses() {
			if s.Agent == "model" && (s.Incarnation != 1 || s.State != agents.Crashed) {
				t.Fatalf("the model agent is %s in life %d by an edited row", s.State, s.Incarnation)
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	if _, err := a.parts.Store.Executed(t.Context(), in.Actions[0].ID); err == nil {
		t.Error("it is recorded as executed")
	}
}

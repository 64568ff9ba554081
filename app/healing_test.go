package app

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"aura/agents/fault"
	"aura/app/config"
	"aura/healing/incident"
	"aura/healing/policy"
	"aura/store"
)

// healed runs the whole process under the simulator, with its healer.
func healed(t *testing.T, change func(*config.Config)) *App {
	t.Helper()
	cfg := config.Default()
	cfg.Data.Dir, cfg.HTTP.Addr = t.TempDir(), "127.0.0.1:0"
	cfg.Training.Rows, cfg.Training.Trees = 2000, 20
	if change != nil {
		change(&cfg)
	}
	a, err := New(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	awaitSignal(t, a, "LATENCY_SLO_BREACH", "service", "HEALTHY")
	awaitSignal(t, a, "AGENT_DOWN", "model", "HEALTHY")
	return a
}

// await waits in real time, as the process is real, until the newest incident is in a state.
func await(t *testing.T, a *App, want incident.State) incident.Incident {
	t.Helper()
	var in incident.Incident
	for began := time.Now(); time.Since(began) < 60*time.Second; time.Sleep(20 * time.Millisecond) {
		rows, err := a.parts.Store.Incidents(t.Context(), store.IncidentFilter{}, "", 1)
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) == 0 {
			continue
		}
		in = incident.Incident{}
		if err := json.Unmarshal(rows[0].Document, &in); err != nil {
			t.Fatal(err)
		}
		if in.State == want {
			return in
		}
	}
	for _, e := range in.Timeline {
		t.Logf("%s %s -> %s %s: %s", e.At.Format("05.000"), e.From, e.State, e.Action, e.Text)
	}
	t.Fatalf("the incident was never %s", want)
	return in
}

// TestALateModelIsHealed: for real, from the injected latency to safe mode, and back when it has gone.
func TestALateModelIsHealed(t *testing.T) {
	t.Parallel()
	a := healed(t, nil)
	inject(t, a, fault.Fault{Target: "model", Kind: fault.Latency, Delay: 2 * time.Second, Share: 1, TTL: time.Minute})
	in := await(t, a, incident.Degraded)
	if in.Kind != incident.LatencySLOBreach || a.parts.View.Current().Mode != "SAFE_MODE" {
		t.Errorf("%s, mode %s", in.Kind, a.parts.View.Current().Mode)
	}
	a.parts.Faults.Clear()
	in = await(t, a, incident.Resolved)
	if a.parts.View.Current().Mode != "MODEL" || in.Degraded || in.RestoredAt.IsZero() {
		t.Errorf("mode %s, degraded %v", a.parts.View.Current().Mode, in.Degraded)
	}
	report, err := a.parts.Store.VerifyAudit(t.Context())
	if err != nil || report.Broken != 0 {
		t.Errorf("audit: %+v, %v", report, err)
	}
}

// TestASupervisedRestartWaitsForAPerson: a dead agent stays dead until somebody who may says yes, and then lives.
func TestASupervisedRestartWaitsForAPerson(t *testing.T) {
	t.Parallel()
	a := healed(t, func(c *config.Config) { c.Governance.Profile = policy.Supervised })
	inject(t, a, fault.Fault{Target: "model", Kind: fault.Crash, Share: 1, TTL: time.Minute, Times: 1})
	in := await(t, a, incident.AwaitingApproval)
	time.Sleep(time.Second) // real time: nobody may have done it meanwhile
	for _, s := range a.parts.Supervisor.Statuses() {
		if s.Agent == "model" && s.Incarnation != 1 {
			t.Fatalf("the model agent is in life %d without anybody's yes", s.Incarnation)
		}
	}
	if calls := a.parts.Healer.calls.recent(); len(calls) != 1 || calls[0].Why != incident.EscApproval || !strings.Contains(calls[0].Text, "RESTART_AGENT waits for a person's decision until ") {
		t.Errorf("whoever may decide was called %d times: %+v", len(calls), calls)
	}
	g := a.parts.Healer.governance
	if _, err := g.Decide(t.Context(), policy.LocalPrincipal(), in.Actions[0].RequestID, policy.Approved, "go"); err != nil {
		t.Fatal(err)
	}
	in = await(t, a, incident.Resolved)
	if in.Actions[0].Approver != "local" || in.Actions[0].Result != incident.Verified {
		t.Errorf("%+v", in.Actions[0])
	}
}

// TestOffOnlyWatches: the profile that denies everything leaves the mode alone; the supervisor restarts what dies.
func TestOffOnlyWatches(t *testing.T) {
	t.Parallel()
	a := healed(t, func(c *config.Config) { c.Governance.Profile = policy.Off })
	inject(t, a, fault.Fault{Target: "model", Kind: fault.Latency, Delay: 2 * time.Second, Share: 1, TTL: time.Minute})
	in := await(t, a, incident.Escalated)
	if a.parts.View.Current().Mode != "MODEL" || in.Actions[0].Result != incident.Denied || in.Actions[0].Rule != "off" {
		t.Errorf("mode %s, %+v", a.parts.View.Current().Mode, in.Actions[0])
	}
	n := 0 // called after the state was saved
	for began := time.Now(); n == 0 && time.Since(began) < 5*time.Second; time.Sleep(20 * time.Millisecond) {
		n = len(a.parts.Healer.calls.recent())
	}
	if n != 1 {
		t.Errorf("%d calls to a person", n)
	}
}

package app

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"aura/agents/fault"
	"aura/app/config"
	"aura/healing/detect"
)

// TestMonitoringSees runs the whole process under the simulator, breaks it for real, and waits for monitoring to say so,
// and to say that it is over.
func TestMonitoringSees(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	cfg.Data.Dir, cfg.HTTP.Addr = t.TempDir(), "127.0.0.1:0"
	cfg.Agents.Select = append(append([]string{}, pipeline...), "monitoring") // nobody heals: the fault stays in sight
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
	awaitSignal(t, a, detect.LatencyBreach, "service", detect.Healthy)
	awaitSignal(t, a, detect.AgentDown, "model", detect.Healthy)

	inject(t, a, fault.Fault{Target: "model", Kind: fault.Latency, Delay: 800 * time.Millisecond, Share: 1, TTL: time.Minute})
	awaitSignal(t, a, detect.LatencyBreach, "service", detect.Confirmed)
	a.parts.Faults.Clear()
	awaitSignal(t, a, detect.LatencyBreach, "service", detect.Healthy)

	inject(t, a, fault.Fault{Target: "decision", Kind: fault.Crash, Share: 1, TTL: time.Minute, Times: 1})
	awaitSignal(t, a, detect.AgentDown, "decision", detect.Healthy) // the supervisor is quicker than anybody's notice
}

func inject(t *testing.T, a *App, f fault.Fault) {
	t.Helper()
	if _, err := a.parts.Faults.Inject(f); err != nil {
		t.Fatal(err)
	}
}

// awaitSignal waits until monitoring's report shows the signal in the state.
func awaitSignal(t *testing.T, a *App, k detect.Kind, target string, want detect.State) {
	t.Helper()
	began := time.Now()
	var last detect.Signal
	for time.Since(began) < 20*time.Second {
		for _, s := range a.parts.Monitoring.Report().Signals {
			if s.Kind == k && s.Target == target {
				last = s
				if s.State == want {
					t.Logf("%s of %s is %s after %s (value %.3g, n %d)", k, target, want, time.Since(began).Round(time.Millisecond), s.Value, s.N)
					return
				}
			}
		}
		time.Sleep(10 * time.Millisecond) // real time: the process is real
	}
	t.Fatalf("%s of %s was never %s; last: %+v", k, target, want, last)
}

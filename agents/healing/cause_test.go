package healing

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"aura/agents/event"
	"aura/healing/detect"
	"aura/healing/incident"
	"aura/store"
)

// TestOnlyWhatBeganBeforeTakesOver: an agent that died before decisions were late is why they are; one that dies later is a
// fault of its own, whose incident leaves the other's as it is.
func TestOnlyWhatBeganBeforeTakesOver(t *testing.T) {
	for _, c := range []struct {
		name string
		dies time.Duration // after the decisions became late
		want []string
	}{
		{"just before", -time.Second, []string{"AGENT_DOWN:model"}},
		{"seen a little later", 900 * time.Millisecond, []string{"AGENT_DOWN:model"}},
		{"later", 2 * time.Second, []string{"AGENT_DOWN:model", "LATENCY_SLO_BREACH:service"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			run(t, func(w *world) {
				w.govern = func(*world, store.PolicyRequest) {}
				w.begin()
				late := time.Now().UTC()
				time.Sleep(5*time.Second + 500*time.Millisecond)
				latency := detect.Signal{
					Kind: detect.LatencyBreach, Target: detect.TargetService, State: detect.Confirmed, Onset: late, Since: late, Value: 2000, Threshold: 300,
					Window: time.Second,
				}
				w.say(latency)
				dead := detect.Signal{Kind: detect.AgentDown, Target: "model", State: detect.Confirmed, Onset: late.Add(c.dies), Since: time.Now().UTC()}
				w.say(latency, dead)
				w.say(latency, dead)
				rows, err := w.store.Incidents(w.t.Context(), store.IncidentFilter{}, "", 10)
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, r := range rows {
					var in incident.Incident
					if err := json.Unmarshal(r.Document, &in); err != nil {
						t.Fatal(err)
					}
					got = append(got, in.Fingerprint)
					if in.Kind == incident.AgentDown && len(c.want) == 2 && in.OnsetAt.Before(dead.Onset) {
						t.Errorf("it is said to have begun at %v, before it did", in.OnsetAt)
					}
				}
				if slices.Sort(got); !slices.Equal(got, c.want) {
					t.Errorf("incidents %v, want %v", got, c.want)
				}
			})
		})
	}
}

// say reports signals, ranked.
func (w *world) say(signals ...detect.Signal) {
	now := w.clock()
	r := detect.Report{At: now, Mode: string(store.ModeModel), Champion: 1, Signals: signals}
	r.Causes = detect.Rank(signals, detect.Scene{Now: now, Mode: r.Mode, Path: detect.DefaultPath})
	w.hand(&event.Alert{Kind: Heartbeat, Fingerprint: Heartbeat, At: now, Signal: encode(r)})
	time.Sleep(100 * time.Millisecond)
}

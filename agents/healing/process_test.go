package healing

import (
	"strings"
	"testing"
	"time"

	"aura/healing/detect"
	"aura/healing/incident"
	"aura/store"
)

// TestAProcessThatIsGone: a person is told once and nothing is done; when it is back, or forgotten, the incident is over.
func TestAProcessThatIsGone(t *testing.T) {
	run(t, func(w *world) {
		w.stage(&scene{kind: detect.AgentDown, target: detect.TargetProcess("p2"), cause: detect.AgentGone, ill: func(*world) bool { return true }})
		w.begin()
		w.breakModel(true)
		in := w.until(incident.Escalated, 5*time.Second)
		w.pass(3 * time.Minute)
		if len(in.Actions) > 0 || len(w.calls) != 1 || !strings.Contains(w.calls[0].Text, "process p2 is silent") {
			w.t.Errorf("%d actions, calls %+v", len(in.Actions), w.calls)
		}
		w.breakModel(false)
		in = w.until(incident.Cancelled, incident.Defaults().CalledDwell+5*time.Second)
		if len(in.Actions) > 0 || w.modeChanges() > 0 {
			w.t.Errorf("actions %+v", in.Actions)
		}
	})
}

// TestTheLastModelAgentIsGone: safe mode protects, no restart is tried, and the model decides again once it is back.
func TestTheLastModelAgentIsGone(t *testing.T) {
	run(t, func(w *world) {
		w.stage(&scene{kind: detect.AgentDown, target: "model", cause: detect.AgentGone, ill: func(*world) bool { return true }})
		w.begin()
		w.breakModel(true)
		in := w.until(incident.Escalated, 30*time.Second)
		if w.mode() != store.ModeSafe {
			w.t.Errorf("the mode is %s", w.mode())
		}
		for _, a := range in.Actions {
			if a.Type == incident.RestartAgent && a.Result != incident.Refused {
				w.t.Errorf("%s of what is gone: %s", a.Type, a.Result)
			}
		}
		if len(w.calls) == 0 || !strings.Contains(w.calls[0].Text, "start a process with the agent model") {
			w.t.Errorf("calls: %+v", w.calls)
		}
		w.breakModel(false)
		w.until(incident.Resolved, 30*time.Second)
		if w.mode() != store.ModeModel {
			w.t.Errorf("in the end the mode is %s", w.mode())
		}
	})
}

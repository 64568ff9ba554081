package healing

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"aura/healing/detect"
	"aura/healing/incident"
)

// patient is a trainer that waits for outcomes until it is told to stop.
type patient struct{ stopped chan error }

func (p *patient) Retrain(ctx context.Context, t Training) (Trained, error) {
	t.Tell("120 of 500 outcomes")
	<-ctx.Done()
	p.stopped <- ctx.Err()
	return Trained{}, &Refused{Reason: "nobody shall read this"}
}

// TestATrainingIsCalledOff: an accuracy that comes back by itself while a model is trained ends the incident at once, and the
// training with it. Meanwhile the rows tell how far the training is.
func TestATrainingIsCalledOff(t *testing.T) {
	run(t, func(w *world) {
		w.stage(&scene{kind: detect.PerfDrop, target: detect.TargetService, ill: func(*world) bool { return true }})
		trainer := &patient{make(chan error, 1)}
		w.targets.Trainer = trainer
		w.begin()
		w.breakModel(true)
		in := w.until(incident.Executing, 10*time.Second)
		for in.Actions[len(in.Actions)-1].Type != incident.TriggerRetraining {
			w.pass(250 * time.Millisecond)
			in, _ = w.incident()
		}
		w.pass(10 * time.Second)
		in, _ = w.incident()
		row, err := w.store.Action(w.t.Context(), in.CurrentID)
		if in.State != incident.Executing || err != nil || !strings.Contains(string(row.Document), "120 of 500 outcomes") {
			w.t.Errorf("%s, %s, %v", in.State, row.Document, err)
		}
		w.breakModel(false)
		w.pass(5 * time.Second)
		select {
		case err := <-trainer.stopped:
			if err != context.Canceled {
				w.t.Errorf("stopped by %v", err)
			}
		default:
			w.t.Fatal("it trains still")
		}
		in = w.until(incident.Resolved, 30*time.Second)
		i := slices.IndexFunc(in.Actions, func(a incident.Action) bool { return a.Type == incident.TriggerRetraining })
		if a := in.Actions[i]; a.Result != incident.Withdrawn || !strings.Contains(a.Reason, "by itself") || !in.SelfRecovered {
			w.t.Errorf("%+v, by itself %v", a, in.SelfRecovered)
		}
		if len(w.calls) > 0 || w.champion() != 2 {
			w.t.Errorf("calls %+v, champion %d", w.calls, w.champion())
		}
	})
}

package incident

import (
	"encoding/json"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var randomLadders = map[string][]Rung{
	LatencySLOBreach: latencyLadder(),
	PerfDrop: {
		{Action: RollbackModel, Requires: []string{"previous_better"}, Verification: "signal"},
		{Action: EnableSafeMode, Verification: "signal", Protect: true},
		{Action: TriggerRetraining, Verification: "signal", Then: map[string][]string{"promote": {PromoteModel}}},
	},
	DataDrift: {
		{Action: RestoreReference, Requires: []string{FactEarlierReference}, Verification: "reference"},
		{Action: TriggerRetraining, Verification: "reference", Then: map[string][]string{"promote": {PromoteModel, AcceptReference}, "keep": {AcceptReference}}},
	},
	AgentDown: {
		{Action: RestartAgent, Verification: "agent", Dwell: time.Second},
		{Action: EnableSafeMode, Verification: "signal", Protect: true},
		{Action: RestartAgent, Verification: "agent"},
	},
	BusDown: nil,
}

var signalStates = []SignalState{Healthy, Healthy, Suspect, Confirmed, Confirmed, Confirmed, Unknown, Warming}

// TestRandomLives: whatever comes, in whatever order, doubled, lost, late or over crashes between any two steps, the
// invariants of world hold, and when the noise stops the incident comes to an end.
func TestRandomLives(t *testing.T) {
	reached := map[State]int{}
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t.Fatalf)
		chance := func(percent int) bool { return rapid.IntRange(0, 99).Draw(t, "chance") < percent }
		w.answer = func(w *world, fx Effect) []Event { return randomAnswer(t, w, fx, chance) }
		kind := rapid.SampledFrom([]string{LatencySLOBreach, PerfDrop, DataDrift, AgentDown, BusDown}).Draw(t, "kind")
		w.open(kind, rapid.SampledFrom([]SignalState{Suspect, Confirmed, Confirmed}).Draw(t, "first"), randomLadders[kind], Settings{})
		var old []Event
		for range rapid.IntRange(5, 120).Draw(t, "steps") {
			w.now = w.now.Add(time.Duration(rapid.SampledFrom([]int{0, 1, 100, 500, 1000, 2000, 5000, 40_000, 700_000}).Draw(t, "ms")) * time.Millisecond)
			reached[w.in.State]++
			switch what := rapid.IntRange(0, 99).Draw(t, "what"); {
			case what < 30:
				w.perform(rapid.IntRange(1, 4).Draw(t, "effects"))
			case what < 55 && len(w.inbox) > 0:
				i := rapid.IntRange(0, len(w.inbox)-1).Draw(t, "which")
				ev := w.inbox[i]
				if !chance(15) { // else it will come a second time
					w.inbox = append(w.inbox[:i:i], w.inbox[i+1:]...)
				}
				old = append(old, ev)
				w.step(ev)
			case what < 60:
				w.crash()
			case what < 64 && len(old) > 0:
				w.step(rapid.SampledFrom(old).Draw(t, "old")) // long past
			default:
				w.step(randomEvent(t, w, chance))
			}
		}
		comesToAnEnd(t, w)
	})
	for _, s := range Graph().States {
		if reached[s] == 0 && s != Failed {
			t.Logf("never seen during the noise: %s", s)
		}
	}
}

func randomEvent(t *rapid.T, w *world, chance func(int) bool) Event {
	busy := ""
	if chance(10) {
		busy = "i2"
	}
	state := rapid.SampledFrom(signalStates).Draw(t, "state")
	at := w.now.Add(-time.Duration(rapid.SampledFrom([]int{0, 0, 0, 1, 10}).Draw(t, "age")) * time.Second)
	switch what := rapid.IntRange(0, 99).Draw(t, "event"); {
	case what < 40:
		s := w.signal(w.in.Kind, state)
		s.Fingerprint, s.ObservedAt = w.in.Fingerprint, at
		s.WindowFrom = at.Add(-time.Duration(rapid.IntRange(0, 3).Draw(t, "window")) * time.Second)
		s.Facts = map[string]bool{"previous_better": chance(50), FactEarlierReference: chance(20)}
		if chance(3) {
			s.DataBug = "unit"
		}
		return Event{Type: EvSignal, Signal: &s, Busy: busy}
	case what < 55:
		return Event{Type: EvShadow, Shadow: &Shadow{State: state, N: 5, ObservedAt: at}, Busy: busy}
	case what < 75 && w.in.CurrentID != "":
		v := Verdict{State: state, N: int64(rapid.IntRange(0, 50).Draw(t, "n")), From: at, ObservedAt: at}
		if chance(5) {
			v.Worse = "DATA_DRIFT"
		}
		return Event{Type: EvVerdict, ActionID: w.in.CurrentID, Verdict: &v}
	case what < 77:
		return Event{Type: EvPause}
	case what < 80:
		return Event{Type: EvResume}
	case what < 82:
		return Event{Type: EvDryRun, On: chance(40)}
	case what < 84:
		return Event{Type: EvPerson, Setting: rapid.SampledFrom([]string{"mode", "champion", "reference", "agent:decisions"}).Draw(t, "setting"), Value: "MODEL", By: "eva"}
	case what < 86:
		s := w.signal(AgentDown, Confirmed)
		s.Target, s.Fingerprint = "model", "AGENT_DOWN/model"
		return Event{Type: EvTakeOver, TakeOver: &TakeOver{Signal: s, Ladder: randomLadders[AgentDown]}}
	case what < 87:
		return Event{Type: EvEscalate, By: "eva", Reason: "curious"}
	case what < 88:
		return Event{Type: EvRetry, By: "eva"}
	default:
		return Event{Type: EvTick, Busy: busy}
	}
}

func randomAnswer(t *rapid.T, w *world, fx Effect, chance func(int) bool) []Event {
	if chance(15) {
		return nil // lost, or for ever on its way
	}
	switch fx.Type {
	case FxPolicy:
		agl := rapid.SampledFrom([]string{AGLApproved, AGLApproved, AGLApproved, AGLModified, AGLDenied, AGLEscalated, AGLPending}).Draw(t, "agl")
		out := []Event{decision(w, fx, agl)}
		if agl == AGLEscalated && chance(60) {
			out = append(out, decision(w, fx, rapid.SampledFrom([]string{AGLApproved, AGLDenied}).Draw(t, "person")))
		}
		if chance(10) {
			out[0].Decision.ExpiresAt = w.now.Add(time.Second)
		}
		if chance(10) {
			return []Event{{Type: EvRefused, ActionID: fx.Action.ID, Reason: "precondition"}}
		}
		return out
	case FxExecute:
		switch rapid.IntRange(0, 9).Draw(t, "executed") {
		case 0:
			return []Event{{Type: EvFailed, ActionID: fx.Action.ID, Reason: "broken"}}
		case 1:
			return []Event{{Type: EvRefused, ActionID: fx.Action.ID, Reason: "damaged", Expired: chance(50)}}
		}
		outcome := rapid.SampledFrom([]string{"promote", "keep", "none", ""}).Draw(t, "outcome")
		return []Event{{Type: EvStarted, ActionID: fx.Action.ID, At: w.now}, {Type: EvSucceeded, ActionID: fx.Action.ID, At: w.now, Outcome: outcome, Params: map[string]string{"digest": "d"}}}
	case FxUndo:
		if chance(15) {
			return []Event{{Type: EvUndoFailed, ActionID: fx.Undoes + "/undo", Reason: "broken"}}
		}
		return []Event{{Type: EvUndone, ActionID: fx.Undoes + "/undo", At: w.now}}
	}
	return nil
}

// comesToAnEnd: all is well from now on, each second a healthy signal, shadow and verdict, and somebody answers.
func comesToAnEnd(t *rapid.T, w *world) {
	w.answer = goodAnswer
	w.crash()
	w.step(Event{Type: EvResume})
	w.step(Event{Type: EvDryRun})
	for range 3 * 3600 {
		if w.in.State.Final() {
			break
		}
		w.now = w.now.Add(time.Second)
		w.deliver()
		w.sig(Healthy)
		w.step(Event{Type: EvShadow, Shadow: &Shadow{State: Healthy, N: 5, ObservedAt: w.now}})
		if a := w.in.current(); a != nil && w.in.State == Verifying {
			w.step(Event{Type: EvVerdict, ActionID: a.ID, Verdict: &Verdict{State: Healthy, N: 50, From: w.now, ObservedAt: w.now}})
		}
		w.step(Event{Type: EvTick})
	}
	if !w.in.State.Final() {
		raw, _ := json.MarshalIndent(w.in, "", " ")
		t.Fatalf("after three good hours it is %s (%s)\n%s", w.in.State, w.in.Reason, raw)
	}
	if w.in.Degraded && w.in.State != Superseded && w.in.State != Failed {
		t.Fatalf("%s and still in safe mode", w.in.State)
	}
	if w.in.Seq > 2*maxActions || len(w.in.Timeline) > maxTimeline {
		t.Fatalf("it grows: %d actions, %d steps", w.in.Seq, len(w.in.Timeline))
	}
}

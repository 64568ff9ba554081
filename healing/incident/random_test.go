package incident

import (
	"encoding/json"
	"math/rand/v2"
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

// chaos draws everything from one seed: rapid's own draws favour small values, which would lose nearly every message.
type chaos struct {
	*rand.Rand
	trouble int // percent: how hostile this life is
}

func (c chaos) chance(percent int) bool { return c.IntN(100) < percent }

func pick[T any](c chaos, from ...T) T { return from[c.IntN(len(from))] }

// TestRandomLives: whatever comes, in whatever order, doubled, lost, late or over crashes between any two steps, the
// invariants of world hold, and when the noise stops the incident comes to an end.
func TestRandomLives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		life(t.Fatalf, rapid.Uint64().Draw(t, "seed"), rapid.IntRange(5, 200).Draw(t, "steps"), map[State]int{})
	})
}

// TestKnownLives are the same every time, and reach every state: else they would prove little.
func TestKnownLives(t *testing.T) {
	reached, ends := map[State]int{}, map[State]int{}
	for seed := range uint64(80) {
		end := life(func(format string, args ...any) {
			t.Helper()
			t.Fatalf("seed %d: "+format, append([]any{seed}, args...)...)
		}, seed, 150, reached)
		ends[end]++
	}
	t.Logf("states after a step: %v; ends: %v", reached, ends)
	for _, s := range Graph().States {
		if reached[s] < 8 {
			t.Errorf("%s was seen only %d times", s, reached[s])
		}
	}
}

// life is one incident's, drawn from a seed, and returns how it ended.
func life(fail func(string, ...any), seed uint64, steps int, reached map[State]int) State {
	c := chaos{rand.New(rand.NewPCG(seed, 7)), 0}
	c.trouble = pick(c, 0, 2, 5, 15)
	w := newWorld(fail)
	w.answer = func(w *world, fx Effect) []Event { return randomAnswer(c, w, fx) }
	kind := pick(c, LatencySLOBreach, LatencySLOBreach, PerfDrop, DataDrift, DataDrift, AgentDown, BusDown)
	w.open(kind, pick(c, Suspect, Confirmed, Confirmed), randomLadders[kind], Settings{})
	var old []Event
	for range steps {
		randomStep(c, w, &old)
		reached[w.in.State]++
	}
	comesToAnEnd(w)
	return w.in.State
}

func randomStep(c chaos, w *world, old *[]Event) {
	w.now = w.now.Add(pick(c, 0, time.Millisecond, 100*time.Millisecond, 500*time.Millisecond, time.Second, time.Second))
	if c.chance(c.trouble) {
		w.now = w.now.Add(pick(c, 5*time.Second, 40*time.Second, 11*time.Minute))
	}
	switch {
	case c.chance(c.trouble):
		w.crash()
	case c.chance(c.trouble) && len(*old) > 0:
		w.step((*old)[c.IntN(len(*old))]) // long past
	case c.chance(30):
		w.perform(1 + c.IntN(4))
	case c.chance(45) && len(w.inbox) > 0:
		i := 0
		if c.chance(2 * c.trouble) {
			i = c.IntN(len(w.inbox))
		}
		ev := w.inbox[i]
		if !c.chance(c.trouble) { // else it will come a second time
			w.inbox = append(w.inbox[:i:i], w.inbox[i+1:]...)
		}
		*old = append(*old, ev)
		w.step(ev)
	default:
		w.step(randomEvent(c, w))
	}
}

func randomEvent(c chaos, w *world) Event {
	busy := ""
	if c.chance(c.trouble) {
		busy = "i2"
	}
	at := w.now
	if c.chance(c.trouble) {
		at = at.Add(-pick(c, time.Second, 10*time.Second))
	}
	state := pick(c, Healthy, Suspect, Confirmed, Unknown, Warming)
	if !c.chance(3 * c.trouble) { // mostly it says what is the case
		state = pick(c, Confirmed, Healthy)
		if w.in.State == Verifying || w.in.State == Degraded {
			state = Healthy
		}
	}
	switch {
	case c.chance(c.trouble):
		return disturbance(c, w)
	case c.chance(45):
		s := w.signal(w.in.Kind, state)
		s.Fingerprint, s.ObservedAt, s.WindowFrom = w.in.Fingerprint, at, at
		if c.chance(c.trouble) {
			s.WindowFrom = at.Add(-3 * time.Second)
		}
		s.Facts = map[string]bool{"previous_better": c.chance(50), FactEarlierReference: c.chance(20)}
		if c.chance(c.trouble / 3) {
			s.DataBug = "unit"
		}
		return Event{Type: EvSignal, Signal: &s, Busy: busy}
	case c.chance(40):
		return Event{Type: EvShadow, Shadow: &Shadow{State: state, N: 5, ObservedAt: at}, Busy: busy}
	case c.chance(80) && w.in.CurrentID != "":
		v := Verdict{State: state, N: int64(c.IntN(50)), From: at, ObservedAt: at}
		if c.chance(c.trouble) {
			v.From = at.Add(-3 * time.Second)
		}
		if c.chance(c.trouble) {
			v.Worse = "DATA_DRIFT"
		}
		return Event{Type: EvVerdict, ActionID: w.in.CurrentID, Verdict: &v}
	default:
		return Event{Type: EvTick, Busy: busy}
	}
}

// disturbance is what people and other agents do meanwhile.
func disturbance(c chaos, w *world) Event {
	switch c.IntN(8) {
	case 0:
		return Event{Type: EvPause}
	case 1:
		return Event{Type: EvResume}
	case 2:
		return Event{Type: EvDryRun, On: c.chance(50)}
	case 3:
		return Event{Type: EvPerson, Setting: pick(c, "mode", "champion", "reference", "agent:decisions"), Value: pick(c, "MODEL", "SAFE_MODE"), By: "eva"}
	case 4, 5:
		s := w.signal(AgentDown, Confirmed)
		s.Target, s.Fingerprint = "model", "AGENT_DOWN/model"
		return Event{Type: EvTakeOver, TakeOver: &TakeOver{Signal: s, Ladder: randomLadders[AgentDown]}}
	case 6:
		return Event{Type: EvEscalate, By: "eva", Reason: "curious"}
	case 7:
		return Event{Type: EvClose, By: "eva", Reason: "enough"}
	default:
		return Event{Type: EvRetry, By: "eva"}
	}
}

func randomAnswer(c chaos, w *world, fx Effect) []Event {
	if c.chance(c.trouble) {
		return nil // lost
	}
	switch fx.Type {
	case FxPolicy:
		return randomDecision(c, w, fx)
	case FxExecute:
		switch {
		case c.chance(c.trouble):
			return []Event{{Type: EvFailed, ActionID: fx.Action.ID, Reason: "broken"}}
		case c.chance(c.trouble):
			return []Event{{Type: EvRefused, ActionID: fx.Action.ID, Reason: "damaged", Expired: c.chance(50)}}
		}
		return []Event{{Type: EvStarted, ActionID: fx.Action.ID, At: w.now}, {
			Type: EvSucceeded, ActionID: fx.Action.ID, At: w.now,
			Outcome: pick(c, "promote", "keep", "none"), Params: map[string]string{"digest": "d"},
		}}
	case FxUndo:
		if c.chance(c.trouble) {
			return []Event{{Type: EvUndoFailed, ActionID: fx.ID, Reason: "broken"}}
		}
		return []Event{{Type: EvUndone, ActionID: fx.ID, At: w.now}}
	}
	return nil
}

func randomDecision(c chaos, w *world, fx Effect) []Event {
	if c.chance(c.trouble) && fx.Purpose != Undo {
		return []Event{{Type: EvRefused, ActionID: fx.Action.ID, Reason: "precondition"}}
	}
	agl := AGLApproved
	if c.chance(3 * c.trouble) {
		agl = pick(c, AGLModified, AGLDenied, AGLEscalated, AGLPending)
	}
	out := []Event{decision(w, fx, agl)}
	if agl == AGLEscalated && c.chance(60) {
		out = append(out, decision(w, fx, pick(c, AGLApproved, AGLDenied)))
	}
	if c.chance(c.trouble) {
		out[0].Decision.ExpiresAt = w.now.Add(time.Second)
	}
	return out
}

// comesToAnEnd: all is well from now on, each second a healthy signal, shadow and verdict, and somebody answers.
func comesToAnEnd(w *world) {
	w.answer = goodAnswer
	w.crash()
	w.step(Event{Type: EvResume})
	w.step(Event{Type: EvDryRun})
	w.light = true
	for second := range 3 * 3600 {
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
		if second%1800 == 1799 && w.in.Escalation == EscUndoFailed {
			w.step(Event{Type: EvRetry, By: "eva"}) // only a person can end that
		}
	}
	if !w.in.State.Final() {
		raw, _ := json.MarshalIndent(w.in, "", " ")
		w.fail("after three good hours it is %s (%s)\n%s", w.in.State, w.in.Reason, raw)
	}
	if w.in.Degraded && w.in.State != Superseded && w.in.State != Failed {
		w.fail("%s and still in safe mode", w.in.State)
	}
	if w.in.Seq > 2*maxActions || len(w.in.Timeline) > maxTimeline {
		w.fail("it grows: %d actions, %d steps", w.in.Seq, len(w.in.Timeline))
	}
}

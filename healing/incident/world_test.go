package incident

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// world is an agent, its executor, governance and the system, with nothing real behind: it performs effects by id, each
// at most once, as the agents do.
type world struct {
	in  Incident
	now time.Time

	inbox    []Event  // answers under way
	effects  []Effect // emitted, not performed: lost in a crash
	seen     map[string]bool
	executed map[string]string // action id -> started, done, fenced, refused
	touches  map[string][]string
	modes    int // changes of mode that took effect
	executes int
	notified int
	memories map[string]*Memory
	steps    int
	light    bool // skip the costly checks of each step

	answer func(w *world, fx Effect) []Event // what the outside says to an effect
	fail   func(format string, args ...any)
}

func newWorld(fail func(string, ...any)) *world {
	return &world{now: t0, seen: map[string]bool{}, executed: map[string]string{}, touches: map[string][]string{}, memories: map[string]*Memory{}, fail: fail, answer: goodAnswer}
}

func mustJSON(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return raw
}

func (w *world) open(kind string, state SignalState, ladder []Rung, settings Settings) {
	in, fx, err := Open(Start{ID: "i1", Signal: w.signal(kind, state), Ladder: ladder, Settings: settings}, w.now)
	if err != nil {
		w.fail("%v", err)
	}
	w.in = in
	w.effects = append(w.effects, fx...)
	w.invariants(in, Event{Type: EvSignal}, in)
}

func (w *world) signal(kind string, state SignalState) Signal {
	return Signal{Kind: kind, Target: "decisions", Fingerprint: kind + "/decisions", State: state, Value: 1, N: 50, ObservedAt: w.now, WindowFrom: w.now}
}

func (w *world) sig(state SignalState) {
	s := w.signal(w.in.Kind, state)
	s.Fingerprint = w.in.Fingerprint
	w.step(Event{Type: EvSignal, Signal: &s})
}

// step steps and checks what must hold of every step.
func (w *world) step(ev Event) {
	w.steps++
	if w.light {
		w.in, w.effects = w.justStep(ev)
		return
	}
	before := mustJSON(w.in)
	out, fx, err := Step(w.in, ev, w.now)
	if err != nil {
		w.fail("%s in %s: %v", ev.Type, w.in.State, err)
	}
	if !bytes.Equal(before, mustJSON(w.in)) {
		w.fail("%s in %s changed its input", ev.Type, w.in.State)
	}
	var stored Incident
	if err := json.Unmarshal(before, &stored); err != nil {
		w.fail("%v", err)
	}
	again, fx2, _ := Step(stored, ev, w.now)
	if !bytes.Equal(mustJSON(out), mustJSON(again)) || !bytes.Equal(mustJSON(fx), mustJSON(fx2)) {
		w.fail("%s in %s: another result from the stored state:\n%s\n%s", ev.Type, w.in.State, mustJSON(out), mustJSON(again))
	}
	if twice, _, _ := Step(out, ev, w.now); twice.State != out.State || len(twice.Actions) != len(out.Actions) || twice.RungIndex != out.RungIndex {
		w.fail("%s doubled in %s: %s, then %s", ev.Type, w.in.State, out.State, twice.State)
	}
	old := w.in
	w.in = out
	w.effects = append(w.effects, fx...)
	w.invariants(old, ev, out)
}

func (w *world) justStep(ev Event) (Incident, []Effect) {
	out, fx, err := Step(w.in, ev, w.now)
	if err != nil {
		w.fail("%s in %s: %v", ev.Type, w.in.State, err)
	}
	w.invariants(w.in, ev, out)
	return out, append(w.effects, fx...)
}

func (w *world) invariants(old Incident, ev Event, in Incident) {
	if in.State.Final() != in.DeadlineAt.IsZero() || in.State.Final() && (in.CurrentID != "" || in.ClosedAt.IsZero()) {
		w.fail("%s: deadline %v, current %q", in.State, in.DeadlineAt, in.CurrentID)
	}
	if in.Status != in.status() {
		w.fail("status %s, want %s", in.Status, in.status())
	}
	settled := !in.ResolvedAt.IsZero() && in.ResolvedAt.Equal(w.now) && (old.ResolvedAt.IsZero() || !old.ResolvedAt.Equal(in.ResolvedAt))
	if settled && in.State != Cancelled {
		byVerdict := ev.Type == EvVerdict && ev.Verdict.State == Healthy && ev.Verdict.Worse == "" && ev.Verdict.N > 0 && !ev.Verdict.From.Before(old.ChangedAt)
		bySignal := in.Signal.State == Healthy && !in.Signal.WindowFrom.Before(in.ChangedAt)
		if !byVerdict && !bySignal {
			w.fail("resolved by %s without a healthy verdict on data from after the last action", ev.Type)
		}
	}
	if in.State == Executing && old.State != Executing {
		a := in.current()
		if a.Purpose == Forward && (in.Paused || in.DryRun) {
			w.fail("executes while paused or in a dry run")
		}
		if a.AGL != AGLApproved && a.AGL != AGLModified {
			w.fail("executes with %s", a.AGL)
		}
		if !a.ExpiresAt.IsZero() && !w.now.Before(a.ExpiresAt) {
			w.fail("executes with an expired approval")
		}
	}
	for _, a := range in.Actions {
		if a.Result == NotHeld && a.Inverse != nil {
			w.fail("%s has an inverse and was left", a.Type)
		}
		if in.State.Final() && !a.SentAt.IsZero() && !slices.Contains([]Result{Verified, Stood, Undone, NotHeld, HandedOver, TakenOver}, a.Result) {
			w.fail("in %s action %s %s ended as %q", in.State, a.ID, a.Type, a.Result)
		}
		if a.Result != "" && a.EndedAt.IsZero() {
			w.fail("%s ended at no time", a.ID)
		}
	}
}

// perform does what was emitted; n limits how many, as if the process died in between.
func (w *world) perform(n int) {
	for ; n > 0 && len(w.effects) > 0; n-- {
		fx := w.effects[0]
		w.effects = w.effects[1:]
		first := !w.seen[fx.ID]
		w.seen[fx.ID] = true
		switch fx.Type {
		case FxExecute:
			w.execute(fx)
			continue
		case FxUndo:
			w.undo(fx)
			continue
		case FxNotify:
			if first {
				w.notified++
			}
		case FxRemember:
			w.memories[fx.ID] = fx.Memory
		case FxWithdraw:
			if fx.Action != nil && w.executed[fx.Action.ID] == "" {
				w.executed[fx.Action.ID] = "fenced"
			}
		}
		w.inbox = append(w.inbox, w.answer(w, fx)...)
	}
}

// execute is the executor: it knows what it has done by the action's id.
func (w *world) execute(fx Effect) {
	id := fx.Action.ID
	if w.executed[id] == "" {
		for other, state := range w.executed {
			if state == "started" && slices.ContainsFunc(w.touches[other], func(s string) bool { return slices.Contains(fx.Touches, s) }) {
				w.fail("%s starts while %s is in flight on %v", id, other, fx.Touches)
			}
		}
		w.executed[id], w.touches[id] = "started", fx.Touches
	}
	for _, ev := range w.answer(w, fx) {
		switch ev.Type {
		case EvSucceeded:
			if w.executed[id] == "started" {
				w.executed[id] = "done"
				w.executes++
				w.changeMode(fx.Action.Type)
			}
			if w.executed[id] != "done" {
				continue
			}
		case EvRefused:
			if w.executed[id] != "started" {
				continue
			}
			w.executed[id] = "refused"
		case EvFailed:
			if w.executed[id] != "started" {
				continue
			}
			w.executed[id] = "done" // broken half way: it took effect all the same
			w.changeMode(fx.Action.Type)
		}
		w.inbox = append(w.inbox, ev)
	}
}

func (w *world) undo(fx Effect) {
	for _, ev := range w.answer(w, fx) {
		if ev.Type == EvUndone && w.executed[fx.Undoes] != "fenced" {
			if w.executed[fx.Undoes] == "done" && fx.Action.Inverse != nil {
				w.changeMode(fx.Action.Inverse.Type)
			}
			w.executed[fx.Undoes] = "fenced"
		}
		w.inbox = append(w.inbox, ev)
	}
}

func (w *world) changeMode(action string) {
	if action == EnableSafeMode || action == DisableSafeMode {
		w.modes++
	}
}

// crash loses all that was not performed and all answers under way, and starts from what was stored.
func (w *world) crash() {
	var stored Incident
	if err := json.Unmarshal(mustJSON(w.in), &stored); err != nil {
		w.fail("%v", err)
	}
	w.inbox = nil
	unsent := false
	if id := stored.CurrentID; stored.State == Executing && w.executed[id] != "done" {
		unsent = true
		delete(w.executed, id)
	}
	w.in, w.effects = Resume(stored, w.now, unsent)
}

var inverses = map[string]string{
	EnableSafeMode: DisableSafeMode, DisableSafeMode: EnableSafeMode, RollbackModel: RestoreModel, PromoteModel: RestoreModel,
	AcceptReference: RestoreReference, RestoreReference: RestoreReference,
}

func decision(w *world, fx Effect, agl string) Event {
	d := Decision{RequestID: fx.RequestID, AGL: agl, Rule: "test", ExpiresAt: w.now.Add(5 * time.Minute), Envelope: json.RawMessage(fmt.Sprintf("%q", fx.RequestID))}
	if inv := inverses[fx.Action.Type]; inv != "" && fx.Purpose != Undo {
		d.Inverse = &Inverse{Type: inv}
	}
	return Event{Type: EvDecision, Decision: &d}
}

// goodAnswer is an outside in which all goes well and at once; verdicts are the test's matter.
func goodAnswer(w *world, fx Effect) []Event {
	switch fx.Type {
	case FxPolicy:
		return []Event{decision(w, fx, AGLApproved)}
	case FxExecute:
		outcome := ""
		if fx.Action.Type == TriggerRetraining {
			outcome = "promote"
		}
		return []Event{{Type: EvStarted, ActionID: fx.Action.ID, At: w.now}, {Type: EvSucceeded, ActionID: fx.Action.ID, At: w.now, Outcome: outcome}}
	case FxUndo:
		return []Event{{Type: EvUndone, ActionID: fx.ID, At: w.now}}
	}
	return nil
}

// deliver performs and answers until nothing is left.
func (w *world) deliver() {
	for range 1000 {
		w.perform(len(w.effects))
		if len(w.inbox) == 0 {
			return
		}
		ev := w.inbox[0]
		w.inbox = w.inbox[1:]
		w.step(ev)
	}
	w.fail("it never comes to rest: %s", w.in.State)
}

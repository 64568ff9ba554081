package incident

import (
	"slices"
	"strings"
	"time"
)

// Fits says why a person's RETRY, ESCALATE or CLOSE can't be done with the incident as it is; empty: Step would do it.
func Fits(in Incident, ev Event, now time.Time) string {
	if err := check(in, ev); err != nil {
		return err.Error()
	}
	in = clone(in)
	x := &step{in: &in, ev: ev, now: now}
	if t := x.match(); t != nil && t.On == ev.Type {
		return ""
	}
	switch {
	case in.State.Final():
		return "it has ended: " + string(in.State)
	case in.State == Degraded:
		return "it is healthy in safe mode, which is " + x.wayBack()
	case ev.Type == EvRetry && !slices.Contains(watched, in.State):
		return "it is " + string(in.State) + ": healing has it in hand; escalate it first"
	case ev.Type == EvRetry:
		return "it is healthy in safe mode, which is " + x.wayBack()
	case ev.Type == EvEscalate && in.State == Escalated:
		return "a person has been called already: " + string(in.Escalation)
	case ev.Type == EvEscalate:
		return "it is " + string(in.State) + ": what was executed is verified or taken back first"
	case ev.Type == EvClose:
		return x.notClosed()
	}
	return "it is " + string(in.State)
}

// wayBack tells how safe mode is left, and until when the breaker holds it.
func (x *step) wayBack() string {
	way := "left when the model is shown healthy"
	if at := x.leaveAt(); !at.IsZero() {
		way += ", but not before " + clockTime(at) + " (too many changes of mode)"
	}
	return way + ", or by setting the mode MODEL by hand"
}

func (x *step) mayClose() bool { return x.notClosed() == "" }

// notClosed says why a person can't end the incident: it would begin again at once, or something of ours would be left
// behind that nobody watches.
func (x *step) notClosed() string {
	in := x.in
	s := x.signalState()
	switch {
	case !slices.Contains(watched, in.State):
		return "it is " + string(in.State) + ": healing has it in hand; escalate it first"
	case in.Degraded:
		return "safe mode stands: it is " + x.wayBack()
	case x.toFence() != nil:
		return "an action is not known to have ended; retry makes sure of it"
	case s == Confirmed || s == Suspect:
		return "its signal is " + string(s) + " still, so a new incident would begin at once; mend the cause, or retry"
	}
	return ""
}

// touched: the setting that a person changed is one that this incident has changed or is about to.
func (x *step) touched() bool {
	has := func(a Action) bool { return slices.Contains(Touches(a.Type, a.Params), x.ev.Setting) }
	if a := x.in.current(); a != nil && has(*a) {
		return true
	}
	if x.in.Degraded && x.ev.Setting == "mode" {
		return true
	}
	return slices.ContainsFunc(x.in.Actions, func(a Action) bool { return a.open() && has(a) })
}

// doneByHand: a person restarted the agent that an action would restart, which nobody has handed over, and no earlier one
// of ours is about it.
func (x *step) doneByHand() bool {
	a := x.in.current()
	return a != nil && a.Type == RestartAgent && a.SentAt.IsZero() && slices.Contains(Touches(a.Type, a.Params), x.ev.Setting) &&
		!slices.ContainsFunc(x.in.Actions, func(b Action) bool { return b.ID != a.ID && b.Type == RestartAgent && b.open() })
}

// touchedInSafeMode: a person changed what an action of ours is about, but not the mode. Safe mode is still ours to leave.
func (x *step) touchedInSafeMode() bool {
	return x.in.Degraded && x.ev.Setting != "mode" && x.touched()
}

// beatsWithin is how long after a restart monitoring may still speak of the life before: the new one has to beat, and be
// reported, first.
const beatsWithin = 5 * time.Second

// ofTheLifeBefore: the signal is about the agent as it was before a person restarted it.
func (x *step) ofTheLifeBefore() bool {
	in := x.in
	return !in.ByHandAt.IsZero() && in.Signal.OnsetAt.Before(in.ByHandAt) && in.Signal.ObservedAt.Before(in.ByHandAt.Add(beatsWithin))
}

// personCalled reports whether a person was called since the detection.
func (in *Incident) personCalled() bool {
	return slices.ContainsFunc(in.Timeline, func(e Entry) bool { return e.State == Escalated && !e.At.Before(in.Detected()) })
}

// personHelped reports whether a person was called, or did by hand what was asked for: what they did is not known to be
// nothing.
func (in *Incident) personHelped() bool { return in.ByHand != "" || in.personCalled() }

// handToPerson ends the incident because a person changed what it had changed or was about to.
func (x *step) handToPerson() string {
	in := x.in
	if a := in.current(); a != nil {
		x.withdraw(a)
		if a.SentAt.IsZero() {
			x.end(a, Withdrawn, "a person changed "+x.ev.Setting)
		}
	}
	for i := range in.Actions {
		if a := &in.Actions[i]; a.open() {
			x.end(a, TakenOver, "a person changed "+x.ev.Setting)
		}
	}
	if x.ev.Setting == "mode" && in.Degraded && x.ev.Value == "MODEL" {
		in.Degraded = false
		if !in.ResolvedAt.IsZero() {
			in.RestoredAt = x.now
		}
	}
	return x.ev.By + " set " + x.ev.Setting + " to " + x.ev.Value
}

// leaveToTheRestart withdraws what a person has done meanwhile; whether it helped shows in the signal, and the rung is
// asked for again if not.
func (x *step) leaveToTheRestart() string {
	in := x.in
	in.ByHand, in.ByHandAt = x.ev.By+" restarted "+strings.TrimPrefix(x.ev.Setting, "agent:"), x.now
	a := in.current()
	x.withdraw(a)
	x.end(a, Withdrawn, in.ByHand)
	in.CurrentID = ""
	x.changed(x.now, RestartAgent)
	return in.ByHand
}

// handActionToPerson leaves to a person what they changed; the incident goes on, to leave safe mode when that is right.
func (x *step) handActionToPerson() string {
	for i := range x.in.Actions {
		if a := &x.in.Actions[i]; a.open() && slices.Contains(Touches(a.Type, a.Params), x.ev.Setting) {
			x.end(a, TakenOver, "a person changed "+x.ev.Setting)
		}
	}
	return x.call(EscPerson, x.ev.By+" set "+x.ev.Setting+" to "+x.ev.Value)
}

func (x *step) retry() string {
	x.keepStanding()
	x.reorder()
	x.fromTheFoot()
	x.in.Escalation, x.in.Relapses = "", nil
	return x.ev.By + " starts the ladder again" + orNothing(": ", x.ev.Reason)
}

func (x *step) afterHold() string {
	x.keepStanding()
	x.fromTheFoot()
	x.in.Escalation, x.in.HeldUntil = "", time.Time{}
	return "the person's hold is over: the ladder begins again"
}

// closeByHand ends the incident for a person: nobody has shown it healthy.
func (x *step) closeByHand() string {
	for i := range x.in.Actions {
		if a := &x.in.Actions[i]; a.open() {
			x.end(a, HandedOver, "left to "+x.ev.By)
		}
	}
	return x.ev.By + " ended it" + orNothing(": ", x.ev.Reason)
}

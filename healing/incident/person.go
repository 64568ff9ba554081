package incident

import (
	"slices"
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

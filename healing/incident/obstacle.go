package incident

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// What keeps an action from being asked for, or executed, right now. Who waits for it is told.

// Obstacle is why an incident that would act doesn't.
type Obstacle struct {
	Text  string    `json:"text"`
	Since time.Time `json:"since"`
	Told  bool      `json:"told,omitempty"` // it has lasted long enough to be told
}

// Waits is what an incident has waited for, for a while, in words; empty: for nothing, or not for long.
func (in Incident) Waits() string {
	if in.Obstacle == nil || !in.Obstacle.Told {
		return ""
	}
	return in.Obstacle.Text
}

// An obstacle is told once it has lasted, and not so often in a timeline that it drowns the rest.
const (
	tellAfter = 2 * time.Second
	maxTold   = 10
)

// notConfirmed is why the signal is no reason to act; empty: it is one. It has to be seen after our own last change, since what
// was seen before it is what the change was for.
func (x *step) notConfirmed() string {
	s := x.in.Signal
	switch {
	case !x.fresh(s.ObservedAt):
		return "nothing has been heard of the signal lately"
	case s.State != Confirmed:
		return "the signal is " + string(s.State)
	case s.NotYet != "":
		return s.NotYet
	case s.ObservedAt.Before(x.in.ChangedAt):
		return "the signal is from before the last change"
	case x.ofTheLifeBefore():
		return "the signal is about the life that a person ended"
	}
	return ""
}

func (x *step) busy() string {
	if x.ev.Busy == "" {
		return ""
	}
	return "incident " + x.ev.Busy + " has the same setting in hand"
}

// heldBack is what keeps every forward action back, whatever the signal says.
func (x *step) heldBack() string {
	if x.in.Paused {
		return "healing is paused"
	}
	return x.busy()
}

// notYetAsked is why the next rung isn't proposed now.
func (x *step) notYetAsked() string {
	if held := cmp.Or(x.heldBack(), x.notConfirmed()); held != "" {
		return held
	}
	r, more := x.in.rung()
	switch {
	case !more || len(x.in.Actions) >= maxActions:
		return "no rung is left"
	case r.waits(x.now):
		return "a limit stands in the way of " + r.Action + " until " + clockTime(r.NotBefore)
	}
	return ""
}

// notYetExecuted is why an approved action isn't executed now. One that starts its rung needs the cause on fresh data; one that
// follows was caused by what its rung already did; leaving safe mode needs the shadow, and is no matter of a pause.
func (x *step) notYetExecuted() string {
	a := x.in.current()
	switch {
	case x.in.inFlight(Touches(a.Type, a.Params)):
		return "an earlier action on the same setting is not known to have ended"
	case x.is(Restore) && x.shadowIll():
		return "the shadow is not healthy"
	case x.is(Restore):
		return x.busy()
	case x.follows():
		return x.heldBack()
	}
	return cmp.Or(x.heldBack(), x.notConfirmed())
}

// obstacle is what the present state waits for, where it waits to act; empty: it doesn't.
func (x *step) obstacle() string {
	switch x.in.State {
	case Detected:
		return x.notYetAsked()
	case Approved:
		return x.notYetExecuted()
	}
	return ""
}

// noteObstacle keeps what the incident waits for. Somebody approved what isn't done: that is written into the timeline, too.
func (x *step) noteObstacle() {
	in, text := x.in, x.obstacle()
	o := in.Obstacle
	switch {
	case text == "":
		in.Obstacle = nil
	case o == nil || o.Text != text:
		in.Obstacle = &Obstacle{Text: text, Since: x.now}
	case !o.Told && x.now.Sub(o.Since) >= tellAfter:
		in.Obstacle = &Obstacle{Text: text, Since: o.Since, Told: true}
		if in.State == Approved && in.told() < maxTold {
			x.note(waitsPrefix + text)
		}
	}
}

const waitsPrefix = "waits: "

// told counts the obstacles in the timeline since the state was entered.
func (in *Incident) told() (n int) {
	for _, e := range slices.Backward(in.Timeline) {
		if e.At.Before(in.EnteredAt) {
			break
		}
		if strings.HasPrefix(e.Text, waitsPrefix) {
			n++
		}
	}
	return n
}

// kept is what keeps an approval, or the next rung, from being used; empty: nothing.
func (in *Incident) kept() string {
	if in.Obstacle == nil {
		return ""
	}
	return in.Obstacle.Text
}

package incident

import (
	"fmt"
	"time"
)

// How a person is called, and again.

// because calls a person: open actions are handed over, the request in progress is withdrawn.
func because(e Escalation) func(*step) string {
	return func(x *step) string { return x.call(e, "") }
}

func (x *step) call(e Escalation, more string) string {
	in := x.in
	if a := in.current(); a != nil {
		if a.SentAt.IsZero() {
			x.withdraw(a)
			x.end(a, Withdrawn, "a person was called")
		}
		in.CurrentID = ""
	}
	for i := range in.Actions {
		if a := &in.Actions[i]; a.open() {
			x.end(a, HandedOver, "a person was called: "+string(e))
		}
	}
	in.Escalation, in.Queue = e, nil
	in.Escalations++
	in.Reminders = 0
	if e == EscDataBug {
		more = in.Signal.DataBug
	}
	if x.ev.Type == EvEscalate {
		more = x.ev.Reason
	}
	return "a person was called: " + string(e) + orNothing(": ", more)
}

// endLadder says what a person would do next, where that is one command.
func (x *step) endLadder() string {
	switch {
	case x.in.Kind != AgentDown:
		return x.call(EscLadderEnd, "")
	case x.supervised():
		return x.call(EscLadderEnd, "its supervisor restarts it")
	}
	return x.call(EscLadderEnd, x.byHand())
}

// supervised reports whether the supervisor restarts the agent by itself: governance lets healing do nothing, and the agent has
// not crashed too often for that.
func (x *step) supervised() bool {
	n := len(x.in.Actions)
	return n > 0 && x.in.Actions[n-1].Result == Denied && x.in.Actions[n-1].Rule == ruleOff && !x.in.Signal.Facts[FactQuarantined]
}

func (x *step) byHand() string {
	if x.in.Signal.Facts[FactGone] {
		return "start a process with the agent " + x.in.Target
	}
	return "once its cause is mended: aura agent restart " + x.in.Target + " --reason mended"
}

// remind calls again for an agent that nothing but a person will start. When it counts as failed stays as it was.
func (x *step) remind() string {
	in := x.in
	in.Escalations++
	in.Reminders++
	return "a person is reminded, it is down still since " + clockTime(in.DetectedAt) + ": " + x.byHand()
}

func (x *step) noDecision() string { return x.call(EscNoDecision, x.in.kept()) }

func (x *step) waited() string { return x.call(EscWaited, x.in.kept()) }

func (x *step) callAgain() string { return x.call(x.in.Escalation, "safe mode still stands") }

func (x *step) trip() string {
	x.in.Trips++
	return x.call(EscFlapping, fmt.Sprintf("%d changes of mode; the model stays out until %s", len(x.in.ModeChanges), clockTime(x.leaveAt())))
}

func clockTime(at time.Time) string { return at.UTC().Format("15:04:05 UTC") }

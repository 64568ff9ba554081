package incident

import (
	"fmt"
	"slices"
	"time"
)

// What transitions do from EXECUTING to the end, and how an incident is handed over, taken over and reopened.

func (x *step) executed() string { return x.in.current().Type + " took effect" }

func (x *step) keepProtecting() string {
	x.in.CurrentID = ""
	x.in.RungIndex++
	return "it protects while the next rung heals"
}

// settle ends an incident that was shown healthy on data from after its last action.
func (x *step) settle() string {
	in := x.in
	in.ResolvedAt, in.Escalation = x.now, ""
	if in.DetectedAt.IsZero() {
		in.DetectedAt = in.OpenedAt
	}
	why := "the signal is healthy on data after the last action"
	judged, called := in.current(), in.personHelped()
	if judged != nil && judged.Verdict != nil {
		in.SelfRecovered = judged.Verdict.SelfRecovered
		why = "healthy: " + judged.Verdict.told()
	} else { // nobody verified an action; the signal alone shows it
		judged, in.SelfRecovered = nil, !in.keptBySafeMode() || called
	}
	if in.SelfRecovered && (judged != nil || !called) {
		x.markNeedless()
	}
	for i := range in.Actions {
		a := &in.Actions[i]
		switch {
		case !a.open():
		case a.ExecutedAt.IsZero():
			x.end(a, HandedOver, "it is not known to have taken effect")
		case judged != nil && a.Rung == judged.Rung && !a.Protect || judged == nil && in.keptBySafeMode() && !called:
			x.end(a, Verified, why)
		case judged != nil:
			x.stood(a, NoCreditOther)
		case called:
			x.stood(a, NoCreditPerson)
		default:
			x.stood(a, NoCreditSelf)
		}
	}
	in.CurrentID, in.Queue = "", nil
	return why
}

// keptBySafeMode reports whether safe mode can be why the signal is healthy: it takes decisions from the model, and can't make
// the model's accuracy, or who applies, any better.
func (in *Incident) keptBySafeMode() bool {
	return in.Degraded && in.Kind != PerfDrop && in.Kind != DataDrift
}

// accurateAgain is why no model is trained or promoted any more.
const accurateAgain = "accurate again by itself on newer outcomes"

// callOff ends the action in progress, which has changed nothing that is in force and never will.
func (x *step) callOff() string {
	a := x.in.current()
	x.unsend(a, Withdrawn, accurateAgain)
	x.in.CurrentID = ""
	if a.Type == TriggerRetraining {
		return accurateAgain + ": the training is called off"
	}
	return accurateAgain + ": nothing is promoted"
}

// trainNothing ends an incident whose signal became healthy while nothing was done but to train a model.
func (x *step) trainNothing() string {
	why := x.callOff()
	x.cancel()
	return why
}

// promoteNothing ends an incident whose signal became healthy while its rung trains a model, or has only trained one.
func (x *step) promoteNothing() string {
	in := x.in
	why := accurateAgain + ": nothing is promoted"
	if in.current().ExecutedAt.IsZero() {
		why = x.callOff()
	}
	for i := range in.Actions {
		if a := &in.Actions[i]; a.open() && !a.ExecutedAt.IsZero() {
			x.stood(a, NoCreditSelf)
		}
	}
	in.CurrentID = ""
	x.settle()
	in.SelfRecovered = true
	return why
}

func (x *step) restored() string {
	in := x.in
	a := in.current()
	x.end(a, Verified, "the model decides and the signal is healthy")
	in.Degraded, in.RestoredAt, in.CurrentID = false, x.now, ""
	return "the model is back: " + a.Verdict.told()
}

// cancel ends an incident whose cause went away before anything of ours stood. No action earns credit.
func (x *step) cancel() string {
	in := x.in
	if a := in.current(); a != nil {
		x.withdraw(a)
		x.end(a, Withdrawn, "the cause went away before it ran")
	}
	in.ResolvedAt, in.SelfRecovered, in.Escalation = x.now, true, ""
	if in.DetectedAt.IsZero() {
		return "the suspicion was not confirmed"
	}
	if !in.personHelped() { // else nobody knows who ended it
		x.markNeedless()
	}
	x.fx = append(x.fx, selfMemory(*in, x.now))
	if in.ByHand != "" {
		return "healthy after " + in.ByHand
	}
	return "the cause went away by itself"
}

// stood ends an action that stands when the incident ends, and that nobody verified.
func (x *step) stood(a *Action, why string) {
	if a.NoCredit == "" {
		a.NoCredit = why
	}
	x.end(a, Stood, a.NoCredit)
}

// markNeedless says of what was executed since the detection that the incident ended by itself.
func (x *step) markNeedless() {
	in := x.in
	for i := range in.Actions {
		if a := &in.Actions[i]; a.Purpose == Forward && a.NoCredit == "" && !a.ExecutedAt.Before(in.Detected()) {
			a.NoCredit = NoCreditSelf
		}
	}
}

// fail ends what nobody healed in time.
func (x *step) fail() string {
	for i := range x.in.Actions {
		if a := &x.in.Actions[i]; a.open() {
			x.end(a, HandedOver, "left to a person")
		}
	}
	return "not shown healthy in time"
}

// ruleOff is the policy's rule that denies everything under the profile by which healing only watches.
const ruleOff = "off"

func (x *step) withdrawRestore() string {
	a := x.in.current()
	x.withdraw(a)
	x.end(a, Withdrawn, "the shadow is not healthy any more")
	x.in.CurrentID = ""
	return a.Reason
}

// withdraw takes a request back whose action isn't needed any more.
func (x *step) withdraw(a *Action) {
	x.fx = append(x.fx, Effect{
		ID: a.RequestID + "/withdraw", Type: FxWithdraw, IncidentID: x.in.ID, RequestID: a.RequestID, Action: ref(*a),
	})
}

// end gives an action its result. A result is given once, except that what was handed over may still be settled.
func (x *step) end(a *Action, r Result, why string) {
	if a.Result != "" && a.Result != HandedOver {
		return
	}
	a.Result, a.Reason, a.EndedAt = r, why, x.now
	if a.AGL == AGLPending {
		a.AGL = "" // it ended before governance was asked, or had answered: there is no decision
	}
	if m := memoryOf(*x.in, *a); m != nil {
		x.fx = append(x.fx, *m)
	}
}

// takeOver makes the incident one of the more specific cause. What stands stays as protection, and earns nothing
// where another action heals.
func (x *step) takeOver() string {
	in, t := x.in, x.in.Pending
	in.Pending = nil
	if a := in.current(); a != nil {
		if a.SentAt.IsZero() {
			x.withdraw(a)
			x.end(a, Withdrawn, "a more specific cause took over")
		}
		in.CurrentID = ""
	}
	x.keepStanding()
	old := in.Kind + " " + in.Target
	in.Covers = append(in.Covers, in.Fingerprint)
	in.Kind, in.Target, in.Fingerprint = t.Signal.Kind, t.Signal.Target, t.Signal.Fingerprint
	in.Covers = slices.DeleteFunc(in.Covers, func(f string) bool { return f == in.Fingerprint })
	in.Ladder, in.OrderReason = t.Ladder, t.OrderReason
	x.fromTheFoot()
	in.Signal, in.HealthySince, in.Escalation, in.ResolvedAt, in.With = t.Signal, time.Time{}, "", time.Time{}, nil
	if in.DetectedAt.IsZero() {
		in.DetectedAt = x.now
	}
	x.see() // of this cause
	return in.Kind + " " + in.Target + " is the cause of " + old + orNothing(": ", in.Seen.Words)
}

// keepStanding turns what stands into protection, so that a new round of the ladder doesn't undo it as its own.
func (x *step) keepStanding() {
	for i := range x.in.Actions {
		if a := &x.in.Actions[i]; a.open() {
			a.Protect = true
		}
	}
}

// fromTheFoot begins a pass of the ladder.
func (x *step) fromTheFoot() { x.in.RungIndex, x.in.Queue, x.in.PassAt = 0, nil, x.now }

// reorder takes the ladder that the event brings.
func (x *step) reorder() {
	if len(x.ev.Ladder) > 0 {
		x.in.Ladder, x.in.OrderReason = x.ev.Ladder, x.ev.OrderReason
	}
}

// relapse opens the incident again. It is detected anew: what came before is kept in Detections.
func (x *step) relapse() string {
	in := x.in
	why := "the suspicion is confirmed after all"
	if !in.DetectedAt.IsZero() {
		in.Relapses = newest(append(in.Relapses, x.now))
		in.Detections = newest(append(in.Detections, in.DetectedAt))
		why = fmt.Sprintf("it came back (relapse %d)", len(in.Relapses))
	}
	in.ResolvedAt, in.RestoredAt, in.SelfRecovered, in.With = time.Time{}, time.Time{}, false, nil
	in.ByHand, in.ByHandAt = "", time.Time{}
	x.reorder()
	x.fromTheFoot()
	in.Escalation = ""
	in.DetectedAt, in.OnsetAt = x.now, in.Signal.OnsetAt
	x.see()
	return why + orNothing(": ", in.Seen.Words)
}

// newest keeps the last of what would else grow with each relapse.
func newest(list []time.Time) []time.Time {
	const kept = 32
	return list[max(0, len(list)-kept):]
}

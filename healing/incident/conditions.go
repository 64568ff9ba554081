package incident

import (
	"slices"
	"time"
)

// The guards of the table that are made of others.

func on(values ...string) func(*step) bool {
	return func(x *step) bool { return x.decided(values...) }
}

func (x *step) forward() bool { return !x.is(Restore) && x.in.ResolvedAt.IsZero() }

func (x *step) unresolved() bool { return x.in.ResolvedAt.IsZero() }

func (x *step) mayTakeOver() bool { return x.in.Pending != nil && !x.is(Restore) }

func (x *step) stillSuspect() bool {
	return x.expired() && (x.signalState() == Suspect || x.signalState() == Confirmed)
}

func (x *step) gone() bool { return x.cleared() && !x.in.stands() && x.unresolved() }
func (x *step) healed() bool {
	return x.cleared() && x.in.stands() && x.unresolved() && !x.undoFailure()
}
func (x *step) healedSafe() bool { return x.healed() && x.in.Degraded }

// undoFailure: an action stands that should not, and a person has to look at it before anything counts as healed. Safe
// mode is no such action: what it is worth shows in the signal, and it is left on its own way.
func (x *step) undoFailure() bool {
	return x.in.State == Escalated && x.in.Escalation == EscUndoFailed && slices.ContainsFunc(x.in.Actions, func(a Action) bool {
		return a.open() && a.Undo != nil && !a.Undo.OK && (a.Type != EnableSafeMode || a.ExecutedAt.IsZero())
	})
}

func (x *step) notifyOnly() bool { return x.in.Kind == BusDown || x.in.Signal.Facts[FactProcess] }
func (x *step) dataBug() bool    { return x.confirmed() && x.in.Signal.DataBug != "" }

func (x *step) tooManyRelapses() bool {
	return x.confirmed() && x.relapses() >= x.in.Settings.MaxRelapses
}

func (x *step) ladderEnd() bool {
	_, more := x.in.rung()
	return (!more || len(x.in.Actions) >= maxActions) && x.confirmed() && !x.mayYetProtect()
}

// mayYetProtect: safe mode stands, and the agent's failures that are counted still reach back before our last change.
func (x *step) mayYetProtect() bool {
	return x.in.Kind == AgentDown && x.in.Degraded && x.in.Signal.WindowFrom.Before(x.in.ChangedAt)
}

func (x *step) mustPassOver() bool { return x.confirmed() && x.passOver() != "" }

// goneForward: before a forward action that starts its rung. A chain is finished or undone, never dropped half way.
func (x *step) goneForward() bool { return x.is(Forward) && !x.follows() && x.gone() }

// accurate: a loss of accuracy ended by itself while a model is trained, or while somebody thinks about promoting it. The
// candidate learns from what is over.
func (x *step) accurate() bool {
	a := x.in.current()
	switch {
	case a == nil || x.in.Kind != PerfDrop || !x.cleared():
		return false
	case x.in.State == Executing:
		return a.Type == TriggerRetraining
	}
	return a.Type == PromoteModel && a.Follows && a.SentAt.IsZero()
}

// accurateAlone: and nothing was done but to train.
func (x *step) accurateAlone() bool {
	return x.in.State == Executing && x.accurate() && x.in.current().ExecutedAt.IsZero() && !x.in.Degraded &&
		!slices.ContainsFunc(x.in.Actions, func(a Action) bool { return a.ID != x.in.CurrentID && a.open() })
}

func (x *step) accurateSafe() bool { return x.accurate() && x.in.Degraded }

func (x *step) illBeforeLeaving() bool { return x.is(Restore) && x.shadowIll() }

func (x *step) expiredChain() bool   { return x.expired() && x.executedInRung() }
func (x *step) expiredRestore() bool { return x.expired() && x.is(Restore) }
func (x *step) deniedChain() bool    { return x.decided(AGLDenied) && x.executedInRung() }

// deniedForNow: only a limit that the clock soon lifts stands between an action and what follows it. To take back what was
// done for that would throw away what was found out at some cost.
func (x *step) deniedForNow() bool {
	a := x.in.current()
	return x.deniedChain() && a.Purpose == Forward && a.Asks < x.in.Settings.MaxAsks && x.ev.Decision.RetryAt.After(x.now) &&
		x.ev.Decision.RetryAt.Sub(x.now) <= longestWait
}

func (x *step) deniedRestore() bool { return x.decided(AGLDenied) && x.is(Restore) }

func (x *step) askAgain() bool {
	a := x.in.current()
	return x.expired() && a != nil && a.Asks < x.in.Settings.MaxAsks
}

func (x *step) dry() bool { return x.in.DryRun && x.is(Forward) }

func (x *step) mayExecute() bool { return !x.expired() && x.notYetExecuted() == "" }

func (x *step) refusedExpired() bool {
	a := x.in.current()
	return x.mine() && x.ev.Expired && a.Asks < x.in.Settings.MaxAsks
}

// refused: an expired envelope is the executor's word only, so a doubled one doesn't refuse what is being asked again.
func (x *step) refused() bool {
	return x.mine() && (!x.ev.Expired || x.in.State == Executing)
}
func (x *step) refusedChain() bool   { return x.refused() && x.executedInRung() }
func (x *step) refusedRestore() bool { return x.refused() && x.is(Restore) }

// goesOn: the rung has a further action, after this outcome.
func (x *step) goesOn() bool { return x.mine() && x.is(Forward) && len(x.links()) > 0 }

// leadsNowhere: the rung expects one of several outcomes and got another one, such as a gate without a verdict.
func (x *step) leadsNowhere() bool {
	a := x.in.current()
	if !x.mine() || a.Follows || a.Purpose != Forward {
		return false
	}
	then := x.in.rungOf(a).Then
	_, foreseen := then[x.ev.Outcome]
	return len(then) > 0 && !foreseen
}

func (x *step) protects() bool { return x.mine() && x.in.current().Protect }

func (x *step) modelBack() bool   { return x.is(Restore) && x.heldNow() }
func (x *step) heldForward() bool { return x.is(Forward) && x.heldNow() }
func (x *step) heldSafe() bool    { return x.heldForward() && x.in.Degraded }

// heldNow: only a verdict that comes with this very event can end an incident.
func (x *step) heldNow() bool { return x.ev.Type == EvVerdict && x.held() }

// undoMine: the event is about the undo in progress.
func (x *step) undoMine() bool {
	a := x.in.current()
	return a != nil && a.Undo != nil && x.ev.ActionID == a.Undo.ID
}

func (x *step) undoAnswer(values ...string) bool {
	a, d := x.in.current(), x.ev.Decision
	return a != nil && a.Undo != nil && d != nil && d.RequestID == a.Undo.RequestID &&
		(a.Undo.AGL == AGLPending || a.Undo.AGL == AGLEscalated) && slices.Contains(values, d.AGL)
}

func (x *step) undoDecided() bool {
	return x.undoAnswer(AGLApproved, AGLModified) || x.undoAnswer(AGLEscalated) && x.in.current().Undo.AGL == AGLPending
}
func (x *step) undoDenied() bool    { return x.undoAnswer(AGLDenied) }
func (x *step) undoneMore() bool    { return x.undoMine() && x.nextUndoAfter(x.in.CurrentID) != nil }
func (x *step) undoneRestore() bool { return x.undoMine() && x.is(Restore) }

// relapsedSafe: bad again although safe mode stands, on data from after it was entered.
func (x *step) relapsedSafe() bool {
	return x.confirmed() && !x.in.Signal.WindowFrom.Before(x.in.ChangedAt) && x.in.Signal.ObservedAt.After(x.in.EnteredAt)
}

// relapsedEscalated: the same after a person was called for what was healthy in safe mode; nothing else opens it again.
func (x *step) relapsedEscalated() bool { return !x.unresolved() && x.in.Degraded && x.relapsedSafe() }

// toFence is an action that a person wants to have ended for certain before anything else is tried.
func (x *step) toFence() *Action {
	for i := range x.in.Actions {
		if a := &x.in.Actions[i]; a.uncertain() && (x.unresolved() || a.Purpose == Restore) {
			return a
		}
	}
	return nil
}
func (x *step) mustFence() bool { return x.toFence() != nil }

func (x *step) mayRestore() bool { return x.wantsModel() && x.mayLeave() }
func (x *step) flapping() bool   { return x.wantsModel() && !x.mayLeave() }

func (x *step) resumable() bool {
	if !x.unresolved() {
		return false
	}
	may := x.mayAct() && !x.dataBug() && !x.tooManyRelapses() && x.now.After(x.in.EnteredAt)
	if x.in.Escalation == EscFlapping { // the breaker is quiet again: the ladder begins anew, whatever its first rung
		return may
	}
	may = may && x.passOver() == ""
	switch x.in.Escalation {
	case EscSuspicion, EscWaited, EscDataBug:
		return may
	case EscNoDecision: // governance gets longer each time, so that its outage doesn't call a person each minute
		return may && x.now.Sub(x.in.EnteredAt) >= x.in.Settings.RestoreRetry*time.Duration(x.in.Escalations)
	default:
		return false
	}
}

// holdIsOver: what a person held when the ladder came to its end may be tried now.
func (x *step) holdIsOver() bool {
	in := x.in
	return in.Escalation == EscLadderEnd && !in.HeldUntil.IsZero() && !x.now.Before(in.HeldUntil) && x.unresolved() && x.confirmed() &&
		!in.Paused && len(in.Actions) < maxActions && x.now.After(in.EnteredAt)
}

// remindAfter is when a person is reminded of an agent that is left to them; each time it takes twice as long.
const remindAfter = 5 * time.Minute

func (x *step) mayRemind() bool {
	in := x.in
	return in.Kind == AgentDown && in.Escalation == EscLadderEnd && !x.expired() && x.confirmed() &&
		x.now.Sub(in.EnteredAt) >= remindAfter<<min(in.Reminders, 6)
}

func (x *step) dryIsOver() bool       { return !x.in.DryRun && x.confirmed() }
func (x *step) expiredDegraded() bool { return x.expired() && x.in.Degraded }
func (x *step) reopens() bool         { return Reopens(*x.in, *x.ev.Signal, x.now) }

package incident

// transition is one row of the machine. Without On it needs no event of its own: it is taken as soon as its guard holds.
type transition struct {
	From  []State
	On    EventType
	When  string // the guard in words
	Guard func(*step) bool
	To    State
	Do    func(*step) string // runs before the state is entered; its text, if any, is the reason in the timeline
}

// Sets of states that rows share.
var (
	live      = []State{Suspected, Detected, Proposed, AwaitingApproval, Approved, Executing, Verifying, Undoing, Degraded, Escalated, Observed}
	asked     = []State{Proposed, AwaitingApproval}
	notActing = []State{Suspected, Detected, Proposed, AwaitingApproval, Approved, Verifying, Degraded, Escalated, Observed}
	watched   = []State{Escalated, Observed}
)

func from(s ...State) []State { return s }

// table is the whole machine. The first row whose states, event and guard fit is taken; then the rows without an event
// are tried again. Rows that end, hand over or wait stand before rows that act.
var table = []transition{
	// A person and a more specific cause come first.
	{From: from(Proposed, AwaitingApproval, Approved), On: EvPerson, When: "a person restarted the agent, as was asked for", Guard: (*step).doneByHand, To: Detected, Do: (*step).leaveToTheRestart},
	{From: live, On: EvPerson, When: "a person changed what it acts on; safe mode stands", Guard: (*step).touchedInSafeMode, To: Escalated, Do: (*step).handActionToPerson},
	{From: live, On: EvPerson, When: "a person changed the very setting", Guard: (*step).touched, To: Superseded, Do: (*step).handToPerson},
	{From: notActing, When: "a more specific cause took over", Guard: (*step).mayTakeOver, To: Detected, Do: (*step).takeOver},
	{From: from(Detected, Proposed, AwaitingApproval, Approved, Observed), On: EvEscalate, When: "a person asked for it", Guard: (*step).forward, To: Escalated, Do: because(EscPerson)},

	// Suspected.
	{From: from(Suspected), When: "signal confirmed", Guard: (*step).confirmed, To: Detected, Do: (*step).detect},
	{From: from(Suspected), When: "signal healthy", Guard: (*step).cleared, To: Cancelled, Do: (*step).cancel},
	{From: from(Suspected), When: "deadline, still suspect", Guard: (*step).stillSuspect, To: Escalated, Do: because(EscSuspicion)},
	{From: from(Suspected), When: "deadline, no data", Guard: (*step).expired, To: Failed},

	// Detected: choose what to propose, or wait.
	{From: from(Detected), When: "signal healthy, nothing stands", Guard: (*step).gone, To: Cancelled, Do: (*step).cancel},
	{From: from(Detected), When: "signal healthy on data after the last action; safe mode stands", Guard: (*step).healedSafe, To: Degraded, Do: (*step).settle},
	{From: from(Detected), When: "signal healthy on data after the last action", Guard: (*step).healed, To: Resolved, Do: (*step).settle},
	{From: from(Detected), When: "a kind that only a person handles", Guard: (*step).notifyOnly, To: Escalated, Do: because(EscNotifyOnly)},
	{From: from(Detected), When: "a bug in the data is named", Guard: (*step).dataBug, To: Escalated, Do: because(EscDataBug)},
	{From: from(Detected), When: "too many relapses", Guard: (*step).tooManyRelapses, To: Escalated, Do: because(EscFlapping)},
	{From: from(Detected), When: "the ladder is at its end", Guard: (*step).ladderEnd, To: Escalated, Do: (*step).endLadder},
	{From: from(Detected), When: "the rung can't run", Guard: (*step).mustPassOver, To: Detected, Do: (*step).recordPassOver},
	{From: from(Detected), When: "confirmed, target free, not paused", Guard: (*step).mayAct, To: Proposed, Do: (*step).proposeRung},
	{From: from(Detected), When: "deadline", Guard: (*step).expired, To: Escalated, Do: (*step).waited},

	// A model is trained and promoted for a loss of accuracy that is still there.
	{From: from(Executing), When: "accurate again by itself while a model is trained, nothing stands", Guard: (*step).accurateAlone, To: Cancelled, Do: (*step).trainNothing},
	{From: from(Executing, Proposed, AwaitingApproval, Approved), When: "accurate again by itself before a promotion; safe mode stands", Guard: (*step).accurateSafe, To: Degraded, Do: (*step).promoteNothing},
	{From: from(Executing, Proposed, AwaitingApproval, Approved), When: "accurate again by itself before a promotion", Guard: (*step).accurate, To: Resolved, Do: (*step).promoteNothing},

	// Asked: governance, then perhaps a person. Silence is no.
	{From: from(Proposed), When: "deadline, no decision", Guard: (*step).expired, To: Escalated, Do: (*step).noDecision},
	{From: from(AwaitingApproval), When: "deadline; something of the rung stands", Guard: (*step).expiredChain, To: Undoing, Do: (*step).lateAndUndo},
	{From: from(AwaitingApproval), When: "deadline, model stays out", Guard: (*step).expiredRestore, To: Degraded, Do: (*step).lateRestore},
	{From: from(AwaitingApproval), When: "deadline: denied", Guard: (*step).expired, To: Detected, Do: (*step).late},
	{From: from(Proposed), On: EvDecision, When: "held for a person", Guard: on(AGLPending, AGLEscalated), To: AwaitingApproval, Do: (*step).hold},
	{From: asked, On: EvDecision, When: "approved", Guard: on(AGLApproved, AGLModified), To: Approved, Do: (*step).approve},
	{From: asked, On: EvDecision, When: "denied until later; something of the rung stands", Guard: (*step).deniedForNow, To: Proposed, Do: (*step).askWhenAllowed},
	{From: asked, On: EvDecision, When: "denied; something of the rung stands", Guard: (*step).deniedChain, To: Undoing, Do: (*step).denyAndUndo},
	{From: asked, On: EvDecision, When: "denied, model stays out", Guard: (*step).deniedRestore, To: Degraded, Do: (*step).denyRestore},
	{From: asked, On: EvDecision, When: "denied", Guard: on(AGLDenied), To: Detected, Do: (*step).deny},

	// The cause may go away before anything is done.
	{From: from(Proposed, AwaitingApproval, Approved), When: "signal healthy, nothing stands", Guard: (*step).goneForward, To: Cancelled, Do: (*step).cancel},
	{From: from(Proposed, AwaitingApproval, Approved), When: "the shadow is not healthy any more", Guard: (*step).illBeforeLeaving, To: Degraded, Do: (*step).withdrawRestore},

	// Approved: test again on fresh data, then act.
	{From: from(Approved), When: "approval expired: ask again", Guard: (*step).askAgain, To: Proposed, Do: (*step).ask},
	{From: from(Approved), When: "approval expired too often", Guard: (*step).expired, To: Escalated, Do: (*step).noDecision},
	{From: from(Approved), When: "dry run", Guard: (*step).dry, To: Observed, Do: (*step).observe},
	{From: from(Approved), When: "confirmed on fresh data, target free, not paused", Guard: (*step).mayExecute, To: Executing, Do: (*step).execute},

	// A rung that can't run is recorded and passed over.
	{From: from(Executing), On: EvRefused, When: "approval expired: ask again", Guard: (*step).refusedExpired, To: Proposed, Do: (*step).ask},
	{From: from(Proposed, AwaitingApproval, Approved, Executing), On: EvRefused, When: "refused; something of the rung stands", Guard: (*step).refusedChain, To: Undoing, Do: (*step).refuseAndUndo},
	{From: from(Proposed, AwaitingApproval, Approved, Executing), On: EvRefused, When: "refused, model stays out", Guard: (*step).refusedRestore, To: Degraded, Do: (*step).refuseRestore},
	{From: from(Proposed, AwaitingApproval, Approved, Executing), On: EvRefused, When: "refused", Guard: (*step).refused, To: Detected, Do: (*step).refuse},

	// Executing.
	{From: from(Executing), On: EvSucceeded, When: "the rung goes on", Guard: (*step).goesOn, To: Proposed, Do: (*step).proposeNext},
	{From: from(Executing), On: EvSucceeded, When: "its outcome leads nowhere", Guard: (*step).leadsNowhere, To: Undoing, Do: (*step).undoNowhere},
	{From: from(Executing), On: EvSucceeded, When: "it protects while the next rung heals", Guard: (*step).protects, To: Detected, Do: (*step).keepProtecting},
	{From: from(Executing), On: EvSucceeded, When: "executed", Guard: (*step).mine, To: Verifying, Do: (*step).executed},
	{From: from(Executing), On: EvFailed, When: "broken; it may have taken effect", Guard: (*step).mine, To: Undoing, Do: (*step).undoBroken},
	{From: from(Executing), On: EvUnsent, When: "its executor is gone, and it never took effect: test again", Guard: (*step).mine, To: Approved, Do: (*step).takeBack},
	{From: from(Executing), When: "deadline; it may have taken effect", Guard: (*step).expired, To: Undoing, Do: (*step).undoLate},

	// Verifying.
	{From: from(Verifying), When: "healthy on what the model decided since", Guard: (*step).modelBack, To: Resolved, Do: (*step).restored},
	{From: from(Verifying), When: "healthy on post-action data for the dwell; safe mode stands", Guard: (*step).heldSafe, To: Degraded, Do: (*step).settle},
	{From: from(Verifying), When: "healthy on post-action data for the dwell", Guard: (*step).heldForward, To: Resolved, Do: (*step).settle},
	{From: from(Verifying), On: EvVerdict, When: "still bad, or another signal worse", Guard: (*step).bad, To: Undoing, Do: (*step).undoBad},
	{From: from(Verifying), When: "deadline: not shown healthy", Guard: (*step).expired, To: Undoing, Do: (*step).undoUnverified},

	// Undoing: the last action first; an undo is decided by governance like any other action.
	{From: from(Undoing), On: EvDecision, When: "undo approved, or held for a person", Guard: (*step).undoDecided, To: Undoing, Do: (*step).noteUndo},
	{From: from(Undoing), On: EvDecision, When: "undo denied", Guard: (*step).undoDenied, To: Escalated, Do: (*step).undoFailed},
	{From: from(Undoing), On: EvUndone, When: "undone; more of the rung stands", Guard: (*step).undoneMore, To: Undoing, Do: (*step).undoMore},
	{From: from(Undoing), On: EvUndone, When: "safe mode again", Guard: (*step).undoneRestore, To: Degraded, Do: (*step).backToSafe},
	{From: from(Undoing), On: EvUndone, When: "undone: next rung", Guard: (*step).undoMine, To: Detected, Do: (*step).undone},
	{From: from(Undoing), On: EvUndoFailed, When: "approval expired: ask again", Guard: (*step).undoExpired, To: Undoing, Do: (*step).askUndoAgain},
	{From: from(Undoing), On: EvUndoFailed, When: "undo failed", Guard: (*step).undoMine, To: Escalated, Do: (*step).undoFailed},
	{From: from(Undoing), When: "deadline", Guard: (*step).expired, To: Escalated, Do: (*step).undoFailed},

	// Degraded: healthy in safe mode.
	{From: from(Degraded), When: "signal confirmed in safe mode: relapse", Guard: (*step).relapsedSafe, To: Detected, Do: (*step).relapse},
	{From: from(Degraded), When: "model healthy, but the flap guard is shut", Guard: (*step).flapping, To: Escalated, Do: (*step).trip},
	{From: from(Degraded), When: "model healthy in the shadow for the dwell", Guard: (*step).mayRestore, To: Proposed, Do: (*step).proposeRestore},
	{From: from(Degraded), When: "deadline", Guard: (*step).expired, To: Escalated, Do: because(EscDegraded)},

	// With a person, or in a dry run: still watched.
	{From: watched, On: EvRetry, When: "a person tries again; an action is not known to have ended", Guard: (*step).mustFence, To: Undoing, Do: (*step).fenceAgain},
	{From: watched, On: EvRetry, When: "a person starts the ladder again", Guard: (*step).unresolved, To: Detected, Do: (*step).retry},
	{From: watched, On: EvClose, When: "a person ends it", Guard: (*step).mayClose, To: Failed, Do: (*step).closeByHand},
	{From: watched, When: "signal healthy, nothing stands", Guard: (*step).gone, To: Cancelled, Do: (*step).cancel},
	{From: watched, When: "signal healthy on data after the last action; safe mode stands", Guard: (*step).healedSafe, To: Degraded, Do: (*step).settle},
	{From: watched, When: "signal healthy on data after the last action", Guard: (*step).healed, To: Resolved, Do: (*step).settle},
	{From: from(Escalated), When: "it was healthy in safe mode, and is confirmed again: relapse", Guard: (*step).relapsedEscalated, To: Detected, Do: (*step).relapse},
	{From: from(Escalated), When: "model healthy in the shadow for the dwell, flap guard open", Guard: (*step).mayRestore, To: Proposed, Do: (*step).proposeRestore},
	{From: from(Escalated), When: "what it waited for is there", Guard: (*step).resumable, To: Detected, Do: (*step).detect},
	{From: from(Escalated), When: "a person's hold is over, and it is confirmed still", Guard: (*step).holdIsOver, To: Detected, Do: (*step).afterHold},
	{From: from(Observed), When: "dry run is over", Guard: (*step).dryIsOver, To: Detected},
	{From: from(Escalated), When: "an agent is down still, and only a person can start it: call again", Guard: (*step).mayRemind, To: Escalated, Do: (*step).remind},
	{From: from(Escalated), When: "deadline; safe mode stands: call again", Guard: (*step).expiredDegraded, To: Escalated, Do: (*step).callAgain},
	{From: watched, When: "deadline", Guard: (*step).expired, To: Failed, Do: (*step).fail},

	// The end, unless it comes back.
	{From: from(Resolved, Cancelled), On: EvSignal, When: "relapse", Guard: (*step).reopens, To: Detected, Do: (*step).relapse},
}

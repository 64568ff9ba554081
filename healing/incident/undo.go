package incident

import (
	"strconv"
	"time"
)

// Undoing: what a rung has executed is taken back, the last action first.

// nextUndo is the last action of the rung in progress that stands.
func (x *step) nextUndo() *Action { return x.nextUndoAfter("") }

// nextUndoAfter is the same, looking only before an action. An action that restores is alone.
func (x *step) nextUndoAfter(id string) *Action {
	in := x.in
	if cur := in.current(); cur != nil && cur.Purpose == Restore {
		if id == "" && cur.open() {
			return cur
		}
		return nil
	}
	for i := len(in.Actions) - 1; i >= 0; i-- {
		a := &in.Actions[i]
		if a.ID != id && a.open() && !a.Protect && a.Purpose == Forward && a.Rung == in.RungIndex {
			return a
		}
	}
	return nil
}

// startUndo makes an action the one that is being undone.
func (x *step) startUndo(a *Action, why string) {
	x.in.CurrentID, x.in.Queue = a.ID, nil
	if a.Undo != nil {
		return
	}
	x.newUndo(a, a.ID+"/undo", why)
}

func (x *step) newUndo(a *Action, id, why string) {
	a.Undo = &UndoRecord{ID: id, RequestID: id + "/r1", Reason: why, AskedAt: x.now}
	if a.Inverse != nil {
		a.Undo.AGL = AGLPending
	}
}

// fenceAgain undoes, for the second time, what could not be undone; the ladder starts from its foot after that.
func (x *step) fenceAgain() string {
	a := x.toFence()
	x.in.Seq++
	x.newUndo(a, a.ID+"/undo"+strconv.Itoa(x.in.Seq), "a person tries again")
	x.fromTheFoot()
	x.in.CurrentID, x.in.RungIndex, x.in.Escalation = a.ID, -1, ""
	return a.Type + ": " + x.ev.By + " tries again"
}

func (x *step) undoThis(why string) string {
	a := x.in.current()
	x.startUndo(a, why)
	return a.Type + ": " + why
}

func (x *step) undoNowhere() string {
	why := x.undoThis("its outcome was " + orNone(x.ev.Outcome) + orNothing(": ", x.ev.Reason))
	x.in.current().Undo.Blameless = x.ev.Blameless
	return why
}
func (x *step) undoBroken() string { return x.undoThis("broken: " + x.ev.Reason) }
func (x *step) undoLate() string   { return x.undoThis("not done in time") }

func (x *step) undoBad() string {
	v := x.ev.Verdict
	if v.Worse != "" {
		return x.undoThis(v.Worse + " got worse")
	}
	return x.undoThis(stillBad + orNothing(": ", v.Reason))
}

const stillBad = "the signal is still bad"

func (x *step) undoUnverified() string { return x.undoThis("not shown healthy in time") }

func (x *step) noteUndo() string {
	u, d := x.in.current().Undo, x.ev.Decision
	u.AGL, u.Rule, u.Envelope = d.AGL, d.Rule, d.Envelope
	if d.AGL == AGLEscalated {
		u.HeldUntil = d.ExpiresAt
		return "undo held for a person by " + d.Rule
	}
	return "undo " + d.AGL + " by " + d.Rule
}

// undoExpired: what allowed the undo came too late, or its key was rotated; nothing was taken back.
func (x *step) undoExpired() bool {
	return x.undoMine() && x.ev.Expired && x.in.current().Inverse != nil && x.in.current().Undo.Asks+1 < x.in.Settings.MaxAsks
}

func (x *step) askUndoAgain() string {
	u := x.in.current().Undo
	u.Asks++
	u.RequestID = u.ID + "/r" + strconv.Itoa(u.Asks+1)
	u.AGL, u.Envelope, u.HeldUntil = AGLPending, nil, time.Time{}
	return "the approval of the undo expired before it could be used"
}

func (x *step) undoMore() string {
	was := x.in.current()
	x.startUndo(x.nextUndoAfter(x.in.CurrentID), was.Undo.Reason)
	if u := x.in.current().Undo; u.Reason == was.Undo.Reason {
		u.Blameless = was.Undo.Blameless
	}
	return "undone; " + x.in.current().Type + " is next"
}

func (x *step) undone() string {
	why := x.in.current().Type + " undone"
	if x.in.current().Inverse == nil {
		why = x.in.current().Type + " did not hold"
	}
	x.in.CurrentID = ""
	if x.in.RungIndex++; x.in.RungIndex == 0 { // fenced again: now the ladder begins
		x.in.PassAt = x.now
	}
	return why
}

func (x *step) backToSafe() string {
	x.in.CurrentID = ""
	return "back in safe mode: the model is not healthy yet"
}

func (x *step) undoFailed() string {
	u := x.in.current().Undo
	if u.EndedAt.IsZero() {
		u.EndedAt = x.now
	}
	if x.ev.Type == EvDecision {
		u.AGL = AGLDenied
	}
	return x.call(EscUndoFailed, x.in.current().Type+" could not be taken back"+orNothing(": ", x.ev.Reason))
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

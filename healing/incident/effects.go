package incident

import (
	"fmt"
	"time"
)

// stateEffects are what a state implies; performing them again is harmless, since their ids say what they are.
func stateEffects(in Incident) []Effect {
	a := in.current()
	fx := Effect{IncidentID: in.ID}
	if a != nil {
		r := in.rungOf(a)
		fx.Action, fx.Purpose, fx.Touches, fx.Verification = ref(*a), a.Purpose, Touches(a.Type, a.Params), r.Verification
		if a.Purpose == Forward {
			fx.Cooldown = r.Cooldown
		}
		if a.Purpose == Forward && !a.Follows {
			fx.Requires = r.Requires
		}
	}
	switch in.State {
	case Proposed:
		if in.SentAt.Before(a.NotBefore) {
			return nil
		}
		fx.ID, fx.Type, fx.RequestID = a.RequestID, FxPolicy, a.RequestID
	case AwaitingApproval:
		fx.ID, fx.Type, fx.RequestID = a.RequestID, FxPolicy, a.RequestID
		// Whoever may decide isn't looking at the page all the time.
		return []Effect{fx, {IncidentID: in.ID, ID: a.RequestID + "/call", Type: FxNotify, Escalation: EscApproval, Text: askText(in, a)}}
	case Executing:
		fx.ID, fx.Type, fx.RequestID = a.ID+"/execute", FxExecute, a.RequestID
	case Verifying:
		fx.ID, fx.Type, fx.After = a.ID+"/verify", FxVerify, a.ExecutedAt
	case Undoing:
		undoEffect(&fx, a)
	case Escalated:
		fx.ID, fx.Type = fmt.Sprintf("%s/n%d", in.ID, in.Escalations), FxNotify
		fx.Escalation, fx.Text = in.Escalation, callText(in)
	default:
		return nil
	}
	return []Effect{fx}
}

// undoEffect asks for the undo, or performs it once it is approved or needs no asking.
func undoEffect(fx *Effect, a *Action) {
	u := a.Undo
	fx.Undoes, fx.Purpose, fx.Cooldown, fx.Requires, fx.RequestID = a.ID, Undo, 0, nil, u.RequestID
	switch u.AGL {
	case AGLPending, AGLEscalated:
		fx.ID, fx.Type = u.RequestID, FxPolicy
	default:
		fx.ID, fx.Type = u.ID, FxUndo
	}
}

// memoryOf is what an ended action was worth; nil if it taught nothing: it never took effect, or nobody knows.
func memoryOf(in Incident, a Action) *Effect {
	if a.Undo != nil && a.Undo.Blameless {
		return nil // a person's silence or denial took it back, or its data were not to be believed
	}
	if a.ExecutedAt.IsZero() || a.Result != Verified && a.Result != Stood && a.Result != Undone && a.Result != NotHeld {
		return nil
	}
	m := Memory{
		Kind: in.Kind, Fingerprint: in.Fingerprint, Action: a.Type, ActionID: a.ID, Held: a.Result == Verified,
		Before: a.Before, After: a.After, Seconds: a.EndedAt.Sub(a.ProposedAt).Seconds(), At: a.EndedAt,
	}
	m.NoCredit, m.SelfRecovered = a.NoCredit, a.NoCredit == NoCreditSelf
	return &Effect{ID: a.ID + "/m/" + string(a.Result), Type: FxRemember, IncidentID: in.ID, Memory: &m}
}

// selfMemory is the memory of an incident that ended before anything was done.
func selfMemory(in Incident, at time.Time) Effect {
	m := Memory{
		Kind: in.Kind, Fingerprint: in.Fingerprint, SelfRecovered: true, NoCredit: NoCreditSelf, At: at,
		Before: map[string]float64{"threshold": in.Signal.Threshold}, After: map[string]float64{"value": in.Signal.Value},
		Seconds: at.Sub(in.Detected()).Seconds(),
	}
	if in.personHelped() {
		m.NoCredit = NoCreditPerson
	}
	return Effect{ID: fmt.Sprintf("%s/self%d", in.ID, at.UnixMicro()), Type: FxRemember, IncidentID: in.ID, Memory: &m}
}

func logEffect(in Incident, e Entry) Effect {
	return Effect{ID: fmt.Sprintf("%s/s%d", in.ID, e.Seq), Type: FxLog, IncidentID: in.ID, Entry: &e}
}

func ref(a Action) *Action {
	if a.Undo != nil {
		u := *a.Undo
		a.Undo = &u
	}
	return &a
}

func known(s State) bool {
	switch s {
	case Suspected, Detected, Proposed, AwaitingApproval, Approved, Executing, Verifying, Undoing, Degraded, Escalated,
		Observed, Resolved, Cancelled, Superseded, Failed:
		return true
	}
	return false
}

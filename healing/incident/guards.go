package incident

import (
	"slices"
	"time"
)

// current is the action in progress.
func (in *Incident) current() *Action { return in.action(in.CurrentID) }

func (in *Incident) action(id string) *Action {
	for i := range in.Actions {
		if in.Actions[i].ID == id {
			return &in.Actions[i]
		}
	}
	return nil
}

// rung is the one in progress or next, rungOf the one of an action. An action that restores has none: its own dwell holds.
func (in *Incident) rung() (Rung, bool) {
	if in.RungIndex < 0 || in.RungIndex >= len(in.Ladder) {
		return Rung{}, false
	}
	return in.Ladder[in.RungIndex], true
}

func (in *Incident) rungOf(a *Action) Rung {
	r := Rung{Verification: VerifyModelBack, Dwell: in.Settings.RestoreVerify}
	if a == nil {
		return r
	}
	if a.Rung >= 0 && a.Rung < len(in.Ladder) {
		r = in.Ladder[a.Rung]
	}
	return r.narrowed(a.Params)
}

// VerifyModelBack is the verification after safe mode was left: the opening signal, on what the model decided since.
const VerifyModelBack = "model_back"

func (x *step) expired() bool { return !x.in.DeadlineAt.IsZero() && !x.now.Before(x.in.DeadlineAt) }

// fresh: an observation counts only for a short time; clocks that differ too much make it UNKNOWN as well.
func (x *step) fresh(at time.Time) bool {
	age := x.now.Sub(at)
	return !at.IsZero() && age <= x.in.Settings.StaleAfter && age >= -x.in.Settings.StaleAfter
}

// signalState is what may be concluded from the signal now.
func (x *step) signalState() SignalState {
	s := x.in.Signal
	if !x.fresh(s.ObservedAt) || s.State == Warming {
		return Unknown
	}
	return s.State
}

func (x *step) confirmed() bool { return x.notConfirmed() == "" }

// cleared: HEALTHY without a break for the dwell, on data from after our last change.
func (x *step) cleared() bool {
	in := x.in
	return x.signalState() == Healthy && !in.HealthySince.IsZero() && in.Signal.ObservedAt.Sub(in.HealthySince) >= x.clearDwell()
}

// clearDwell is longer once a person was called for what healing can't mend and nothing protects, the more so the oftener
// it came back: what comes and goes stays one incident, and calls nobody twice.
func (x *step) clearDwell() time.Duration {
	beyond := []Escalation{EscLadderEnd, EscFlapping, EscNotifyOnly, EscDataBug}
	if x.in.State != Escalated || x.in.Degraded || !slices.Contains(beyond, x.in.Escalation) {
		return x.in.Settings.ClearDwell
	}
	return x.in.Settings.CalledDwell * time.Duration(1+x.relapses())
}

// stands reports whether something that was executed, or may have been, is neither undone nor ended.
func (in *Incident) stands() bool {
	return in.Degraded || slices.ContainsFunc(in.Actions, func(a Action) bool { return a.open() })
}

// open: handed to the executor and not ended; a person who was called has not ended it.
func (a Action) open() bool {
	return !a.SentAt.IsZero() && (a.Result == "" || a.Result == HandedOver)
}

// uncertain: it may take effect at any time, or its undo did not succeed.
func (a Action) uncertain() bool {
	return a.open() && (a.ExecutedAt.IsZero() || a.Undo != nil && !a.Undo.OK)
}

// inFlight reports whether an earlier action that isn't known to have taken effect touches one of the settings.
func (in *Incident) inFlight(settings []string) bool {
	return slices.ContainsFunc(in.Actions, func(a Action) bool {
		return a.ID != in.CurrentID && a.open() && a.ExecutedAt.IsZero() && slices.ContainsFunc(Touches(a.Type, a.Params), func(s string) bool {
			return slices.Contains(settings, s)
		})
	})
}

// mayAct: the next rung may be proposed now.
func (x *step) mayAct() bool { return x.notYetAsked() == "" }

// shadowWell: the model beside safe mode was HEALTHY without a break for the dwell.
func (x *step) shadowWell() bool {
	in := x.in
	return in.Shadow.State == Healthy && x.fresh(in.Shadow.ObservedAt) && !in.ShadowSince.IsZero() &&
		in.Shadow.ObservedAt.Sub(in.ShadowSince) >= in.Settings.RestoreDwell
}

// shadowIll: the shadow doesn't show HEALTHY any more.
func (x *step) shadowIll() bool {
	return x.in.Shadow.State != Healthy || !x.fresh(x.in.Shadow.ObservedAt)
}

// changes counts this incident's changes of mode in the flap window, which doubles each time the guard trips.
func (x *step) changes() int {
	window, n := x.flapWindow(), 0
	for _, at := range x.in.ModeChanges {
		if x.now.Sub(at) < window {
			n++
		}
	}
	return n
}

func (x *step) flapWindow() time.Duration {
	return x.in.Settings.FlapWindow << min(x.in.Trips, 5)
}

// mayLeave: there is room for leaving safe mode and, should that fail, for entering it again.
func (x *step) mayLeave() bool { return x.changes()+2 <= x.in.Settings.MaxModeChanges }

// leaveAt is when there is room again, if nothing else changes the mode; zero: there is.
func (x *step) leaveAt() time.Time {
	if x.mayLeave() || len(x.in.ModeChanges) == 0 {
		return time.Time{}
	}
	changes, oldest := x.in.ModeChanges, len(x.in.ModeChanges)-max(1, x.in.Settings.MaxModeChanges-1)
	return changes[max(0, oldest)].Add(x.flapWindow())
}

func (x *step) wantsModel() bool {
	return x.in.Degraded && !x.in.ResolvedAt.IsZero() && x.shadowWell() && !x.now.Before(x.in.RestoreAfter) && !x.in.inFlight([]string{"mode"}) && x.ev.Busy == ""
}

// relapses in the window.
func (x *step) relapses() (n int) {
	for _, at := range x.in.Relapses {
		if x.now.Sub(at) <= x.in.Settings.RelapseWindow {
			n++
		}
	}
	return n
}

// passOver says why the next rung isn't even asked for; empty: it may be.
func (x *step) passOver() string {
	r, ok := x.in.rung()
	if !ok {
		return ""
	}
	for _, fact := range r.Requires {
		// What the signal doesn't know the agent tests when the policy is asked (REFUSED).
		holds, known := x.in.Signal.Facts[fact]
		if fact == FactOutgrown {
			holds, known = x.in.Outgrown(), true
		}
		if known && !holds {
			return "its precondition " + fact + " does not hold"
		}
	}
	if x.in.inFlight(Touches(r.Action, x.in.paramsOf(r))) {
		return "an earlier action on the same target is not known to have ended"
	}
	if r.Action == RestartAgent && x.in.Kind == AgentDown && x.in.Signal.Facts[FactGone] {
		return "no instance of it is left that could be restarted"
	}
	if r.Action == EnableSafeMode && x.in.Degraded {
		return "safe mode stands already"
	}
	if r.Action == EnableSafeMode && x.changes() >= x.in.Settings.MaxModeChanges {
		return "flap guard: too many changes of mode"
	}
	return ""
}

// mine: the event is about the action in progress.
func (x *step) mine() bool {
	return x.in.CurrentID != "" && x.ev.ActionID == x.in.CurrentID
}

// purpose of the action in progress.
func (x *step) is(p Purpose) bool {
	a := x.in.current()
	return a != nil && a.Purpose == p
}

// follows: the action in progress is a later one of its rung's chain.
func (x *step) follows() bool {
	a := x.in.current()
	return a != nil && a.Follows
}

// decided: the event answers the request in progress with one of the values.
func (x *step) decided(values ...string) bool {
	a, d := x.in.current(), x.ev.Decision
	return a != nil && d != nil && d.RequestID == a.RequestID && slices.Contains(values, d.AGL)
}

// held: HEALTHY verdicts on post-action data for the dwell.
func (x *step) held() bool {
	a := x.in.current()
	return x.mine() && a.Verdict != nil && a.Verdict.State == Healthy && !a.HealthySince.IsZero() &&
		a.Verdict.ObservedAt.Sub(a.HealthySince) >= x.in.rungOf(a).Dwell
}

// bad: a verdict that the action didn't help, or harmed something else.
func (x *step) bad() bool {
	v := x.ev.Verdict
	return x.mine() && v != nil && (v.State == Confirmed || v.Worse != "") && !v.From.Before(x.in.current().ExecutedAt)
}

// executedInRung: an earlier action of the same rung stands.
func (x *step) executedInRung() bool { return x.nextUndoAfter(x.in.CurrentID) != nil }

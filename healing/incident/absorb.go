package incident

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// check refuses what is no event, or no incident.
func check(in Incident, ev Event) error {
	if in.ID == "" || !known(in.State) {
		return fmt.Errorf("%w: id %q, state %q", ErrIncident, in.ID, in.State)
	}
	missing := func(absent bool, field string) error {
		if absent {
			return fmt.Errorf("%w: %s without %s", ErrEvent, ev.Type, field)
		}
		return nil
	}
	switch ev.Type {
	case EvSignal:
		if ev.Signal != nil && !finite(ev.Signal.Numbers, ev.Signal.Value, ev.Signal.Threshold) {
			return fmt.Errorf("%w: a number of the signal is not finite", ErrEvent)
		}
		return missing(ev.Signal == nil, "signal")
	case EvShadow:
		if ev.Shadow != nil && !finite(ev.Shadow.Numbers) {
			return fmt.Errorf("%w: a number of the shadow is not finite", ErrEvent)
		}
		return missing(ev.Shadow == nil, "shadow")
	case EvVerdict:
		if ev.Verdict != nil && !finite(ev.Verdict.Numbers, ev.Verdict.Lower, ev.Verdict.Upper) {
			return fmt.Errorf("%w: a number of the verdict is not finite", ErrEvent)
		}
		return missing(ev.Verdict == nil || ev.ActionID == "", "verdict or action id")
	case EvDecision:
		return missing(ev.Decision == nil, "decision")
	case EvTakeOver:
		return missing(ev.TakeOver == nil || ev.TakeOver.Signal.Fingerprint == "", "take-over")
	case EvPerson:
		return missing(ev.Setting == "", "setting")
	case EvSucceeded:
		if !finite(ev.Numbers) {
			return fmt.Errorf("%w: a number of the outcome is not finite", ErrEvent)
		}
		return missing(ev.ActionID == "", "action id")
	case EvStarted, EvProgress, EvFailed, EvRefused, EvUnsent, EvUndone, EvUndoFailed:
		return missing(ev.ActionID == "", "action id")
	case EvPause, EvResume, EvDryRun, EvRetry, EvEscalate, EvClose, EvTick:
		return nil
	}
	return fmt.Errorf("%w: %q", ErrEvent, ev.Type)
}

func finite(numbers map[string]float64, more ...float64) bool {
	bad := func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) }
	for _, v := range more {
		if bad(v) {
			return false
		}
	}
	for _, v := range numbers {
		if bad(v) {
			return false
		}
	}
	return true
}

// absorb notes what the event says, whatever the state; false: it says nothing new to this incident, and no transition
// needs to be looked for.
func (x *step) absorb() bool {
	switch x.ev.Type {
	case EvSignal:
		return x.absorbSignal(*x.ev.Signal)
	case EvShadow:
		return x.absorbShadow(*x.ev.Shadow)
	case EvVerdict:
		return x.absorbVerdict(*x.ev.Verdict)
	case EvPause:
		x.in.Paused = true
	case EvResume:
		x.in.Paused = false
	case EvDryRun:
		x.in.DryRun = x.ev.On
	case EvTakeOver:
		if x.ev.TakeOver.Signal.Fingerprint == x.in.Fingerprint || x.in.State.Final() {
			return false
		}
		x.in.Pending = x.ev.TakeOver
	case EvStarted:
		if a := x.in.current(); x.mine() && x.in.State == Executing && a.StartedAt.IsZero() {
			a.StartedAt = x.at()
		}
	case EvProgress:
		return x.absorbProgress()
	case EvSucceeded:
		x.absorbSuccess()
	case EvUndone:
		x.absorbUndone()
	}
	return true
}

// at is when the event happened: never in the future, never before the state it belongs to.
func (x *step) at() time.Time {
	at := x.ev.At
	if at.IsZero() || at.After(x.now) {
		at = x.now
	}
	if a := x.in.current(); a != nil && at.Before(a.SentAt) {
		at = a.SentAt
	}
	return at
}

func (x *step) absorbSignal(s Signal) bool {
	in := x.in
	if s.Fingerprint != in.Fingerprint || s.ObservedAt.Before(in.Signal.ObservedAt) {
		return false
	}
	gap := s.ObservedAt.Sub(in.Signal.ObservedAt) > in.Settings.StaleAfter
	switch {
	case s.State != Healthy || !in.ChangedAt.IsZero() && (s.WindowFrom.Before(in.ChangedAt) || s.ObservedAt.Before(in.ChangedAt)):
		in.HealthySince = time.Time{}
	case in.HealthySince.IsZero() || gap: // silence in between is not health
		in.HealthySince = s.ObservedAt
	}
	if s.State == Confirmed && in.State != Verifying && in.State != Undoing {
		in.drifting(s.With)
	}
	if s.OnsetAt.IsZero() {
		s.OnsetAt = in.Signal.OnsetAt
	}
	if in.OnsetAt.IsZero() || in.State == Suspected && !s.OnsetAt.IsZero() {
		in.OnsetAt = s.OnsetAt
		if in.OnsetAt.After(in.OpenedAt) { // an estimate; the first alarm was there already
			in.OnsetAt = in.OpenedAt
		}
	}
	in.Signal = s
	return true
}

// drifting notes other features, each as it was when it was seen last.
func (in *Incident) drifting(with []Drift) {
	for _, d := range with {
		i := slices.IndexFunc(in.With, func(known Drift) bool { return known.Target == d.Target })
		if i < 0 {
			in.With = append(in.With, d)
			continue
		}
		in.With[i] = d
	}
}

func (x *step) absorbShadow(s Shadow) bool {
	in := x.in
	if s.ObservedAt.Before(in.Shadow.ObservedAt) {
		return false
	}
	gap := s.ObservedAt.Sub(in.Shadow.ObservedAt) > in.Settings.StaleAfter
	switch {
	case s.State != Healthy || s.ObservedAt.Before(in.ChangedAt):
		in.ShadowSince = time.Time{}
	case in.ShadowSince.IsZero() || gap:
		in.ShadowSince = s.ObservedAt
	}
	in.Shadow = s
	return true
}

// absorbVerdict takes a verdict about the action being verified. One on older data, or on none, shows nothing.
func (x *step) absorbVerdict(v Verdict) bool {
	a := x.in.current()
	if x.in.State != Verifying || !x.mine() || a.Verdict != nil && v.ObservedAt.Before(a.Verdict.ObservedAt) {
		return false
	}
	if v.State == Healthy && (v.N <= 0 || v.From.Before(a.ExecutedAt) || v.ObservedAt.Before(a.ExecutedAt) || !x.fresh(v.ObservedAt)) {
		return false
	}
	gap := a.Verdict != nil && v.ObservedAt.Sub(a.Verdict.ObservedAt) > x.in.Settings.StaleAfter
	switch {
	case v.State != Healthy || v.Worse != "":
		a.HealthySince = time.Time{}
	case a.HealthySince.IsZero() || gap:
		a.HealthySince = v.ObservedAt
	}
	a.Verdict, a.After = &v, v.Numbers
	return true
}

// maxProgress bounds how often an action may say how far it is, and how much, in characters.
const maxProgress, maxProgressText = 20, 400

// absorbProgress writes into the timeline how far the action in progress is, where that is something new.
func (x *step) absorbProgress() bool {
	a, text := x.in.current(), cut(x.ev.Reason, maxProgressText)
	if !x.mine() || x.in.State != Executing || text == "" || text == a.Progress {
		return false
	}
	said := 0
	for _, e := range x.in.Timeline {
		if e.Event == EvProgress && e.ActionID == a.ID {
			said++
		}
	}
	if said >= maxProgress {
		return false
	}
	a.Progress = text
	x.note(a.Type + ": " + text)
	return true
}

// absorbSuccess notes that an action took effect, even if that is told too late for the state.
func (x *step) absorbSuccess() {
	a := x.in.action(x.ev.ActionID)
	if a == nil || a.SentAt.IsZero() || !a.ExecutedAt.IsZero() || a.Result != "" && a.Result != HandedOver {
		return
	}
	a.ExecutedAt = x.at()
	if a.StartedAt.IsZero() {
		a.StartedAt = a.SentAt
	}
	if len(x.ev.Numbers) > 0 {
		a.After = x.ev.Numbers
	}
	if a.Type != TriggerRetraining { // it changes nothing that decides: what was seen meanwhile counts
		x.changed(a.ExecutedAt, a.Type)
	}
	if a.Type == EnableSafeMode {
		x.in.Degraded = true
	}
}

// absorbUndone notes that an action was taken back, even if that is told too late for the state.
func (x *step) absorbUndone() {
	for i := range x.in.Actions {
		a := &x.in.Actions[i]
		if a.Undo == nil || a.Undo.ID != x.ev.ActionID || a.Undo.OK {
			continue
		}
		a.Undo.OK, a.Undo.EndedAt = true, x.at()
		x.end(a, Undone, a.Undo.Reason)
		if a.Inverse == nil {
			a.Result = NotHeld
		}
		if a.ExecutedAt.IsZero() {
			continue // it never took effect, and now it never will
		}
		x.changed(a.Undo.EndedAt, a.Inverse.kind())
		if a.Type == EnableSafeMode {
			x.in.Degraded = false
		}
	}
}

func (v *Inverse) kind() string {
	if v == nil {
		return ""
	}
	return v.Type
}

// changed starts the data anew: what was seen before our own change says nothing about what comes after it.
func (x *step) changed(at time.Time, action string) {
	in := x.in
	if at.After(in.ChangedAt) {
		in.ChangedAt = at
	}
	in.HealthySince, in.ShadowSince = time.Time{}, time.Time{}
	if action == EnableSafeMode || action == DisableSafeMode {
		if in.ModeChanges = append(in.ModeChanges, at); len(in.ModeChanges) > 32 {
			in.ModeChanges = in.ModeChanges[len(in.ModeChanges)-32:]
		}
	}
}

package incident

import (
	"fmt"
	"slices"
	"time"
)

// maxTimeline bounds the timeline: the first quarter and the newest rest are kept.
const maxTimeline = 400

// maxActions bounds the actions of one incident; past it only a person goes on.
const maxActions = 256

// maxChain bounds the transitions of one step; more would be a loop in the table.
const maxChain = 64

// step is one call of Step: the incident being changed, the event, and the effects so far.
type step struct {
	in  *Incident
	ev  Event
	now time.Time
	fx  []Effect
	// answered: the event's own transition was taken, so it isn't matched a second time
	answered bool
}

// Open makes an incident of a signal that is SUSPECT or CONFIRMED and takes its first step.
func Open(s Start, now time.Time) (Incident, []Effect, error) {
	if s.ID == "" || s.Signal.Kind == "" || s.Signal.Fingerprint == "" {
		return Incident{}, nil, fmt.Errorf("%w: id, kind and fingerprint are needed", ErrIncident)
	}
	if s.Signal.State != Suspect && s.Signal.State != Confirmed {
		return Incident{}, nil, fmt.Errorf("%w: a %s signal opens nothing", ErrEvent, s.Signal.State)
	}
	in := Incident{
		ID: s.ID, Kind: s.Signal.Kind, Fingerprint: s.Signal.Fingerprint, Target: s.Signal.Target,
		OpenedAt: now, OnsetAt: s.Signal.OnsetAt, Ladder: s.Ladder, OrderReason: s.OrderReason, Links: s.Links, Relapses: s.Relapses,
		Settings: s.Settings.withDefaults(), Paused: s.Paused, DryRun: s.DryRun,
	}
	in = clone(in)
	x := &step{in: &in, ev: Event{Type: EvSignal, Signal: &s.Signal, Busy: s.Busy}, now: now}
	x.enter(Suspected, "the first alarm")
	x.absorb()
	err := x.run()
	x.noteObstacle()
	return in, x.fx, err
}

// Step takes one event. The input is not changed. An event that doesn't fit leaves the incident as it is.
func Step(in Incident, ev Event, now time.Time) (Incident, []Effect, error) {
	if err := check(in, ev); err != nil {
		return in, nil, err
	}
	out := clone(in)
	x := &step{in: &out, ev: ev, now: now}
	if !x.absorb() {
		return in, nil, nil
	}
	if err := x.run(); err != nil {
		return in, nil, err
	}
	x.noteObstacle()
	if len(x.fx) == 0 && !out.State.Final() && out.due(now) && out.State != Escalated {
		out.SentAt = now
		x.fx = stateEffects(out)
	}
	return out, x.fx, nil
}

// Resume is what a process does with each open or lately closed incident when it starts: relative deadlines begin anew,
// since nobody could answer meanwhile (those of approvals don't: they were promised), and the effects that the state
// implies are performed again with the same ids. unsent says that the action being executed never took effect, and that
// whoever was to execute it never will: then it is tested again whether it is still needed.
func Resume(in Incident, now time.Time, unsent bool) (Incident, []Effect) {
	out := clone(in)
	x := &step{in: &out, now: now}
	if !out.State.Final() {
		if out.State != AwaitingApproval && out.State != Approved {
			out.DeadlineAt = x.deadline()
		}
		out.SentAt, out.HealthySince, out.ShadowSince = now, time.Time{}, time.Time{}
		// What was seen before says nothing about now, however short the pause: the fault may have died with the process.
		out.Signal.ObservedAt, out.Shadow.ObservedAt = time.Time{}, time.Time{}
		// Where the clock was set back meanwhile, what comes now must not seem older than what was done before.
		out.ChangedAt, out.EnteredAt = notAfter(out.ChangedAt, now), notAfter(out.EnteredAt, now)
		out.ByHandAt = notAfter(out.ByHandAt, now)
		if unsent && out.State == Executing {
			x.ev = Event{Type: EvUnsent, ActionID: out.CurrentID}
			if x.run() != nil { // a loop in the table
				return Resume(in, now, false)
			}
		} else {
			x.fx = stateEffects(out)
		}
	}
	for _, a := range out.Actions {
		if m := memoryOf(out, a); m != nil {
			x.fx = append(x.fx, *m)
		}
	}
	if out.State == Cancelled && !out.DetectedAt.IsZero() {
		x.fx = append(x.fx, selfMemory(out, out.ClosedAt))
	}
	for _, e := range in.Timeline[max(0, len(in.Timeline)-20):] {
		x.fx = append(x.fx, logEffect(out, e))
	}
	return out, x.fx
}

// due: what the state implies, and nobody has answered, is to be performed again; or its time has come.
func (in *Incident) due(now time.Time) bool {
	if a := in.current(); a != nil && in.State == Proposed && in.SentAt.Before(a.NotBefore) {
		return !now.Before(a.NotBefore)
	}
	return now.Sub(in.SentAt) >= in.Settings.Resend
}

func notAfter(t, limit time.Time) time.Time {
	if t.After(limit) {
		return limit
	}
	return t
}

// run takes the event's own transition, if there is one, and then those that need no event, until none is left.
func (x *step) run() error {
	for range maxChain {
		t := x.match()
		if t == nil {
			return nil
		}
		why := t.When
		if t.Do != nil {
			if s := t.Do(x); s != "" {
				why = s
			}
		}
		x.enter(t.To, why)
		if t.On != "" {
			x.answered = true
		}
	}
	return fmt.Errorf("%w: more than %d transitions in one step from state %s", ErrIncident, maxChain, x.in.State)
}

func (x *step) match() *transition {
	for i := range table {
		t := &table[i]
		if !slices.Contains(t.From, x.in.State) || t.On != "" && (x.answered || t.On != x.ev.Type) {
			continue
		}
		if t.Guard == nil || t.Guard(x) {
			return t
		}
	}
	return nil
}

// enter moves to a state, writes the timeline and emits what the state implies.
func (x *step) enter(to State, why string) {
	in := x.in
	e := x.entry(to, why)
	in.State, in.EnteredAt, in.SentAt, in.Reason, in.Obstacle = to, x.now, x.now, why, nil
	if to.Final() {
		in.CurrentID, in.ClosedAt, in.DeadlineAt, in.Queue, in.Pending = "", x.now, time.Time{}, nil, nil
	} else {
		in.ClosedAt, in.DeadlineAt = time.Time{}, x.deadline()
	}
	in.Status = in.status()
	x.write(e)
	x.fx = append(x.fx, stateEffects(*in)...)
}

// note writes a line into the timeline; the state stays what it is.
func (x *step) note(text string) { x.write(x.entry(x.in.State, text)) }

// entry numbers a new line of the timeline.
func (x *step) entry(to State, text string) Entry {
	in := x.in
	e := Entry{Seq: in.Steps, At: x.now, From: in.State, State: to, Event: x.ev.Type, Text: text}
	if a := in.current(); a != nil {
		e.ActionID, e.Action = a.ID, a.Type
	}
	in.Steps++
	return e
}

func (x *step) write(e Entry) {
	in := x.in
	if in.Timeline = append(in.Timeline, e); len(in.Timeline) > maxTimeline {
		in.Timeline = slices.Concat(in.Timeline[:maxTimeline/4], in.Timeline[maxTimeline/4+1:])
	}
	x.fx = append(x.fx, logEffect(*in, e))
}

// status derives the coarse state.
func (in *Incident) status() Status {
	switch {
	case !in.ResolvedAt.IsZero():
		return StatusResolved
	case in.State == Failed || in.State == Superseded:
		return StatusFailed
	}
	for _, a := range in.Actions {
		if !a.SentAt.IsZero() && a.Purpose == Forward && !a.SentAt.Before(in.Detected()) {
			return StatusMitigating
		}
	}
	return StatusOpen
}

// deadline of the present state; every state that isn't final has one.
func (x *step) deadline() time.Time {
	in, s := x.in, x.in.Settings
	a := in.current()
	r := in.rungOf(a)
	after := func(own, def time.Duration) time.Time {
		if own > 0 {
			return x.now.Add(own)
		}
		return x.now.Add(def)
	}
	switch in.State {
	case Suspected:
		return x.now.Add(s.SuspectedTTL)
	case Detected:
		return x.now.Add(s.DetectedTTL)
	case Proposed:
		if a != nil && a.NotBefore.After(x.now) {
			return a.NotBefore.Add(s.DecisionTTL)
		}
		return x.now.Add(s.DecisionTTL)
	case AwaitingApproval, Approved:
		if a != nil && !a.ExpiresAt.IsZero() {
			return a.ExpiresAt
		}
		if in.State == Approved {
			return x.now.Add(s.ApprovedTTL)
		}
		return x.now.Add(s.ApprovalTTL)
	case Executing:
		return after(r.ExecuteTTL, s.ExecuteTTL)
	case Verifying:
		return after(r.VerifyTTL, s.VerifyTTL).Add(r.Dwell)
	case Undoing:
		if a != nil && a.Undo != nil && a.Undo.HeldUntil.After(x.now) {
			return a.Undo.HeldUntil
		}
		return x.now.Add(s.UndoTTL)
	case Degraded:
		return x.now.Add(s.DegradedTTL)
	case Escalated:
		if in.Reminders > 0 && in.DeadlineAt.After(x.now) {
			return in.DeadlineAt // a reminder puts nothing off
		}
		return x.now.Add(s.EscalatedTTL)
	default: // Observed
		return x.now.Add(s.EscalatedTTL)
	}
}

// clone copies an incident so far that changing the copy leaves the original alone. Maps and raw JSON are shared: they are
// replaced, never changed.
func clone(in Incident) Incident {
	out := in
	out.Covers, out.Links, out.Queue = slices.Clone(in.Covers), slices.Clone(in.Links), slices.Clone(in.Queue)
	out.Ladder, out.ModeChanges = slices.Clone(in.Ladder), slices.Clone(in.ModeChanges)
	out.Relapses, out.Detections = slices.Clone(in.Relapses), slices.Clone(in.Detections)
	out.Timeline = slices.Clip(in.Timeline) // appending copies it
	out.Actions, out.With = slices.Clone(in.Actions), slices.Clone(in.With)
	for i := range out.Actions {
		if u := out.Actions[i].Undo; u != nil {
			copied := *u
			out.Actions[i].Undo = &copied
		}
	}
	return out
}

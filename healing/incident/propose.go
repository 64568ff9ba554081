package incident

import (
	"maps"
	"slices"
	"strconv"
	"time"
)

// What transitions do between DETECTED and EXECUTING.

func (x *step) detect() string {
	in := x.in
	if in.DetectedAt.IsZero() {
		in.DetectedAt = x.now
		x.see()
	}
	x.keepStanding()
	in.Escalation = ""
	return "signal confirmed" + orNothing(": ", x.in.Signal.Words)
}

// see keeps what the signal says now.
func (x *step) see() {
	s := x.in.Signal
	x.in.Seen = &Seen{s.Value, s.Threshold, s.N, s.Words}
}

func (x *step) recordPassOver() string {
	why := x.passOver()
	r, _ := x.in.rung()
	a := x.newAction(r.Action, x.in.paramsOf(r), Forward)
	x.end(a, Refused, why)
	x.in.CurrentID = ""
	x.in.RungIndex++
	return r.Action + " passed over: " + why
}

func (x *step) proposeRung() string {
	r, _ := x.in.rung()
	a := x.newAction(r.Action, x.in.paramsOf(r), Forward)
	a.Protect = r.Protect
	x.in.Queue, x.in.ByHand, x.in.ByHandAt = nil, "", time.Time{}
	if r.Why != "" {
		return r.Action + ": " + r.Why
	}
	return r.Action + ": rung " + strconv.Itoa(x.in.RungIndex+1) + " of the playbook"
}

// links are the follow-ups after the success in the event: what the outcome leads to, or what is left of it.
func (x *step) links() []Link {
	a := x.in.current()
	if a.Follows {
		return x.in.Queue
	}
	var out []Link
	for _, action := range x.in.rungOf(a).Then[x.ev.Outcome] {
		out = append(out, Link{Action: action})
	}
	return out
}

func (x *step) proposeNext() string {
	links := x.links()
	prior := x.in.current()
	params := maps.Clone(links[0].Params)
	if params == nil {
		params = map[string]string{}
	}
	maps.Copy(params, x.ev.Params)
	next := x.newAction(links[0].Action, params, Forward)
	next.Follows, next.Rung = true, prior.Rung
	x.in.Queue = slices.Clone(links[1:])
	for i := range x.in.Queue { // what the earlier actions found out is known to all that follow
		merged := maps.Clone(params)
		maps.Copy(merged, x.in.Queue[i].Params)
		x.in.Queue[i].Params = merged
	}
	why := next.Type + " follows"
	if x.ev.Outcome != "" {
		why += ": the outcome was " + x.ev.Outcome + orNothing(": ", x.ev.Reason)
	}
	if next.Type == AcceptReference {
		why += orNothing("; ", x.in.AlsoDrifting())
	}
	return why
}

func (x *step) proposeRestore() string {
	// Where nobody ever decides, one request more for each that expired would let the incident grow without end: they are
	// rows and steps of the timeline. One that expires now stays, or its end would never be a row.
	x.in.Actions = slices.DeleteFunc(x.in.Actions, func(a Action) bool {
		return a.Purpose == Restore && a.Result == Denied && a.Reason == notInTime && a.EndedAt.Before(x.now)
	})
	a := x.newAction(DisableSafeMode, nil, Restore)
	a.Rung = -1
	a.Before = x.in.Shadow.Numbers
	x.in.Escalation = ""
	return "DISABLE_SAFE_MODE: the shadow shows the model healthy for " + x.in.Shadow.ObservedAt.Sub(x.in.ShadowSince).Round(100*time.Millisecond).String()
}

// newAction appends an action and makes it the current one.
func (x *step) newAction(kind string, params map[string]string, p Purpose) *Action {
	in := x.in
	in.Seq++
	before := maps.Clone(in.Signal.Numbers)
	if before == nil {
		before = map[string]float64{}
	}
	before["value"], before["threshold"], before["n"] = in.Signal.Value, in.Signal.Threshold, float64(in.Signal.N)
	id := in.ID + "/a" + strconv.Itoa(in.Seq)
	in.Actions = append(in.Actions, Action{
		ID: id, RequestID: id + "/r1", Asks: 1, Type: kind, Params: params, Purpose: p, Rung: in.RungIndex,
		AGL: AGLPending, ProposedAt: x.now, Before: before,
	})
	in.CurrentID = id
	return in.current()
}

// paramsOf fills in what the incident itself knows.
func (in Incident) paramsOf(r Rung) map[string]string {
	if r.Action == RestartAgent && in.Kind == AgentDown && r.Params["agent"] == "" {
		params := maps.Clone(r.Params)
		if params == nil {
			params = map[string]string{}
		}
		params["agent"] = in.Target
		return params
	}
	return r.Params
}

// ask asks again, since the approval expired before the action could run.
func (x *step) ask() string {
	x.askAnew(x.in.current())
	return "the approval expired before it could be used" + orNothing(": ", x.in.kept())
}

// askAnew makes the next request for an action.
func (x *step) askAnew(a *Action) {
	a.Asks++
	a.RequestID = a.ID + "/r" + strconv.Itoa(a.Asks)
	a.AGL, a.Envelope, a.ExpiresAt, a.SentAt = AGLPending, nil, time.Time{}, time.Time{}
}

func (x *step) hold() string {
	a, d := x.in.current(), x.ev.Decision
	a.AGL, a.Rule, a.ExpiresAt = AGLEscalated, d.Rule, d.ExpiresAt
	x.resolveParams(a, d)
	return "held for a person by " + d.Rule
}

func (x *step) approve() string {
	a, d := x.in.current(), x.ev.Decision
	a.AGL, a.Rule, a.Approver, a.Digest, a.Envelope = d.AGL, d.Rule, d.Approver, d.Digest, d.Envelope
	a.DecidedAt, a.ExpiresAt = x.now, d.ExpiresAt
	x.resolveParams(a, d)
	return d.AGL + " by " + d.Rule + orNothing(": ", d.Reason)
}

func (x *step) resolveParams(a *Action, d *Decision) {
	if d.Params != nil {
		a.Params = d.Params
	}
	if d.Inverse != nil {
		a.Inverse = d.Inverse
	}
}

func (x *step) execute() string {
	a := x.in.current()
	a.SentAt = x.now
	return a.Type + " handed to the executor"
}

// takeBack makes an action one that was never handed over.
func (x *step) takeBack() string {
	a := x.in.current()
	a.SentAt, a.StartedAt = time.Time{}, time.Time{}
	return a.Type + " was handed over and never executed; what it needs is tested again"
}

// observe ends an action that a dry run would have executed.
func (x *step) observe() string {
	a := x.in.current()
	x.end(a, DryRunResult, "dry run")
	x.in.CurrentID = ""
	return "dry run: " + a.Type + " would have been executed"
}

// notInTime is why an action is denied whose request expired.
const notInTime = "nobody decided in time"

// deny and its kin end an action that never ran, and go to the next rung.

func (x *step) deny() string {
	text := x.reject(Denied, x.denial())
	return text + orNothing("; ", x.askLater(x.ev.Decision.RetryAt))
}

func (x *step) late() string { return x.reject(Denied, notInTime) }

func (x *step) refuse() string {
	if !x.ev.Until.IsZero() {
		x.in.HeldUntil = x.ev.Until
	}
	return x.reject(Refused, x.ev.Reason)
}

func (x *step) denial() string {
	d := x.ev.Decision
	a := x.in.current()
	a.Rule, a.Approver, a.DecidedAt = d.Rule, d.Approver, x.now
	x.resolveParams(a, d)
	return "denied by " + d.Rule + orNothing(": ", d.Reason)
}

func (x *step) reject(r Result, why string) string {
	a := x.in.current()
	x.unsend(a, r, why)
	x.in.CurrentID = ""
	x.in.RungIndex++
	return a.Type + " " + why
}

func (x *step) denyAndUndo() string   { return x.rejectAndUndo(Denied, x.denial()) }
func (x *step) lateAndUndo() string   { return x.rejectAndUndo(Denied, notInTime) }
func (x *step) refuseAndUndo() string { return x.rejectAndUndo(Refused, x.ev.Reason) }

func (x *step) rejectAndUndo(r Result, why string) string {
	a := x.in.current()
	x.unsend(a, r, why)
	undo := x.nextUndo()
	x.startUndo(undo, a.Type+" "+why)
	undo.Undo.Blameless = r == Denied
	return a.Type + " " + why
}

func (x *step) denyRestore() string {
	if a := x.in.current(); a.AGL == AGLEscalated && !x.ev.At.Before(a.ExpiresAt) {
		return x.lateRestore() // governance has said so first
	}
	return x.rejectRestore(Denied, x.denial())
}

// lateRestore: nobody said no. Leaving safe mode is asked for again at once, so that a person always finds the request.
func (x *step) lateRestore() string {
	text := x.rejectRestore(Denied, notInTime)
	x.in.RestoreAfter = time.Time{}
	return text
}

func (x *step) refuseRestore() string { return x.rejectRestore(Refused, x.ev.Reason) }

func (x *step) rejectRestore(r Result, why string) string {
	a := x.in.current()
	x.unsend(a, r, why)
	x.in.CurrentID = ""
	x.in.RestoreAfter = x.now.Add(x.in.Settings.RestoreRetry)
	return a.Type + " " + why
}

// unsend ends an action that never took effect: whoever executes has said so, or was never asked.
func (x *step) unsend(a *Action, r Result, why string) {
	if why != notInTime { // governance itself denies a request that expired: that stays on record
		x.withdraw(a)
	}
	if r == Denied {
		a.AGL = AGLDenied
	}
	a.SentAt = time.Time{}
	x.end(a, r, why)
}

func orNothing(before, s string) string {
	if s == "" {
		return ""
	}
	return before + s
}

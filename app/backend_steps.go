package app

import (
	"cmp"
	"fmt"
	"time"

	"aura/healing/incident"
	"aura/web/api"
)

// telling is the action that the six steps are told of: the one in progress, else the one that healed, else the last one.
// Leaving safe mode afterwards is told by the timeline.
func telling(in incident.Incident) *incident.Action {
	var out *incident.Action
	for i := range in.Actions {
		a := &in.Actions[i]
		switch {
		case a.Purpose == incident.Restore, in.Earlier(*a):
		case a.ID == in.CurrentID:
			return a
		case out == nil || a.Purpose == incident.Forward && (a.Result == incident.Verified || out.Result != incident.Verified):
			out = a
		}
	}
	return out
}

// stepsOf tells an incident as the six steps of every healing.
func stepsOf(in incident.Incident) []api.Step {
	t := &steps{onset: in.OnsetAt}
	if in.DetectedAt.IsZero() {
		t.over = in.State.Final() // a suspicion that was none
		t.add("detect", false, time.Time{}, in.Reason)
	} else {
		if t.onset.IsZero() || t.onset.After(in.DetectedAt) {
			t.onset = in.DetectedAt
		}
		t.add("detect", false, in.DetectedAt, seen(in))
	}
	a := telling(in)
	if a == nil {
		a = &incident.Action{}
		t.over = t.over || in.State.Final() || in.State == incident.Escalated || in.State == incident.Observed
	}
	ended := a.Result != "" || in.State.Final()
	t.add("propose", false, a.ProposedAt, whyOf(in, a))
	t.approve(a, ended)
	said := ifSet(!ended, a.Progress)
	if ended && a.AGL != incident.AGLDenied {
		said = a.Reason
	}
	t.add("execute", ended && a.ExecutedAt.IsZero(), a.ExecutedAt, ifSet(a.ExecutedAt.IsZero(), said))
	t.verify(a)
	return t.list
}

// seen says what was detected, as the signal was then, and what drifts with it.
func seen(in incident.Incident) string {
	s := in.Signal
	if in.Seen != nil {
		s = incident.Signal{Words: in.Seen.Words, Value: in.Seen.Value, Threshold: in.Seen.Threshold, N: in.Seen.N}
	}
	if with := in.AlsoDrifting(); with != "" {
		return spoken(s) + "; " + with
	}
	return spoken(s)
}

// spoken is a signal in words; one that was kept without any has its figures.
func spoken(s incident.Signal) string {
	return cmp.Or(s.Words, fmt.Sprintf("%.4g against %.4g, n = %d", s.Value, s.Threshold, s.N))
}

// whyOf says why an action was chosen: its place in the ladder.
func whyOf(in incident.Incident, a *incident.Action) string {
	if a.Type == "" {
		return ""
	}
	text := a.Type
	switch {
	case a.Follows && a.Rung >= 0 && a.Rung < len(in.Ladder):
		text += " follows " + in.Ladder[a.Rung].Action
	case a.Rung >= 0 && a.Rung < len(in.Ladder) && in.Ladder[a.Rung].Why != "":
		text += ": " + in.Ladder[a.Rung].Why
	case a.Rung >= 0 && len(in.Ladder) > 0:
		text += fmt.Sprintf(": rung %d of %d", a.Rung+1, len(in.Ladder))
	}
	return text
}

func ifSet(is bool, text string) string {
	if is {
		return text
	}
	return ""
}

// steps collects the six. After one that failed, or that will never come, the others are skipped.
type steps struct {
	list   []api.Step
	onset  time.Time
	before time.Time
	open   bool // a step before this one is not done
	over   bool
}

func (t *steps) add(name string, failed bool, at time.Time, text string) {
	s := api.Step{Name: name, At: at, Text: text, State: api.StepWaiting}
	switch {
	case failed && !t.over && !t.open:
		s.State, t.over = api.StepFailed, true
	case !at.IsZero():
		s.State = api.StepDone
	case t.over:
		s.State = api.StepSkipped
	case !t.open:
		s.State, t.open = api.StepNow, true
	}
	if !at.IsZero() {
		since := max(at.Sub(t.onset).Seconds(), 0)
		s.SinceOnsetS = &since
		if !t.before.IsZero() {
			took := max(at.Sub(t.before).Seconds(), 0)
			s.TookS = &took
		}
		t.before = at
	}
	t.list = append(t.list, s)
}

func (t *steps) approve(a *incident.Action, ended bool) {
	ended = ended && a.Type != ""
	said := a.AGL == incident.AGLApproved || a.AGL == incident.AGLModified || a.AGL == incident.AGLDenied
	at, text := time.Time{}, ""
	if said {
		text = cmp.Or(a.Approver, "rule "+a.Rule)
		if at = a.DecidedAt; at.IsZero() {
			at = a.ProposedAt
			if a.AGL == incident.AGLDenied && !a.EndedAt.IsZero() { // nobody decided: the wait itself ended
				at, text = a.EndedAt, cmp.Or(a.Reason, text)
			}
		} else if a.AGL == incident.AGLDenied {
			text = cmp.Or(a.Reason, text)
		}
	} else if t.over = t.over || ended; a.AGL == incident.AGLEscalated && !ended {
		text = "held for a person" // what ended before the verdict needs none any more
	} else if ended && a.Digest == "" {
		text = "not asked"
	} else if ended {
		text = "not decided"
	}
	t.add("approve", a.AGL == incident.AGLDenied, at, text)
}

// verify adds the verdict and what was learned of it.
func (t *steps) verify(a *incident.Action) {
	text := a.Reason
	if v := a.Verdict; v != nil && a.Result == "" {
		text = cmp.Or(v.Reason, fmt.Sprintf("%s: [%.4g, %.4g], n = %d", v.State, v.Lower, v.Upper, v.N))
	}
	at := a.EndedAt
	if a.ExecutedAt.IsZero() {
		at, text = time.Time{}, ""
	}
	held := a.Result == incident.Verified
	t.add("verify", a.Result != "" && !held, at, text)
	if a.ExecutedAt.IsZero() || !held && a.Result != incident.Stood && a.Result != incident.Undone && a.Result != incident.NotHeld {
		t.add("learn", false, time.Time{}, "")
		return
	}
	t.over = false
	word := "did not hold"
	if held {
		word = "healed"
	}
	if a.NoCredit != "" && (held || a.Result == incident.Stood) {
		word = "earns no credit: " + a.NoCredit + ","
	}
	t.add("learn", false, a.EndedAt, fmt.Sprintf("%s %s after %.1f s", a.Type, word, a.EndedAt.Sub(a.ProposedAt).Seconds()))
}

package drill

import (
	"slices"
	"time"

	"aura/healing/incident"
)

// Steps of a drill's timeline, in the usual order.
const (
	StepOnset      = "onset"
	StepSuspected  = "suspected"
	StepDetected   = "detected"
	StepProposed   = "proposed"
	StepApproved   = "approved"
	StepDenied     = "denied"
	StepRefused    = "refused" // it could not run: a precondition doesn't hold
	StepHeld       = "held"    // for a person
	StepExecuted   = "executed"
	StepUndone     = "undone"
	StepVerified   = "verified"
	StepCleared    = "cleared" // ended, and not by an action that was verified
	StepLearned    = "learned"
	StepCalled     = "called" // a person
	StepFaultEnded = "fault ended"
	StepRestored   = "restored"
)

// Step is something that happened, and how long after the onset of the fault.
type Step struct {
	Name       string    `json:"step"`
	At         time.Time `json:"at"`
	SinceOnset float64   `json:"since_onset_s"`
	// Took is since the step before.
	Took       float64 `json:"took_s"`
	IncidentID string  `json:"incident_id,omitempty"`
	Action     string  `json:"action_type,omitempty"`
	Text       string  `json:"text,omitempty"`

	key string
}

// stepsOf tells an incident by its rows, in the order of time.
func stepsOf(c Case) []Step {
	var out []Step
	add := func(name string, at time.Time, action incident.Action, text string) {
		if !at.IsZero() {
			out = append(out, Step{Name: name, At: at, IncidentID: c.ID, Action: action.Type, Text: text, key: c.ID + name + action.ID})
		}
	}
	none := incident.Action{}
	add(StepSuspected, c.OpenedAt, none, c.Kind+" of "+c.Target)
	add(StepDetected, c.DetectedAt, none, seen(c.Incident))
	for _, a := range c.Actions {
		if a.Purpose == incident.Undo {
			continue
		}
		add(StepProposed, a.ProposedAt, a, "")
		switch a.AGL {
		case incident.AGLApproved, incident.AGLModified:
			add(StepApproved, a.DecidedAt, a, approver(a))
		case incident.AGLDenied:
			add(StepDenied, firstOf(a.DecidedAt, a.EndedAt, a.ProposedAt), a, no(a))
		case incident.AGLEscalated:
			add(StepHeld, firstOf(a.DecidedAt, a.ProposedAt), a, "for a person: aura approval ls shows it")
		}
		if a.Result == incident.Refused {
			add(StepRefused, a.EndedAt, a, a.Reason)
		}
		add(StepExecuted, a.ExecutedAt, a, c.Gates[a.ID].text())
		if a.Undo != nil && a.Undo.OK {
			add(StepUndone, a.Undo.EndedAt, a, a.Undo.Reason)
		}
	}
	if ok, _ := verified(c.Incident); ok {
		add(StepVerified, c.ResolvedAt, none, verdict(c.Incident))
	} else {
		add(StepCleared, firstOf(c.ResolvedAt, c.ClosedAt), none, c.Reason)
	}
	add(StepLearned, lastOf(c.Learned), none, learned(c))
	if !c.RestoredAt.IsZero() && c.RestoredAt.After(c.ResolvedAt) {
		add(StepRestored, c.RestoredAt, none, "the model decides again")
	}
	if c.Escalations > 0 {
		for _, e := range c.Timeline {
			if e.State == incident.Escalated {
				add(StepCalled, e.At, none, e.Text)
				break
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Step) int { return a.At.Compare(b.At) })
	return out
}

// since fills in what lies between the steps of a timeline.
func since(onset time.Time, steps []Step) {
	before := onset
	for i := range steps {
		s := &steps[i]
		s.SinceOnset = seconds(s.At.Sub(onset))
		s.Took = seconds(s.At.Sub(before))
		before = s.At
	}
}

func seconds(d time.Duration) float64 {
	return float64(d.Round(time.Millisecond)) / float64(time.Second)
}

func firstOf(times ...time.Time) time.Time {
	for _, t := range times {
		if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}

func lastOf(times map[string]time.Time) (last time.Time) {
	for _, t := range times {
		if t.After(last) {
			last = t
		}
	}
	return last
}

func orNothing(before, text string) string {
	if text == "" {
		return ""
	}
	return before + text
}

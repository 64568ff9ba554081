package incident

import (
	"cmp"
	"slices"
	"time"
)

// Touches names the settings that an action changes: mode, champion, reference, training, agent:<name>.
func Touches(action string, params map[string]string) []string {
	switch action {
	case EnableSafeMode, DisableSafeMode:
		return []string{"mode"}
	case RollbackModel, RestoreModel, PromoteModel:
		return []string{"champion"}
	case AcceptReference:
		return []string{"reference"}
	case RestoreReference:
		return []string{"reference", "champion"} // a reference comes back with its model
	case TriggerRetraining:
		return []string{"training"}
	case RestartAgent:
		return []string{"agent:" + params["agent"]}
	default:
		return nil
	}
}

// follows are the agents that do another thing than before when a setting changes, and so may go down for it.
var follows = map[string][]string{"mode": {"model", "decision"}, "champion": {"model", "decision"}, "reference": {"monitoring"}}

// MayBringDown reports whether an action can be why an agent is down: the agent follows a setting that it changes, or is the
// one that it starts anew.
func MayBringDown(a Action, agent string) bool {
	for _, setting := range Touches(a.Type, a.Params) {
		if setting == "agent:"+agent || slices.Contains(follows[setting], agent) {
			return true
		}
	}
	return false
}

// Holds names the settings that an incident has in hand: an action is being executed, verified or undone, or may still
// take effect. Nobody else may
// touch them meanwhile.
func (in Incident) Holds() []string {
	var out []string
	a := in.current()
	if a != nil && (in.State == Executing || in.State == Verifying || in.State == Undoing) {
		out = Touches(a.Type, a.Params)
	}
	for _, other := range in.Actions { // what may still take effect, whoever was called for it
		if !in.State.Final() && other.ID != in.CurrentID && other.open() && other.ExecutedAt.IsZero() {
			out = append(out, Touches(other.Type, other.Params)...)
		}
	}
	return out
}

// Wants names the settings that the next action of an incident changes.
func (in Incident) Wants() []string {
	if a := in.current(); a != nil {
		return Touches(a.Type, a.Params)
	}
	if in.Degraded && !in.ResolvedAt.IsZero() {
		return []string{"mode"}
	}
	if in.RungIndex >= 0 && in.RungIndex < len(in.Ladder) {
		return Touches(in.Ladder[in.RungIndex].Action, in.paramsOf(in.Ladder[in.RungIndex]))
	}
	return nil
}

// Locked finds the incident among all that holds what in wants next; empty: free. The agent steps one incident at a time
// and passes the answer as Event.Busy.
func Locked(all []Incident, in Incident) string {
	wants := in.Wants()
	for _, other := range all {
		if other.ID == in.ID {
			continue
		}
		for _, held := range other.Holds() {
			if slices.Contains(wants, held) {
				return other.ID
			}
		}
	}
	return ""
}

// Find gives the incident that a signal belongs to: the open one with its fingerprint, else one that took it over and is
// not resolved (what fails after that is another fault), else the one that it relapses into. False: a new incident, if
// the signal opens one.
func Find(all []Incident, s Signal, now time.Time) (Incident, bool) {
	var covering, relapse *Incident
	for i := range all {
		in := &all[i]
		own := in.Fingerprint == s.Fingerprint
		switch {
		case own && !in.State.Final():
			return *in, true
		case !in.State.Final() && in.ResolvedAt.IsZero() && slices.Contains(in.Covers, s.Fingerprint):
			covering = in
		case own && Reopens(*in, s, now) && (relapse == nil || in.ClosedAt.After(relapse.ClosedAt)):
			relapse = in
		}
	}
	if found := cmp.Or(covering, relapse); found != nil {
		return *found, true
	}
	return Incident{}, false
}

// Reopens reports whether a signal is a relapse of an incident that has ended. A return to an earlier reference is an
// incident of its own, to be linked; what something more specific explains is none of its own.
func Reopens(in Incident, s Signal, now time.Time) bool {
	return (in.State == Resolved || in.State == Cancelled) && s.Fingerprint == in.Fingerprint && s.State == Confirmed && s.NotYet == "" &&
		!s.Facts[FactEarlierReference] && now.Sub(in.ClosedAt) <= in.Settings.RelapseWindow && !s.ObservedAt.Before(in.ClosedAt)
}

// FactQuarantined is the fact that an agent has crashed so often that only a person starts it again.
const FactQuarantined = "quarantined"

// FactGone is the fact that no instance of an agent is left that could be restarted, FactProcess that the incident is about a
// whole process, which only a person can start.
const (
	FactGone    = "gone"
	FactProcess = "process"
)

// FactOutgrown is the fact of Outgrown.
const FactOutgrown = "reference_outgrown"

// Outgrown reports whether a reference that the incident accepted was shown not to fit and taken back: who applies went on
// changing while it was made.
func (in Incident) Outgrown() bool {
	return slices.ContainsFunc(in.Actions, func(a Action) bool {
		return a.Type == AcceptReference && a.Result == Undone && !a.ProposedAt.Before(in.Detected()) && a.Verdict != nil && a.Verdict.State == Confirmed
	})
}

// FactEarlierReference is the fact that recent rows fit a reference that was in use before.
const FactEarlierReference = "earlier_reference"

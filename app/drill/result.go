package drill

import (
	"math"
	"time"

	"aura/healing/incident"
)

// Result is what a drill came to. Times of Timeline are those of the rows.
type Result struct {
	Drill string `json:"drill"`
	// Outcome is HEALED or NOT_HEALED. Healed: verified in time, well under the fault, and as it was before when the fault had gone.
	Outcome string `json:"outcome"`
	Healed  bool   `json:"-"`
	// Reason says why it isn't healed.
	Reason string `json:"reason,omitempty"`

	Faults     []Injected `json:"faults"`
	IncidentID string     `json:"incident_id,omitempty"`
	Kind       string     `json:"incident_type"`
	Target     string     `json:"target,omitempty"`
	// FirstEffective is the first action that was executed in the expected incident and not taken back.
	FirstEffective string `json:"first_effective_action,omitempty"`
	// ReturnID is the incident in which the kept reference was restored.
	ReturnID string `json:"return_incident_id,omitempty"`
	Timeline []Step `json:"timeline"`
	// Durations from onset to the first detection, proposal and approval, the last execution and so on, in seconds.
	Durations map[string]float64 `json:"durations_s"`
	// HealWithin is what the time from detection to verification may be.
	HealWithin float64 `json:"heal_within_s"`
	// Phases are before the fault, under it until the last action, under it after that, and after the fault.
	Phases []Phase `json:"figures"`
	Gate   *Gate   `json:"gate,omitempty"`
	Rival  *Rival  `json:"champion_and_rival,omitempty"`
	// Others are incidents beside the expected ones.
	Others []Other `json:"other_incidents,omitempty"`
}

// Injected is a fault as it was injected.
type Injected struct {
	Kind    string         `json:"kind"`
	Target  string         `json:"target"`
	Delay   string         `json:"delay,omitempty"`
	Share   float64        `json:"share"`
	Change  map[string]any `json:"change,omitempty"`
	At      time.Time      `json:"at"`
	EndedAt time.Time      `json:"ended_at,omitzero"`
}

// The outcomes.
const (
	Healed    = "HEALED"
	NotHealed = "NOT_HEALED"
)

// EndedToRestored is the key of a duration that isn't from onset: from the fault's end until all is as before.
const EndedToRestored = "fault ended to restored"

// Names of phases.
const (
	PhaseBefore = "before"
	PhaseFault  = "under the fault"
	PhaseHealed = "healed, fault still on"
	PhaseAfter  = "after the fault"
)

// Phase is a part of the drill with what its applications went through, and the drill's own signal at its end.
type Phase struct {
	Name string    `json:"phase"`
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	Figures
	Mode     string `json:"mode"` // at its end
	Champion int    `json:"model_version"`
	Signal   Signal `json:"signal"`
}

// Other is an incident that the drill didn't ask for.
type Other struct {
	IncidentID string   `json:"incident_id"`
	Kind       string   `json:"incident_type"`
	Target     string   `json:"target"`
	State      string   `json:"state"`
	Actions    []string `json:"actions,omitempty"` // executed
}

// Phase returns the phase of a name, nil for one that the drill didn't reach.
func (r *Result) Phase(name string) *Phase {
	for i := range r.Phases {
		if r.Phases[i].Name == name {
			return &r.Phases[i]
		}
	}
	return nil
}

// durations of the steps of the expected incident, and of its restoration: its own, or that of the incident of the return.
func durations(steps []Step, id, returned string) map[string]float64 {
	out := map[string]float64{}
	for _, s := range steps {
		own := s.IncidentID == id || s.IncidentID == ""
		switch s.Name {
		case StepRestored:
			if own || s.IncidentID == returned {
				out[s.Name] = s.SinceOnset
			}
		case StepExecuted:
			// What happens after the verification, as leaving safe mode, belongs to the restoration.
			if _, verified := out[StepVerified]; own && !verified {
				out[s.Name] = s.SinceOnset
			}
		default:
			if _, known := out[s.Name]; own && !known && s.Name != StepOnset {
				out[s.Name] = s.SinceOnset
			}
		}
	}
	if ended, ok := out[StepFaultEnded]; ok {
		if restored, ok := out[StepRestored]; ok {
			out[EndedToRestored] = math.Round((restored-ended)*1e3) / 1e3
		}
	}
	return out
}

// executed is when the last forward action of an incident took effect; zero for none.
func executed(in incident.Incident) (last time.Time) {
	for _, a := range in.Actions {
		if a.Purpose == incident.Forward && a.ExecutedAt.After(last) {
			last = a.ExecutedAt
		}
	}
	return last
}

// effective is the first action of the system that was executed and not taken back, "" for none.
func effective(in incident.Incident) string {
	var first incident.Action
	for _, a := range in.Actions {
		if a.Purpose == incident.Forward && !a.ExecutedAt.IsZero() && a.Undo == nil && (first.ID == "" || a.ExecutedAt.Before(first.ExecutedAt)) {
			first = a
		}
	}
	return first.Type
}

// verified reports whether an action of the system healed the incident, without a person.
func verified(in incident.Incident) (ok bool, why string) {
	switch {
	case in.ResolvedAt.IsZero():
		return false, ""
	case in.SelfRecovered:
		return false, "it ended by itself: no action healed it"
	case in.Escalations > 0:
		return false, "a person was called: " + string(in.Escalation)
	}
	for _, a := range in.Actions {
		if a.Purpose == incident.Forward && a.Result == incident.Verified {
			return true, ""
		}
	}
	return false, "it is resolved, and no action was verified"
}

// stuck says why an incident will not heal without a person, "" where it still may.
func stuck(in incident.Incident) string {
	switch in.State {
	case incident.Escalated:
		return denied(in, in.Reason)
	case incident.Observed:
		return "dry run: " + lastAction(in) + " was recorded and not executed"
	case incident.Failed, incident.Superseded:
		return "the incident ended " + string(in.State) + ": " + in.Reason
	case incident.Cancelled:
		if !in.DetectedAt.IsZero() {
			return "it ended by itself, before anything was done: " + in.Reason
		}
	}
	if in.Paused {
		return "healing is paused"
	}
	return ""
}

// denied prefers governance's no to the call that followed from it.
func denied(in incident.Incident, otherwise string) string {
	for _, a := range in.Actions {
		if a.AGL == incident.AGLDenied {
			return a.Type + " was " + no(a)
		}
	}
	return otherwise
}

func lastAction(in incident.Incident) string {
	if n := len(in.Actions); n > 0 {
		return in.Actions[n-1].Type
	}
	return "an action"
}

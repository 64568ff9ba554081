package incident

import "time"

// Open makes an incident of a signal that is SUSPECT or CONFIRMED and takes its first step.
func Open(s Start, now time.Time) (Incident, []Effect, error) { return Incident{}, nil, ErrIncident }

// Step takes one event. The input is not changed. An event that doesn't fit leaves the incident as it is.
func Step(in Incident, ev Event, now time.Time) (Incident, []Effect, error) { return in, nil, ErrEvent }

// Resume lists the effects that the incident's state implies, for a process that starts: the same ids as before.
func Resume(in Incident) []Effect { return nil }

// Package source is where applications come from when nobody posts them: the built-in simulator and a user's CSV file.
//
// Both hand applications to ingestion like any client, wait when its window is full, and report each application's
// outcome later, through ingestion too. A source ends when its context does. The package imports agents/event,
// agents/ingestion through the Intake interface below, and mlops/{schema,synth,dataset}.
package source

import (
	"context"
	"time"

	"aura/agents/event"
	"aura/mlops/schema"
)

// Application is one application with the outcome it will have.
type Application struct {
	// ID is the client's id; empty for "give it one".
	ID        string
	Record    schema.Record
	Defaulted bool
}

// Intake takes applications and outcomes; app adapts agents/ingestion to it.
type Intake interface {
	// Submit commits applications together, waiting for room, and returns their ids in order; "" for one that was left
	// out because its id is another application's.
	Submit(ctx context.Context, source string, applications []Application) (ids []string, err error)
	// Feedback reports outcomes observed now.
	Feedback(ctx context.Context, outcomes []Outcome) error
}

// Outcome is what became of an application.
type Outcome struct {
	ID      string
	Outcome event.Outcome
}

func outcomeOf(defaulted bool) event.Outcome {
	if defaulted {
		return event.Defaulted
	}
	return event.Repaid
}

// due is an outcome that becomes known at a time.
type due struct {
	at time.Time
	Outcome
	final bool // a Tamper has seen it: a report that is tried again stays the same
}

package source

import (
	"aura/agents/event"
	"aura/mlops/schema"
	"aura/mlops/synth"
)

// Tamper changes what a source sends, as a shifted population, a broken feed or wrong outcomes would. app passes one in
// where faults may be injected. It may be used from any goroutine and doesn't block.
type Tamper interface {
	// Shifts draws how the population is shifted that the next application comes from, by feature; nil for not at all. A
	// source that draws its applicants asks it before each, and draws them from there: so their outcomes are true.
	Shifts() map[string]synth.Shift
	// Record returns the record as it is sent. drawn says that Shifts was asked for this application; else a shift is done
	// to the values here, and the outcome stays what it was.
	Record(r schema.Record, drawn bool) schema.Record
	// Outcome returns the outcome as it is reported.
	Outcome(o event.Outcome) event.Outcome
}

// Simulator yields applications of g without end. A nil t leaves them as they are.
func Simulator(g *synth.Generator, t Tamper) func() (Application, error) {
	shifted := map[string]synth.Shift{}
	return func() (Application, error) {
		if t == nil {
			record, defaulted := g.Next()
			return Application{Record: record, Defaulted: defaulted}, nil
		}
		for feature := range shifted {
			if err := g.Shift(feature, synth.Shift{}); err != nil {
				return Application{}, err
			}
		}
		shifted = t.Shifts()
		for feature, s := range shifted {
			if err := g.Shift(feature, s); err != nil {
				return Application{}, err
			}
		}
		record, defaulted := g.Next()
		return Application{Record: t.Record(record, true), Defaulted: defaulted}, nil
	}
}

// Tampered yields what next does, with records as t sends them. A nil t leaves them as they are.
func Tampered(next func() (Application, error), t Tamper) func() (Application, error) {
	if t == nil {
		return next
	}
	return func() (Application, error) {
		a, err := next()
		if err != nil {
			return a, err // io.EOF must come as it is
		}
		a.Record = t.Record(a.Record, false)
		return a, nil
	}
}

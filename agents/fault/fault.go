// Package fault injects faults: into agents (it makes them slow, makes them fail, crashes and hangs them, for real), into
// what the process' source sends (another population, a broken feed, wrong outcomes) and into the model in charge.
//
// It owns the faults of this process. They survive the restart of an agent, not of the process, and each of them ends
// by itself (TTL). A fault of an agent acts on the handler's own goroutine, just before an event is handled, so an agent
// can't tell it from a defect of its own; a fault of the source acts on applications before ingestion sees them, and on
// outcomes as they are reported. Nothing that judges (monitoring, healing, governance) may import this package.
//
// A Registry may be used from any goroutine. Before blocks while a latency or a hang lasts; without faults it costs one
// atomic load. TTLs run on monotonic time, so tests use testing/synctest. It imports agents for the Injector contract,
// and mlops/{schema,synth} for what applications are.
package fault

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Kind of a fault.
type Kind string

// The faults of agents. Latency waits before the event (and obeys the context), Error fails it, Crash panics, Hang ignores its context until
// the fault ends.
const (
	Latency Kind = "latency"
	Error   Kind = "error"
	Crash   Kind = "crash"
	Hang    Kind = "hang"
)

// The faults of Source. Drift is another population: numbers move by Mean, Shift and Scale, or a Share of applications
// comes from one Category; where the source draws its applicants their true outcomes follow, where it reads them from a
// file the columns change and the outcomes don't. Missing, Stuck and Unit are a broken feed: values are left out, are
// all the same, or come multiplied by Factor, while outcomes follow the true ones. Noise inverts a Share of the outcomes
// at random; Flip inverts all, or those of one kind (Category "repaid" or "defaulted").
const (
	Drift   Kind = "drift"
	Missing Kind = "missing"
	Stuck   Kind = "stuck"
	Unit    Kind = "unit"
	Noise   Kind = "label-noise"
	Flip    Kind = "label-flip"
)

// BadModel is the fault of Model: a version that is really worse takes charge, as a person would put it there. What it
// does is the Actor's.
const BadModel Kind = "bad-model"

// The targets that are no agent's handlers. Model is an agent's name too.
const (
	Source = "source"
	Model  = "model"
)

// Kinds are all kinds of faults, those of agents first.
var Kinds = []Kind{Latency, Error, Crash, Hang, Drift, Missing, Stuck, Unit, Noise, Flip, BadModel}

// TargetOf returns the only target that a kind can have, or nothing for the kinds that aim at any agent.
func TargetOf(k Kind) string {
	switch k {
	case Drift, Missing, Stuck, Unit, Noise, Flip:
		return Source
	case BadModel:
		return Model
	}
	return ""
}

// Limits of a registry.
const (
	// DefaultMaxTTL is the longest life of a fault unless Options says otherwise.
	DefaultMaxTTL = 15 * time.Minute
	// MaxActive is how many faults may be active at once.
	MaxActive = 100
)

// Fault is a fault to inject (all but the last four fields) or an active one.
type Fault struct {
	// Target is the agent's name, Source or Model.
	Target string
	Kind   Kind
	// Delay is how long a latency waits before each event; zero for the other kinds.
	Delay time.Duration
	// Share of the events that are hit, above 0, at most 1.
	Share float64
	// TTL is when the fault ends by itself.
	TTL time.Duration
	// Times bounds how often it strikes, 0 for each time. Crash and hang count lives of the agent (a hang hits every
	// lane of the life), the others count events: applications and outcomes where the source is the target.
	Times int
	Change
	// By is who injects it.
	By string

	ID                   string
	CreatedAt, ExpiresAt time.Time
	// Hits counts events that were hit.
	Hits int64
}

// DefaultTimes is what Times should be where a person says nothing: a crash and a hang end one life and are spent.
func DefaultTimes(k Kind) int {
	if k == Crash || k == Hang {
		return 1
	}
	return 0
}

// InvalidError refuses a fault: which field, what is wrong with it, and what would do.
type InvalidError struct {
	Field, Problem, Remedy string
}

func (e *InvalidError) Error() string {
	return fmt.Sprintf("fault: %s %s: %s", e.Field, e.Problem, e.Remedy)
}

// ErrNotFound says that no active fault has the id; it may have ended.
var ErrNotFound = errors.New("fault: no active fault has this id")

// ErrInjected is what an injected error is, for errors.Is.
var ErrInjected = errors.New("fault: injected error")

// check refuses what can't be injected.
func (o *Options) check(f Fault) error {
	if !slices.Contains(Kinds, f.Kind) {
		return &InvalidError{"kind", fmt.Sprintf("is %q", f.Kind), "use one of " + kinds()}
	}
	if f.Kind != Latency && f.Delay != 0 {
		return &InvalidError{"delay", "means nothing for kind " + string(f.Kind), "leave it out, or use kind latency"}
	}
	if err := o.checkChange(f); err != nil {
		return err
	}
	if f.Kind == Latency && (f.Delay <= 0 || f.Delay > o.MaxTTL) {
		return &InvalidError{"delay", fmt.Sprintf("is %s", f.Delay), fmt.Sprintf("give how long each event shall wait, above 0 and at most %s", o.MaxTTL)}
	}
	return o.checkReach(f)
}

// checkReach refuses a fault that hits nothing, nobody knows what, or has no end.
func (o *Options) checkReach(f Fault) error {
	switch only := TargetOf(f.Kind); {
	case f.Target == "":
		return &InvalidError{"target", "is missing", "name an agent"}
	case only != "" && f.Target != only:
		return &InvalidError{"target", fmt.Sprintf("is %q", f.Target), fmt.Sprintf("a %s is a fault of the %s: name that", f.Kind, only)}
	case only == "" && len(o.Targets) > 0 && !o.knows(f.Target):
		return &InvalidError{"target", fmt.Sprintf("%q is no agent here", f.Target), "use one of " + strings.Join(o.Targets, ", ")}
	case !(f.Share > 0 && f.Share <= 1):
		return &InvalidError{"share", fmt.Sprintf("is %v", f.Share), "give the share of events to hit, above 0 and at most 1"}
	case f.Kind == Noise && f.Share == 1:
		return &InvalidError{"share", "is 1", "give the share of outcomes to invert, such as 0.4; label-flip inverts all"}
	case f.Kind == BadModel && (f.Share != 1 || f.Times != 0):
		return &InvalidError{"share", "and times mean nothing for a bad model", "leave them out"}
	case f.TTL <= 0:
		return &InvalidError{"ttl", "is missing", fmt.Sprintf("every fault must end by itself: give a TTL of at most %s", o.MaxTTL)}
	case f.TTL > o.MaxTTL:
		return &InvalidError{"ttl", fmt.Sprintf("is %s", f.TTL), fmt.Sprintf("give at most %s", o.MaxTTL)}
	case f.Times < 0:
		return &InvalidError{"times", fmt.Sprintf("is %d", f.Times), "give how often it may strike, or 0 for each time"}
	}
	return nil
}

func kinds() string {
	names := make([]string, len(Kinds))
	for i, k := range Kinds {
		names[i] = string(k)
	}
	return strings.Join(names, ", ")
}

func (o *Options) knows(target string) bool {
	for _, t := range o.Targets {
		if t == target {
			return true
		}
	}
	return false
}

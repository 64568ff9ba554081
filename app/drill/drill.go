// Package drill breaks a system on purpose and judges whether it healed: what `aura demo` runs, in real time, and what
// the proofs run in virtual time.
//
// It owns the drills, as data (Drill): the faults to inject, the incident that they should lead to, and how long each
// part may take; and the one Runner of all of them. It knows no process: what it needs of one it declares as System. It
// imports agents/fault for what a fault is, and healing/incident for what an incident is; of the fault it knows what it
// injected itself, and uses the time of that for the figures only: whether the system healed is judged from incidents,
// actions, memory, decisions and outcomes as they are stored, and from what monitoring says (D15).
//
// A Runner blocks until the drill is over or ctx ends. It uses time.Now and timers and nothing else that waits, starts no
// goroutine, and calls System from one goroutine only, so that it runs in a testing/synctest bubble as it does in a
// process. Test it with a System made by hand.
package drill

import (
	"fmt"
	"time"

	"aura/agents/fault"
	"aura/healing/incident"
)

// Names of the five drills.
const (
	NameLatency   = "latency"
	NameAccuracy  = "accuracy"
	NameDrift     = "drift"
	NameAgentDown = "agent-down"
	NameHang      = "hang"
)

// Names of all drills, in the order in which they are run.
var Names = []string{NameLatency, NameAccuracy, NameDrift, NameAgentDown, NameHang}

// Drill is one scripted break with the ending that is expected of it.
type Drill struct {
	Name string
	// Faults are injected together.
	Faults []fault.Fault
	// Kind of the incident that must be verified healed, and its target; empty for any target.
	Kind, Target string
	// Watch is the target of the signal that must be healthy before the drill begins, and whose value is shown; empty for
	// Target.
	Watch string

	// Ready bounds the wait for a healthy system before anything is broken.
	Ready time.Duration
	// Detect bounds the wait from the fault to the confirmed incident.
	Detect time.Duration
	// Heal bounds the time from detection to the verified healing.
	Heal time.Duration
	// Soak is how long the fault stays on after that: long enough to see that the service is well in spite of it.
	Soak time.Duration
	// Restore bounds the time from the fault's end until everything is as it was: the model decides, nothing is open.
	Restore time.Duration

	// Fast asks for a median below FastLimit while the fault is on.
	Fast bool
	// Worse asks that the fault really brought the accuracy to WorseLimit.
	Worse bool
	// Returns asks that the kept reference is restored, as an incident of its own, once the fault has gone.
	Returns bool
	// Aim is DESIGN's target: 95 of 100 drills from onset to verified. LabelLag is added to it by who knows the labels' lag.
	Aim      time.Duration
	LabelLag bool
}

const (
	// FastLimit is what the median of decisions must stay below in safe mode.
	FastLimit = 300 * time.Millisecond
	// WorseLimit is the accuracy that the bad model of the accuracy drill must not exceed on true outcomes.
	WorseLimit = 0.65
	// soak gives the figures under the fault some hundred decisions.
	soak = 2 * time.Second
)

// timed fills in what drills have in common. Faults outlive every wait of the drill: the runner ends them.
func timed(d Drill, heal time.Duration) Drill {
	d.Ready, d.Detect, d.Heal, d.Soak, d.Restore = time.Minute, time.Minute, heal, soak, time.Minute
	for i := range d.Faults {
		f := &d.Faults[i]
		f.TTL = d.Detect + d.Heal + d.Soak + time.Minute
		if f.Share == 0 {
			f.Share = 1
		}
	}
	return d
}

// Latency delays a share of the model agent's events.
func Latency(delay time.Duration, share float64) Drill {
	return timed(Drill{
		Name:   NameLatency,
		Faults: []fault.Fault{{Target: fault.Model, Kind: fault.Latency, Delay: delay, Share: share}},
		Kind:   incident.LatencySLOBreach, Target: "service", Fast: true, Aim: 5 * time.Second,
	}, time.Minute)
}

// Accuracy puts a really worse model in charge.
func Accuracy() Drill {
	return timed(Drill{
		Name:   NameAccuracy,
		Faults: []fault.Fault{{Target: fault.Model, Kind: fault.BadModel}},
		Kind:   incident.PerfDrop, Target: "model", Worse: true, Aim: 20 * time.Second, LabelLag: true,
	}, 2*time.Minute)
}

// Drift has the source send another population: change says which feature and how it moves, share how many applications
// come from the category, where it names one.
func Drift(change fault.Change, share float64) Drill {
	d := timed(Drill{
		Name:   NameDrift,
		Faults: []fault.Fault{{Target: fault.Source, Kind: fault.Drift, Change: change, Share: share}},
		// Which of the features and scores that moved names the incident is the system's to say.
		Kind: incident.DataDrift, Watch: change.Feature, Returns: true, Aim: time.Minute,
	}, 5*time.Minute)
	d.Restore = 5 * time.Minute
	return d
}

// Crash panics an agent of the pipeline once.
func Crash(agent string) Drill {
	return timed(Drill{
		Name:   NameAgentDown,
		Faults: []fault.Fault{{Target: agent, Kind: fault.Crash, Times: 1}},
		Kind:   incident.AgentDown, Target: agent, Aim: 3 * time.Second,
	}, time.Minute)
}

// Hang has one life of an agent of the pipeline never come back from its handlers.
func Hang(agent string) Drill {
	return timed(Drill{
		Name:   NameHang,
		Faults: []fault.Fault{{Target: agent, Kind: fault.Hang, Times: 1}},
		Kind:   incident.AgentDown, Target: agent, Aim: 5 * time.Second,
	}, time.Minute)
}

// Default returns the drill of a name as it ships: 2 s of latency, the mean of credit_score from 700 to 550, the model
// agent for what strikes an agent.
func Default(name string) (Drill, error) {
	switch name {
	case NameLatency:
		return Latency(2*time.Second, 1), nil
	case NameAccuracy:
		return Accuracy(), nil
	case NameDrift:
		mean := 550.0
		return Drift(fault.Change{Feature: "credit_score", Mean: &mean}, 1), nil
	case NameAgentDown:
		return Crash(fault.Model), nil
	case NameHang:
		return Hang(fault.Model), nil
	}
	return Drill{}, fmt.Errorf("drill: there is no drill %q", name)
}

// watched is the fingerprint of the signal that the drill is about.
func (d Drill) watched() string {
	target := d.Watch
	if target == "" {
		target = d.Target
	}
	return d.Kind + ":" + target
}

// about reports whether an incident is the one that the drill expects.
func (d Drill) about(in incident.Incident) bool {
	return in.Kind == d.Kind && (d.Target == "" || in.Target == d.Target)
}

package detect

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Change is a recent change of the system: of a setting, the model, the mode, or a restart. Never a fault: nobody peeks.
type Change struct {
	Kind   string    `json:"kind"` // config, model, mode, reference, restart
	Target string    `json:"target"`
	At     time.Time `json:"at"`
	By     string    `json:"by"`
	Note   string    `json:"note,omitempty"`
}

// Scene is what the ranking knows beside the signals.
type Scene struct {
	Now  time.Time
	Mode string
	// Path lists the agents between acceptance and decision. In safe mode the model agent is none of them.
	Path []string
	// Open holds the fingerprints of open incidents: they stay causes, so that one cause keeps one incident.
	Open map[string]bool
	// Left holds those of them that nobody heals: with a person, or only observed. They excuse no loss of accuracy.
	Left    map[string]bool
	Changes []Change
}

// DefaultPath is the way of an application.
var DefaultPath = []string{"ingestion", "feature", "model", "decision"}

// Cause is an active signal with its place among the others.
type Cause struct {
	Signal Signal `json:"signal"`
	// Of is the fingerprint of the cause that this signal is a consequence of; empty for a cause. An open incident of a
	// consequence is taken over by it.
	Of     string `json:"of,omitempty"`
	Reason string `json:"reason"`
	// Changes are recent ones, those nearest before the onset first.
	Changes []Change `json:"changes,omitempty"`
}

const (
	aftermath  = 5 * time.Second  // how long after an agent is back its backlog may be late
	slackOnset = time.Second      // how much later than what it explains a death may seem to have been: both are estimates
	sameOnset  = 10 * time.Second // drifts of several features that began together are one change of population
	changeBack = 10 * time.Minute
	echo       = time.Minute     // how long after a drift is over outcomes of what was decided under it may come
	nowhere    = 5 * time.Second // how long a model agent that gets nowhere, and isn't found down, excuses late decisions
	patience   = 2 * time.Minute // how long a loss of accuracy waits for the healing of the drift that explains it
)

// Rank orders the active signals: causes first, the most specific before the others, then consequences. It is
// deterministic. Rules: a bus that can't be heard explains everything; an agent that is down (or just back) explains
// latency that began no earlier, but a model agent that only gets nowhere does so for a while, and is itself explained by the
// latency for which safe mode stands; a drift of one feature explains those that began with it, the scores', and a loss of
// accuracy that began later, unless the model changed in between, or nobody heals the drift, or its healing takes long: then
// what can be done about the accuracy must not wait for it. About a broken feed nothing can be done but mend it.
func Rank(signals []Signal, scene Scene) []Cause {
	var causes []Cause
	for _, s := range signals {
		if s.State.Active() {
			causes = append(causes, Cause{Signal: s, Changes: recentChanges(s, scene)})
		}
	}
	slices.SortStableFunc(causes, func(a, b Cause) int { return compareCauses(a, b, scene) })
	r := ranking{scene: scene, causes: causes, all: signals}
	for i := range causes {
		causes[i].Of, causes[i].Reason = r.explain(i)
	}
	slices.SortStableFunc(causes, func(a, b Cause) int { return cmp.Compare(boolInt(a.Of != ""), boolInt(b.Of != "")) })
	return causes
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// precedence is how specific a signal is.
func precedence(s Signal) int {
	switch {
	case s.Kind == BusDown:
		return 0
	case s.Kind == AgentDown:
		return 1
	case s.Bug != nil:
		return 2
	case s.Kind == DataDrift && s.Target != TargetScore:
		return 3
	case s.Kind == PerfDrop:
		return 4
	case s.Kind == DataDrift:
		return 5
	}
	return 6
}

func compareCauses(a, b Cause, scene Scene) int {
	return cmp.Or(
		cmp.Compare(precedence(a.Signal), precedence(b.Signal)),
		cmp.Compare(boolInt(!scene.Open[a.Signal.Fingerprint()]), boolInt(!scene.Open[b.Signal.Fingerprint()])),
		cmp.Compare(boolInt(a.Signal.State != Confirmed), boolInt(b.Signal.State != Confirmed)),
		began(a.Signal).Compare(began(b.Signal)),
		cmp.Compare(b.Signal.Value, a.Signal.Value),
		cmp.Compare(a.Signal.Fingerprint(), b.Signal.Fingerprint()),
	)
}

// began is the best estimate of when a signal's change began.
func began(s Signal) time.Time {
	if !s.Onset.IsZero() {
		return s.Onset
	}
	return s.Since
}

type ranking struct {
	scene  Scene
	causes []Cause
	all    []Signal
}

func (r *ranking) explain(i int) (of, reason string) {
	s := r.causes[i].Signal
	for _, c := range r.causes[:i] {
		if c.Signal.Kind == BusDown {
			return c.Signal.Fingerprint(), "what can't be heard can't be judged"
		}
	}
	switch {
	case s.Kind == AgentDown && s.text("cause") == AgentGone && s.Target != "model":
		return r.gone(s)
	case s.Kind == LatencyBreach:
		return r.latency(s)
	case s.Kind == PerfDrop:
		return r.perf(i)
	case r.bypassed(s):
		return latencyOfService, "it is slow, and decisions go round it"
	case s.Kind == DataDrift && s.Bug == nil:
		return r.drift(i)
	case s.Bug != nil:
		return "", s.Bug.String()
	}
	return "", "nothing more specific explains it"
}

// gone names the process that took an agent with it. For the model agent something can be done, so it stands for itself.
func (r *ranking) gone(s Signal) (of, reason string) {
	process := TargetProcess(s.text("instance"))
	for _, c := range r.causes {
		if c.Signal.Kind == AgentDown && c.Signal.Target == process && s.Target != process {
			return c.Signal.Fingerprint(), "its process is gone"
		}
	}
	return "", "nothing more specific explains it"
}

// handover is how long after a process is lost, or back, the others may need to take over its part: groups wait for a member
// that was killed until its session ends (10 s), and share out what there is. Where one leaves or joins in order nobody waits
// for a session, and rebalance is enough.
const (
	handover  = 30 * time.Second
	rebalance = 10 * time.Second
)

// moved finds a process whose end, or return, lies so little before a breach that the others are at taking over its part, or
// giving it back. What it ran has to be on the applications' way.
func (r *ranking) moved(breach Signal) (of, reason string) {
	for _, s := range r.all {
		if instance, is := ProcessOf(s.Target); s.Kind == AgentDown && is {
			if reason := cmp.Or(r.lost(s, breach, instance), r.handed(s, breach, instance)); reason != "" {
				return s.Fingerprint(), reason
			}
		}
	}
	return "", ""
}

func (r *ranking) lost(process, breach Signal, instance string) (reason string) {
	at := began(process)
	if !process.State.Active() {
		at = process.Recovered
	}
	lost := at // what began while it was away goes on for a while when it is back
	if heard, ok := process.Evidence[evidenceHeard].(time.Time); ok && heard.Before(lost) {
		lost = heard
	}
	switch {
	case at.IsZero() || lost.After(began(breach).Add(slackOnset)) || r.scene.Now.Sub(at) > handover || !r.onPath(process, evidenceAgents):
		return ""
	case process.State.Active():
		return "the others take over from process " + instance
	}
	return "process " + instance + " is just back"
}

// handed is about a process that left or joined in order.
func (r *ranking) handed(process, breach Signal, instance string) (reason string) {
	at, ok := process.Evidence[evidenceHanded].(time.Time)
	if !ok || at.After(began(breach).Add(slackOnset)) || r.scene.Now.Sub(at) > rebalance || !r.onPath(process, evidenceParts) {
		return ""
	}
	return "process " + instance + " has just left or joined in order, and the work is shared out anew"
}

// onPath reports whether one of a process' agents that its evidence names is passed by applications.
func (r *ranking) onPath(process Signal, evidence string) bool {
	return slices.ContainsFunc(process.texts(evidence), func(agent string) bool { return slices.Contains(r.scene.Path, agent) })
}

// latency looks for an agent on the path that is down or just back, and was down before the breach began: one that dies
// later is a fault of its own, and to restart it would not end this one.
func (r *ranking) latency(breach Signal) (of, reason string) {
	later, stuck := "", ""
	for _, s := range r.all {
		if s.Kind != AgentDown || !slices.Contains(r.scene.Path, s.Target) || s.Target == "model" && r.scene.Mode == ModeSafe {
			continue
		}
		if unwell(s).After(began(breach).Add(slackOnset)) {
			if s.State.Active() {
				later = s.Target
			}
			continue
		}
		if r.stuckForLong(s, breach) {
			stuck = s.Target
			continue
		}
		if s.State.Active() {
			return s.Fingerprint(), fmt.Sprintf("agent %s on the path is %s", s.Target, s.State)
		}
		if !s.Recovered.IsZero() && r.scene.Now.Sub(s.Recovered) < aftermath {
			return s.Fingerprint(), fmt.Sprintf("agent %s is just back, its backlog is late", s.Target)
		}
	}
	if of, reason = r.moved(breach); of != "" {
		return of, reason
	}
	if stuck != "" {
		return "", "agent " + stuck + " gets nowhere, and isn't found down"
	}
	if later != "" {
		return "", "it began before agent " + later + " was down"
	}
	return "", "no agent on the path is down"
}

// stuckForLong reports whether the model agent has been suspected, and no more, of getting nowhere for so long that the breach must be
// healed for itself: nothing convicts an agent that lives and has nothing to decide with, and safe mode goes round it.
func (r *ranking) stuckForLong(agent, breach Signal) bool {
	return agent.Target == "model" && agent.State == Suspect && agent.text("cause") == causeStuck && breach.State == Confirmed &&
		r.scene.Now.Sub(agent.Since) > nowhere
}

// unwell is when the trouble of an agent began; the zero time of one that is well, or of which that isn't known.
func unwell(s Signal) time.Time {
	if at, ok := s.Evidence[evidenceUnwell].(time.Time); ok {
		return at
	}
	if s.State.Active() {
		return began(s)
	}
	return time.Time{}
}

var latencyOfService = Signal{Kind: LatencyBreach, Target: TargetService}.Fingerprint()

// bypassed reports whether an agent gets nowhere, and is suspected for that alone, because it is slow: safe mode stands for
// its latency. One that hangs, dies or fails is confirmed to.
func (r *ranking) bypassed(s Signal) bool {
	return s.Kind == AgentDown && s.Target == "model" && s.State == Suspect && s.text("cause") == causeStuck &&
		r.scene.Mode == ModeSafe && r.scene.Open[latencyOfService]
}

// perf looks for a confirmed drift of a feature that began before, with no other model since.
func (r *ranking) perf(i int) (of, reason string) {
	s := r.causes[i].Signal
	if r.scene.Open[s.Fingerprint()] {
		return "", "an incident of its own is open"
	}
	long := s.State == Confirmed && r.scene.Now.Sub(s.Since) > patience
	left := ""
	for _, c := range r.causes[:i] {
		d := c.Signal
		if d.Kind != DataDrift || d.State != Confirmed || d.Target == TargetScore || c.Of != "" {
			continue
		}
		if began(s).Before(began(d).Add(-sameOnset)) || r.modelChanged(began(d), began(s)) {
			continue
		}
		if d.Bug != nil { // no model is at fault, and none may learn from it: who mends the feed mends this
			return d.Fingerprint(), "accuracy fell after the feed broke: " + d.Bug.String()
		}
		if long {
			continue
		}
		if r.scene.Left[d.Fingerprint()] {
			left = d.Target
			continue
		}
		return d.Fingerprint(), "accuracy fell after " + d.Target + " drifted"
	}
	if d := r.over(began(s)); d != nil {
		return d.Fingerprint(), "accuracy fell while " + d.Target + " had drifted, which is just over"
	}
	switch {
	case long:
		return "", "it has been low for long, whatever it came from"
	case left != "":
		return "", "nobody heals the drift of " + left
	}
	return "", "no drift explains it"
}

// over finds a drift of a feature that has just ended, without a new reference, and that a loss of accuracy fell into. A model
// that has changed since explains the loss better, whatever the estimate of its onset.
func (r *ranking) over(onset time.Time) *Signal {
	if r.modelChanged(onset, r.scene.Now) {
		return nil
	}
	for i := range r.all {
		d := &r.all[i]
		if d.Kind == DataDrift && d.Target != TargetScore && d.State != Confirmed && onset.Before(d.Recovered) && r.scene.Now.Sub(d.Recovered) < echo {
			return d
		}
	}
	return nil
}

// modelChanged reports whether another model came between (or just before or after, as onsets are estimates).
func (r *ranking) modelChanged(from, to time.Time) bool {
	return slices.ContainsFunc(r.scene.Changes, func(c Change) bool {
		return c.Kind == "model" && !c.At.Before(from.Add(-sameOnset)) && !c.At.After(to.Add(sameOnset))
	})
}

// drift looks for a feature whose drift leads: of the scores any, of another feature one that began with it.
func (r *ranking) drift(i int) (of, reason string) {
	s := r.causes[i].Signal
	for _, c := range r.causes[:i] {
		d := c.Signal
		if c.Of != "" || d.Kind != DataDrift || d.Target == TargetScore {
			continue
		}
		if s.Target == TargetScore {
			return d.Fingerprint(), "scores follow " + d.Target
		}
		apart := began(s).Sub(began(d)).Abs()
		if apart <= sameOnset && !r.scene.Open[s.Fingerprint()] {
			return d.Fingerprint(), "began together with " + d.Target
		}
	}
	return "", "nothing more specific explains it"
}

// recentChanges returns changes of the last minutes before the signal, and since; nearest to its onset first.
func recentChanges(s Signal, scene Scene) []Change {
	var recent []Change
	for _, c := range scene.Changes {
		if !c.At.Before(began(s).Add(-changeBack)) && !c.At.After(scene.Now) {
			recent = append(recent, c)
		}
	}
	slices.SortStableFunc(recent, func(a, b Change) int {
		after := func(c Change) int { return boolInt(c.At.After(began(s))) }
		return cmp.Or(
			cmp.Compare(after(a), after(b)),
			cmp.Compare(began(s).Sub(a.At).Abs(), began(s).Sub(b.At).Abs()),
			cmp.Compare(a.Kind+a.Target, b.Kind+b.Target),
		)
	})
	return recent
}

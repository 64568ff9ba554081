// Package playbook holds what to try, in which order, as data: for each kind of incident a ladder of rungs.
//
// It owns the ladder's form, its rules and its defaults. It is pure: text and values in, values out; nothing blocks; a
// Playbook that Parse returned is sound and is not changed afterwards, so it may be read by many. Parse is strict and its
// errors name the field and the remedy; whoever reloads keeps the old one on an error.
//
// Imports: healing/strict and the standard library. Test it with values.
package playbook

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Kinds are the incident kinds that have a ladder. BUS_DOWN has none: it only notifies a person.
var Kinds = []string{"LATENCY_SLO_BREACH", "PERF_DROP", "DATA_DRIFT", "AGENT_DOWN"}

// Actions are what a rung may start with.
var Actions = []string{"ENABLE_SAFE_MODE", "ROLLBACK_MODEL", "TRIGGER_RETRAINING", "RESTORE_REFERENCE", "RESTART_AGENT"}

// parameters are what a rung may set of its action; the rest is resolved when the action is proposed.
var parameters = map[string][]string{"RESTART_AGENT": {"agent"}}

// Verifications are what can show that a rung helped.
var Verifications = []string{
	"signal",    // the opening signal is healthy on data accepted after the action, by a sequential test
	"agent",     // on-time beats, a canary decided end to end, the watermark advances
	"reference", // PSI below 0.1 on 500 rows newer than the action
}

// Facts are what a rung can require.
var Facts = []string{
	"previous_better",    // the version before the champion is better on the newest outcomes
	"earlier_reference",  // recent rows fit a reference that was in use before
	"reference_outgrown", // a reference that this incident accepted was taken back: who applies went on changing
	"model_agent",        // the incident is about the model agent
}

// outcomes are the ends of an action that others can follow, and what may follow each. Of an action that is not in here no
// end is told apart; after another end than these the rung has failed. Only what passed the gate can be promoted.
var outcomes = map[string]map[string][]string{
	"TRIGGER_RETRAINING": {"promote": {"PROMOTE_MODEL", "ACCEPT_REFERENCE"}, "keep": {"ACCEPT_REFERENCE"}},
}

// What a rung's times are where it says nothing.
const (
	DefaultExecuteWithin = 30 * time.Second
	DefaultVerifyWithin  = time.Minute
)

const (
	// maxRungs bounds a ladder.
	maxRungs = 16
	// MaxWithin bounds the times in which an action must take effect and help.
	MaxWithin = 24 * time.Hour
	// maxCooldown is how far back repeats of an action are counted: a longer wait would not be kept.
	maxCooldown = time.Hour
)

// Rung is one step of a ladder.
type Rung struct {
	Action string `json:"action" yaml:"action"`
	// Params are of RESTART_AGENT only: agent, where the incident doesn't name it.
	Params map[string]string `json:"params,omitempty" yaml:"params"`
	// Requires are those of Facts that must hold before it is proposed.
	Requires     []string `json:"requires,omitempty" yaml:"requires"`
	Verification string   `json:"verification" yaml:"verification"`
	// Then says which actions follow in the same rung, by the outcome of the first: promote, keep. Other outcomes: the rung
	// has failed.
	Then map[string][]string `json:"then,omitempty" yaml:"then"`
	// Protect: it stands while the next rungs heal, and is judged with them.
	Protect       bool          `json:"protect,omitempty" yaml:"protect"`
	ExecuteWithin time.Duration `json:"execute_within,omitempty" yaml:"execute_within"`
	VerifyWithin  time.Duration `json:"verify_within,omitempty" yaml:"verify_within"`
	Dwell         time.Duration `json:"dwell,omitempty" yaml:"dwell"`       // healthy that long before it counts
	Cooldown      time.Duration `json:"cooldown,omitempty" yaml:"cooldown"` // before the same action on the same target
	Why           string        `json:"why,omitempty" yaml:"-"`             // given by Ladder
}

// Playbook maps each incident kind to its ladder.
type Playbook map[string][]Rung

// FieldError is a playbook that can't be used: which field (empty: the whole), what is wrong, what to do.
type FieldError struct{ Field, Problem, Remedy string }

func (e *FieldError) Error() string {
	return strings.TrimSuffix("playbooks."+e.Field, ".") + ": " + e.Problem + "; " + e.Remedy
}

// Default is the playbook that ships.
func Default() Playbook {
	safe := Rung{Action: "ENABLE_SAFE_MODE", Verification: "signal", ExecuteWithin: 10 * time.Second, VerifyWithin: 15 * time.Second, Dwell: time.Second}
	protect := safe
	protect.Protect = true
	restart := Rung{Action: "RESTART_AGENT", Verification: "agent", ExecuteWithin: 10 * time.Second, VerifyWithin: 10 * time.Second, Dwell: 300 * time.Millisecond}
	restartLater, restartLast := restart, restart // the wait doubles with each repeat within an hour
	restartLater.Cooldown, restartLast.Cooldown = 5*time.Second, 10*time.Second
	restartSlow := restart
	restartSlow.Verification, restartSlow.VerifyWithin, restartSlow.Dwell = "signal", 15*time.Second, time.Second
	protectModel := protect
	protectModel.Requires = []string{"model_agent"}
	retrain := Rung{Action: "TRIGGER_RETRAINING", ExecuteWithin: 5 * time.Minute, Cooldown: 10 * time.Second}
	drift, perf := retrain, retrain
	drift.Verification, drift.VerifyWithin = "reference", 10*time.Minute
	drift.Then = map[string][]string{"promote": {"PROMOTE_MODEL", "ACCEPT_REFERENCE"}, "keep": {"ACCEPT_REFERENCE"}}
	driftAgain := drift
	driftAgain.Requires, driftAgain.Cooldown = []string{"reference_outgrown"}, 20*time.Second
	perf.Verification, perf.VerifyWithin = "signal", 10*time.Minute
	perf.Then = map[string][]string{"promote": {"PROMOTE_MODEL"}}
	return Playbook{
		"LATENCY_SLO_BREACH": {safe, restartSlow},
		"PERF_DROP": {
			{Action: "ROLLBACK_MODEL", Requires: []string{"previous_better"}, Verification: "signal", ExecuteWithin: 15 * time.Second, VerifyWithin: 2 * time.Minute, Dwell: time.Second},
			protect, perf,
		},
		"DATA_DRIFT": {
			{Action: "RESTORE_REFERENCE", Requires: []string{"earlier_reference"}, Verification: "reference", ExecuteWithin: 15 * time.Second, VerifyWithin: 10 * time.Minute},
			drift, driftAgain,
		},
		// What crashed once more may still live the third time, and what crashes for a minute lives after it.
		"AGENT_DOWN": {restart, protectModel, restart, restartLater, restartLast},
	}
}

// Digest names a playbook by what is in it.
func (p Playbook) Digest() string {
	raw, err := json.Marshal(p) // maps by sorted key
	if err != nil {
		panic("playbook: strings, durations and lists of them always encode: " + err.Error())
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:8])
}

// Validate checks a playbook; the error is a *FieldError.
func (p Playbook) Validate() error {
	for _, kind := range slices.Sorted(maps.Keys(p)) {
		if !slices.Contains(Kinds, kind) {
			return &FieldError{kind, "no such incident kind", "give one of " + strings.Join(Kinds, ", ")}
		}
		if err := ladder(kind, p[kind]); err != nil {
			return err
		}
	}
	for _, kind := range Kinds {
		if _, given := p[kind]; !given {
			return &FieldError{kind, "no ladder", "give at least one rung"}
		}
	}
	return nil
}

func ladder(kind string, rungs []Rung) error {
	if len(rungs) == 0 {
		return &FieldError{kind, "an empty ladder", "give at least one rung, or leave the kind out to keep the default"}
	}
	if len(rungs) > maxRungs {
		return &FieldError{kind, fmt.Sprintf("%d rungs", len(rungs)), fmt.Sprintf("give at most %d", maxRungs)}
	}
	for i, r := range rungs {
		if err := r.validate(fmt.Sprintf("%s[%d].", kind, i)); err != nil {
			return err
		}
		if i > 0 && reflect.DeepEqual(r, rungs[i-1]) {
			return &FieldError{fmt.Sprintf("%s[%d]", kind, i), "the same rung as the one before it: " + r.Action, "remove one of the two, or put another rung between them"}
		}
	}
	return nil
}

func (r Rung) validate(at string) error {
	if !slices.Contains(Actions, r.Action) {
		return &FieldError{at + "action", fmt.Sprintf("unknown action %q", r.Action), "give one of " + strings.Join(Actions, ", ")}
	}
	if r.Verification == "" {
		return &FieldError{at + "verification", "no verification", "say what shows that it helped: " + strings.Join(Verifications, ", ")}
	}
	if !slices.Contains(Verifications, r.Verification) {
		return &FieldError{at + "verification", fmt.Sprintf("unknown verification %q", r.Verification), "give one of " + strings.Join(Verifications, ", ")}
	}
	for _, fact := range r.Requires {
		if !slices.Contains(Facts, fact) {
			return &FieldError{at + "requires", fmt.Sprintf("unknown fact %q", fact), "give of " + strings.Join(Facts, ", ")}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Params)) {
		known := parameters[r.Action]
		switch {
		case len(known) == 0:
			return &FieldError{at + "params", fmt.Sprintf("%s takes none, got %q", r.Action, name), "remove it; it is resolved when the action is proposed"}
		case !slices.Contains(known, name):
			return &FieldError{at + "params", fmt.Sprintf("%s has no parameter %q", r.Action, name), "give of " + strings.Join(known, ", ")}
		case r.Params[name] == "":
			return &FieldError{at + "params." + name, "is empty", "give it a value or leave it out"}
		}
	}
	if err := r.validateTimes(at); err != nil {
		return err
	}
	return r.validateChain(at)
}

func (r Rung) validateTimes(at string) error {
	for _, f := range []struct {
		name    string
		d, most time.Duration
		zero    string // what 0s stands for
	}{
		{"execute_within", r.ExecuteWithin, MaxWithin, DefaultExecuteWithin.String()},
		{"verify_within", r.VerifyWithin, MaxWithin, "1m"},
		{"dwell", r.Dwell, MaxWithin, "healthy once is enough"},
		{"cooldown", r.Cooldown, maxCooldown, "that of governance.limits"},
	} {
		problem := ""
		switch {
		case f.d < 0:
			problem = fmt.Sprintf("negative time %v", f.d)
		case f.d > f.most:
			problem = fmt.Sprintf("%v is too long", f.d)
		default:
			continue
		}
		return &FieldError{at + f.name, problem, fmt.Sprintf("give 0s (the default, which means %s) to %gh", f.zero, f.most.Hours())}
	}
	if verify := cmp.Or(r.VerifyWithin, DefaultVerifyWithin); r.Dwell >= verify {
		return &FieldError{at + "dwell", fmt.Sprintf("%v is not shorter than verify_within, %v", r.Dwell, verify), "shorten it, or nothing can ever be verified"}
	}
	return nil
}

func (r Rung) validateChain(at string) error {
	ends := outcomes[r.Action]
	if len(ends) > 0 && len(r.Then) == 0 {
		return &FieldError{at + "then", "nothing follows " + r.Action, "say what does, such as then: {promote: [PROMOTE_MODEL]}"}
	}
	if len(ends) == 0 && len(r.Then) > 0 {
		return &FieldError{at + "then", fmt.Sprintf("%s has no outcomes that anything could follow, got %s", r.Action, strings.Join(slices.Sorted(maps.Keys(r.Then)), ", ")), "remove then; only " + strings.Join(slices.Sorted(maps.Keys(outcomes)), ", ") + " has outcomes"}
	}
	if len(r.Then) > 0 && r.Protect {
		return &FieldError{at + "protect", "a rung with follow-ups can't only protect", "remove protect or then"}
	}
	for _, outcome := range slices.Sorted(maps.Keys(r.Then)) {
		field, actions := at+"then."+outcome, r.Then[outcome]
		may, known := ends[outcome]
		if !known {
			return &FieldError{field, fmt.Sprintf("%s has no outcome %q", r.Action, outcome), "give of " + strings.Join(slices.Sorted(maps.Keys(ends)), ", ") + "; after another outcome the rung has failed"}
		}
		if len(actions) == 0 || len(actions) > len(may) {
			return &FieldError{field, fmt.Sprintf("%d actions", len(actions)), fmt.Sprintf("give 1 to %d, or leave the outcome out: then the rung has failed", len(may))}
		}
		for i, action := range actions {
			if !slices.Contains(may, action) {
				return &FieldError{field, fmt.Sprintf("%q can't follow this outcome", action), "give of " + strings.Join(may, ", ")}
			}
			if slices.Contains(actions[:i], action) {
				return &FieldError{field, action + " stands there twice", "name each action once"}
			}
		}
	}
	return nil
}

// Rank orders a ladder's actions: order holds indexes into them, why a reason for each position.
type Rank func(actions []string) (order []int, why []string)

// Ladder is the ladder for a kind, ranked; nil for a kind without one. A ranking that is no permutation of the configured
// rungs is not followed (D9: memory ranks, it never invents).
func (p Playbook) Ladder(kind string, rank Rank) []Rung {
	rungs := slices.Clone(p[kind])
	for i := range rungs {
		rungs[i].Why = fmt.Sprintf("position %d of the playbook", i+1)
	}
	if rank == nil || len(rungs) == 0 {
		return rungs
	}
	actions := make([]string, len(rungs))
	for i, r := range rungs {
		actions[i] = r.Action
	}
	order, why := rank(actions)
	if !permutation(order, len(rungs)) || len(why) != len(rungs) {
		return rungs
	}
	out := make([]Rung, len(rungs))
	for i, from := range order {
		out[i] = rungs[from]
		out[i].Why = why[i]
	}
	return out
}

func permutation(order []int, n int) bool {
	seen := make([]bool, n)
	for _, i := range order {
		if i < 0 || i >= n || seen[i] {
			return false
		}
		seen[i] = true
	}
	return len(order) == n
}

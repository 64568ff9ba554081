// Package memory ranks what was tried before. It owns the rule by which outcomes of verified actions reorder a ladder, and
// nothing else: records are kept by the store, the ladder comes from the playbook.
//
// It is pure and deterministic: the same outcomes in any order give the same ranking, time is an argument, nothing blocks.
// It never adds or drops an action (D9). Records may be wrong or hostile: each action counts its newest outcomes only, each
// incident's action once, and what makes no sense is left out, so bad records move a rung and are outvoted by new ones.
//
// Imports: the standard library only. Test it with values.
package memory

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

const (
	// HalfLife is the age at which an outcome counts half.
	HalfLife = 30 * 24 * time.Hour
	// MaxOutcomes is how many of an action's newest outcomes count.
	MaxOutcomes = 20
	// z is the normal quantile of a one-sided 99 % bound: six clear outcomes on either side swap two rungs, fewer don't.
	z = 2.3263
	// minWeight keeps a ranking from resting on outcomes so old that next to nothing is left of them.
	minWeight = 1e-3
)

// Outcome is what one action, or doing nothing (Action empty), was worth in one incident.
type Outcome struct {
	Kind          string             `json:"incident_type"`
	Class         string             `json:"class"` // of the fingerprint: which faults are alike
	Action        string             `json:"action_type"`
	ActionID      string             `json:"action_id"`
	Held          bool               `json:"held"`           // verified healthy while it stood
	SelfRecovered bool               `json:"self_recovered"` // the fault ended by itself: no credit
	Before        map[string]float64 `json:"before,omitempty"`
	After         map[string]float64 `json:"after,omitempty"`
	Seconds       float64            `json:"seconds"`
	At            time.Time          `json:"at"`
}

// Position is one rung of the ranking.
type Position struct {
	Action     string  `json:"action_type"`
	Configured int     `json:"configured"` // index in the playbook's order
	Held       float64 `json:"held"`       // decayed counts
	Tried      float64 `json:"tried"`
	Lower      float64 `json:"lower"` // 99 % bounds of the share that holds (Wilson 1927)
	Upper      float64 `json:"upper"`
	Reason     string  `json:"reason"`
}

// Rank orders a playbook's actions for one kind and class of incident (an empty class: all of the kind). A rung moves up to
// stand before another one only if its lower bound is above that one's upper bound; else the configured order holds.
func Rank(order []string, outcomes []Outcome, kind, class string, now time.Time) []Position {
	out := make([]Position, 0, len(order))
	for i, action := range order {
		p := Position{Action: action, Configured: i}
		p.Held, p.Tried = tally(action, outcomes, kind, class, now)
		p.Lower, p.Upper = wilson(p.Held, p.Tried)
		p.Reason = fmt.Sprintf("configured position %d; ", i+1) + p.record()
		at := slices.IndexFunc(out, func(q Position) bool { return p.Lower > q.Upper })
		if at < 0 {
			out = append(out, p)
			continue
		}
		p.Reason = fmt.Sprintf("moved up from position %d: %s, but %s %s", i+1, p.record(), out[at].Action, out[at].record())
		out = slices.Insert(out, at, p)
	}
	return out
}

// Explain is one sentence about a ranking.
func Explain(ranking []Position) string {
	var moved []string
	for _, p := range ranking {
		if strings.HasPrefix(p.Reason, "moved up") {
			moved = append(moved, p.Action+" "+p.Reason)
		}
	}
	if len(moved) == 0 {
		return "the configured order: no outcome speaks clearly against it"
	}
	return strings.Join(moved, "; ")
}

func (p Position) record() string {
	if p.Tried < minWeight {
		return "no outcomes yet"
	}
	return fmt.Sprintf("held %.3g of %.3g (99 %% bounds %.2f to %.2f)", p.Held, p.Tried, p.Lower, p.Upper)
}

// tally sums what counts of an action's outcomes, with decay.
func tally(action string, outcomes []Outcome, kind, class string, now time.Time) (held, tried float64) {
	var own []Outcome
	for _, o := range outcomes {
		if o.Action == action && o.Kind == kind && (class == "" || o.Class == class) && o.counts(now) {
			own = append(own, o)
		}
	}
	slices.SortFunc(own, func(a, b Outcome) int { // newest first; ties so that input order doesn't matter, failures first
		return cmp.Or(b.At.Compare(a.At), strings.Compare(a.ActionID, b.ActionID), compareBool(a.Held, b.Held))
	})
	seen := map[string]bool{}
	for _, o := range own {
		if seen[o.ActionID] {
			continue
		}
		seen[o.ActionID] = true
		w := math.Exp2(-now.Sub(o.At).Hours() / HalfLife.Hours())
		tried += w
		if o.Held {
			held += w
		}
		if len(seen) == MaxOutcomes {
			break
		}
	}
	return held, tried
}

// counts leaves out what earns no credit and what makes no sense.
func (o Outcome) counts(now time.Time) bool {
	return !o.SelfRecovered && o.ActionID != "" && !o.At.IsZero() && !o.At.After(now) && !math.IsNaN(o.Seconds) && o.Seconds >= 0
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// wilson is the score interval of a share, for a number of trials that need not be whole.
func wilson(held, tried float64) (lower, upper float64) {
	if tried < minWeight {
		return 0, 1
	}
	share, zz := held/tried, z*z
	centre := (share + zz/(2*tried)) / (1 + zz/tried)
	half := z / (1 + zz/tried) * math.Sqrt(share*(1-share)/tried+zz/(4*tried*tried))
	return max(0, centre-half), min(1, centre+half)
}

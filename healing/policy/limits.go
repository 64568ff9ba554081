package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Limits bound what automation may do by itself. Undo and leaving safe mode are never bound.
type Limits struct {
	TargetHour int `json:"target_hour" yaml:"target_hour"` // actions on one setting an hour
	TargetDay  int `json:"target_day" yaml:"target_day"`
	GlobalHour int `json:"global_hour" yaml:"global_hour"`
	GlobalDay  int `json:"global_day" yaml:"global_day"`
	InFlight   int `json:"in_flight" yaml:"in_flight"` // incidents with an action that is executed or verified, at the same time

	// Cooldown is the wait between two actions of the same type on the same setting; it doubles with each repeat within an
	// hour, up to MaxCooldown. "default" is for types without an own one.
	Cooldown    map[string]time.Duration `json:"cooldown" yaml:"cooldown"`
	MaxCooldown time.Duration            `json:"max_cooldown" yaml:"max_cooldown"`

	// The breaker opens when BreakerFailures actions within BreakerWindow did not hold, until BreakerReset has passed since
	// the last of them.
	BreakerFailures int           `json:"breaker_failures" yaml:"breaker_failures"`
	BreakerWindow   time.Duration `json:"breaker_window" yaml:"breaker_window"`
	BreakerReset    time.Duration `json:"breaker_reset" yaml:"breaker_reset"`
}

// DemoLimits are for a laptop, where faults are injected one after the other.
func DemoLimits() Limits {
	return Limits{
		TargetHour: 20, TargetDay: 100, GlobalHour: 60, GlobalDay: 400, InFlight: 2,
		Cooldown: map[string]time.Duration{
			"default": 2 * time.Second, "RESTART_AGENT": time.Second, "TRIGGER_RETRAINING": 10 * time.Second,
		},
		MaxCooldown: time.Minute, BreakerFailures: 8, BreakerWindow: 10 * time.Minute, BreakerReset: 5 * time.Minute,
	}
}

// StagingLimits are for a system that people depend on: reliability.md §3.5.
func StagingLimits() Limits {
	return Limits{
		TargetHour: 3, TargetDay: 10, GlobalHour: 10, GlobalDay: 30, InFlight: 2,
		Cooldown:    map[string]time.Duration{"default": 5 * time.Minute, "TRIGGER_RETRAINING": 30 * time.Minute},
		MaxCooldown: time.Hour, BreakerFailures: 3, BreakerWindow: time.Hour, BreakerReset: 30 * time.Minute,
	}
}

const (
	// usesWithin is how far back uses are looked at, repeatsWithin how far repeats of one action are: times beyond these
	// would not be kept.
	usesWithin    = 24 * time.Hour
	repeatsWithin = time.Hour
)

// Validate names the first value that makes no sense, and the remedy, in a *FieldError.
func (l Limits) Validate() error {
	for _, f := range []struct {
		name string
		n    int
	}{{"target_hour", l.TargetHour}, {"target_day", l.TargetDay}, {"global_hour", l.GlobalHour}, {"global_day", l.GlobalDay}, {"in_flight", l.InFlight}, {"breaker_failures", l.BreakerFailures}} {
		if f.n < 1 {
			return &FieldError{"limits." + f.name, fmt.Sprintf("it is %d", f.n), "give at least 1 (a limit is always on; profile off stops all actions)"}
		}
	}
	for _, f := range []struct {
		name    string
		d, most time.Duration
	}{{"max_cooldown", l.MaxCooldown, repeatsWithin}, {"breaker_window", l.BreakerWindow, usesWithin}, {"breaker_reset", l.BreakerReset, usesWithin}} {
		if f.d <= 0 || f.d > f.most {
			return &FieldError{"limits." + f.name, fmt.Sprintf("it is %v", f.d), fmt.Sprintf("give more than 0s, at most %gh", f.most.Hours())}
		}
	}
	for _, action := range slices.Sorted(maps.Keys(l.Cooldown)) {
		d := l.Cooldown[action]
		if action != "default" && !slices.Contains(Actions, action) {
			return &FieldError{"limits.cooldown." + action, "there is no such action", "give default or one of " + strings.Join(Actions, ", ")}
		}
		if d < 0 || d > repeatsWithin {
			return &FieldError{"limits.cooldown." + action, fmt.Sprintf("it is %v", d), fmt.Sprintf("give 0s to %gh", repeatsWithin.Hours())}
		}
	}
	return nil
}

// Use is a forward action that was executed, from the store. What was refused or denied is no use.
type Use struct {
	ActionID string
	Action   string
	Touches  []string
	At       time.Time // handed to the executor
	EndedAt  time.Time // zero: in flight
	Held     bool      // verified; false with EndedAt: it did not hold
}

// Verdict is where the limits stand for one request.
type Verdict struct {
	Within     bool          `json:"within"`
	Reason     string        `json:"reason,omitempty"`
	TargetHour int           `json:"target_hour"`
	TargetDay  int           `json:"target_day"`
	GlobalHour int           `json:"global_hour"`
	GlobalDay  int           `json:"global_day"`
	InFlight   int           `json:"in_flight"`
	Cooldown   time.Duration `json:"cooldown"` // still to wait
	Breaker    bool          `json:"breaker"`
	// Wait is how long until the same action would be within the limits, if nothing else acts meanwhile; zero where that is
	// no mere matter of the clock: the breaker, others in flight, a day's budget.
	Wait time.Duration `json:"wait,omitempty"`
}

// Check counts past uses (a day is enough, in any order) against the limits. cooldown is the rung's own and counts if it
// is longer. A use in the future, from a clock that was moved, counts as now.
func (l Limits) Check(actionID, action string, touches []string, cooldown time.Duration, uses []Use, now time.Time) Verdict {
	v := Verdict{}
	var last time.Time
	repeats, failures := 0, 0
	var failed time.Time
	inFlight := map[string]bool{} // an incident does one thing at a time: what stands of its rung doesn't compete with the next
	for _, u := range uses {
		if u.ActionID == actionID {
			continue // asked again after a crash: it doesn't compete with itself
		}
		age := max(0, now.Sub(u.At))
		same := slices.ContainsFunc(touches, func(s string) bool { return slices.Contains(u.Touches, s) })
		count(&v.GlobalHour, age < time.Hour)
		count(&v.GlobalDay, age < 24*time.Hour)
		count(&v.TargetHour, same && age < time.Hour)
		count(&v.TargetDay, same && age < 24*time.Hour)
		if of := incidentOf(u.ActionID); u.EndedAt.IsZero() && age < time.Hour && of != incidentOf(actionID) {
			inFlight[of] = true
		}
		if same && u.Action == action && age < repeatsWithin {
			repeats++
			if at := now.Add(-age); at.After(last) {
				last = at
			}
		}
		if !u.EndedAt.IsZero() && !u.Held {
			ended := max(0, now.Sub(u.EndedAt))
			count(&failures, ended < l.BreakerWindow)
			if at := now.Add(-ended); at.After(failed) {
				failed = at
			}
		}
	}
	v.InFlight = len(inFlight)
	if repeats > 0 {
		v.Cooldown = max(0, l.cooldown(action, cooldown, repeats)-now.Sub(last))
	}
	v.Breaker = failures >= l.BreakerFailures && now.Sub(failed) < l.BreakerReset
	v.Reason = l.reason(v, failures, touches)
	v.Within = v.Reason == ""
	v.Wait = l.wait(v, actionID, touches, uses, now)
	return v
}

// wait is how long the cooldown and the hours' budgets need, where nothing else stands in the way.
func (l Limits) wait(v Verdict, actionID string, touches []string, uses []Use, now time.Time) time.Duration {
	if v.Within || len(touches) == 0 || v.Breaker || v.InFlight >= l.InFlight || v.TargetDay >= l.TargetDay || v.GlobalDay >= l.GlobalDay {
		return 0
	}
	var all, same []time.Duration // until each use of the last hour is an hour old
	for _, u := range uses {
		left := time.Hour - max(0, now.Sub(u.At))
		if u.ActionID == actionID || left <= 0 {
			continue
		}
		all = append(all, left)
		if slices.ContainsFunc(touches, func(s string) bool { return slices.Contains(u.Touches, s) }) {
			same = append(same, left)
		}
	}
	return max(v.Cooldown, free(all, l.GlobalHour), free(same, l.TargetHour))
}

// free is when fewer than limit of what passes remain.
func free(left []time.Duration, limit int) time.Duration {
	if len(left) < limit {
		return 0
	}
	slices.Sort(left)
	return left[len(left)-limit]
}

// incidentOf is the incident of an action, by the form of its id; an action without one stands for itself.
func incidentOf(actionID string) string {
	id, _, _ := strings.Cut(actionID, "/")
	return id
}

func count(n *int, yes bool) {
	if yes {
		*n++
	}
}

func (l Limits) cooldown(action string, rung time.Duration, repeats int) time.Duration {
	d, own := l.Cooldown[action]
	if !own {
		d = l.Cooldown["default"]
	}
	d = max(d, rung)
	for range min(repeats-1, 20) {
		if d *= 2; d >= l.MaxCooldown {
			break
		}
	}
	return min(d, max(l.MaxCooldown, rung))
}

func (l Limits) reason(v Verdict, failures int, touches []string) string {
	switch {
	case len(touches) == 0:
		return "the action touches nothing that is known: an empty target is refused"
	case v.Breaker:
		return fmt.Sprintf("breaker open: %d actions did not hold", failures)
	case v.InFlight >= l.InFlight:
		return fmt.Sprintf("%d other incidents have an action in flight, %d allowed", v.InFlight, l.InFlight)
	case v.TargetHour >= l.TargetHour:
		return fmt.Sprintf("%d actions on this target in an hour, %d allowed", v.TargetHour, l.TargetHour)
	case v.TargetDay >= l.TargetDay:
		return fmt.Sprintf("%d actions on this target in a day, %d allowed", v.TargetDay, l.TargetDay)
	case v.GlobalHour >= l.GlobalHour:
		return fmt.Sprintf("%d actions in an hour, %d allowed", v.GlobalHour, l.GlobalHour)
	case v.GlobalDay >= l.GlobalDay:
		return fmt.Sprintf("%d actions in a day, %d allowed", v.GlobalDay, l.GlobalDay)
	case v.Cooldown > 0:
		return fmt.Sprintf("cooldown: %v left", v.Cooldown.Round(time.Millisecond))
	}
	return ""
}

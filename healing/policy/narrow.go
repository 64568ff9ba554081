package policy

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"aura/healing/playbook"
)

// Parameters by which a decision narrows an action (MODIFIED). Each can only make it less: it must take effect sooner, be
// shown to help sooner, or be healthy for longer before that counts; else it is undone.
const (
	ParamExecuteWithin = "execute_within"
	ParamVerifyWithin  = "verify_within"
	ParamDwell         = "dwell"
)

// leastWithin is the least that execute_within and verify_within can be narrowed to: in less nothing is executed or shown
// to help, and the rung would be lost for a slip of the keyboard.
const leastWithin = time.Second

var narrowing = []string{ParamExecuteWithin, ParamVerifyWithin, ParamDwell}

// Bounds are the times that an action is held to, as its rung has them.
type Bounds struct {
	ExecuteWithin time.Duration `json:"execute_within,omitempty"`
	VerifyWithin  time.Duration `json:"verify_within,omitempty"`
	Dwell         time.Duration `json:"dwell,omitempty"`
}

// Texts are the bounds as parameters.
func (b Bounds) Texts() map[string]string {
	out := map[string]string{}
	for name, d := range map[string]time.Duration{ParamExecuteWithin: b.ExecuteWithin, ParamVerifyWithin: b.VerifyWithin, ParamDwell: b.Dwell} {
		if d > 0 {
			out[name] = d.String()
		}
	}
	return out
}

// NarrowError is a modification that can't be made: which parameter, and why.
type NarrowError struct{ Param, Problem string }

func (e *NarrowError) Error() string { return "policy: " + e.Param + ": " + e.Problem }

// Narrow is the proposed action with narrower parameters; its inverse stays. The error is a *NarrowError.
func Narrow(p Proposal, changes map[string]string) (Action, error) {
	out, b := p.Action, p.Bounds
	if p.Purpose == Undo {
		return out, &NarrowError{"purpose", "taking an own action back is not modified, only approved or denied"}
	}
	if len(changes) == 0 {
		return out, &NarrowError{"params", "nothing is modified; give one of " + strings.Join(narrowing, ", ")}
	}
	out.Params = maps.Clone(p.Action.Params)
	if out.Params == nil {
		out.Params = map[string]string{}
	}
	for _, name := range slices.Sorted(maps.Keys(changes)) {
		d, err := narrowed(&b, name, changes[name])
		if err != nil {
			return Action{}, err
		}
		out.Params[name] = d.String()
	}
	if b.VerifyWithin > 0 && b.Dwell >= b.VerifyWithin {
		return Action{}, &NarrowError{ParamDwell, fmt.Sprintf("%v is not shorter than verify_within %v: nothing could be verified", b.Dwell, b.VerifyWithin)}
	}
	return out, nil
}

// narrowed sets one bound.
func narrowed(b *Bounds, name, text string) (time.Duration, error) {
	if !slices.Contains(narrowing, name) {
		return 0, &NarrowError{name, "it can't be modified; give one of " + strings.Join(narrowing, ", ")}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, &NarrowError{name, fmt.Sprintf("%q is no positive duration, such as 5s", text)}
	}
	bound, wider := &b.Dwell, d < b.Dwell
	switch name {
	case ParamExecuteWithin:
		bound, wider = &b.ExecuteWithin, b.ExecuteWithin > 0 && d > b.ExecuteWithin
	case ParamVerifyWithin:
		bound, wider = &b.VerifyWithin, b.VerifyWithin > 0 && d > b.VerifyWithin
	}
	if bound != &b.Dwell && d < leastWithin {
		return 0, &NarrowError{name, fmt.Sprintf("%v is less than %v: the action could only be lost; deny it if it shall not be", d, leastWithin)}
	}
	if wider {
		return 0, &NarrowError{name, fmt.Sprintf("%v is wider than the %v that was proposed", d, *bound)}
	}
	*bound = d
	return d, nil
}

// useful refuses changes that narrow no action, whatever its rung: Tighten would silently leave each as it is.
func useful(changes map[string]string) error {
	widest := Proposal{Purpose: Forward, Bounds: Bounds{ExecuteWithin: playbook.MaxWithin, VerifyWithin: playbook.MaxWithin}}
	_, err := Narrow(widest, changes)
	var bad *NarrowError
	if errors.As(err, &bad) {
		return fmt.Errorf("%s: %s; a playbook's times are at most %v", bad.Param, bad.Problem, playbook.MaxWithin)
	}
	return err
}

// Tighten is Narrow for a rule, which is written for many actions: what isn't narrower than proposed is left as it is.
// false: nothing changes.
func Tighten(p Proposal, changes map[string]string) (Action, bool) {
	kept := map[string]string{}
	for name, text := range changes {
		one := map[string]string{name: text}
		if _, err := Narrow(p, one); err == nil && p.Bounds.Texts()[name] != text {
			kept[name] = text
		}
	}
	a, err := Narrow(p, kept)
	if err != nil {
		return p.Action, false
	}
	return a, true
}

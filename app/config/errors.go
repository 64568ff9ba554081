package config

import (
	"fmt"
	"strings"
)

// ExitCode is the exit status of a process whose configuration is refused.
const ExitCode = 3

// Problem is one thing that is wrong with the configuration: what was set, where, why it can't stand and what to do.
type Problem struct {
	Key    string `json:"key"`
	Value  string `json:"value,omitempty"`
	Origin string `json:"origin,omitempty"`
	Wrong  string `json:"problem"`
	Remedy string `json:"remedy"`
}

func (p Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.Key)
	if p.Value != "" {
		fmt.Fprintf(&b, " = %s", p.Value)
	}
	if p.Origin != "" {
		fmt.Fprintf(&b, " (%s)", p.Origin)
	}
	fmt.Fprintf(&b, ": %s; %s", p.Wrong, p.Remedy)
	return b.String()
}

// Errors is all that is wrong, in the order of the keys. Other packages of app return it for what only they can judge
// (a selection of agents that can't work), so that it looks and exits alike.
type Errors []Problem

func (e Errors) Error() string {
	lines := make([]string, 0, len(e)+1)
	lines = append(lines, "configuration refused")
	for _, p := range e {
		lines = append(lines, "  "+p.Error())
	}
	return strings.Join(lines, "\n")
}

// ExitCode makes Errors an error with an exit status of its own.
func (Errors) ExitCode() int { return ExitCode }

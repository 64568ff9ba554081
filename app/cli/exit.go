package cli

import (
	"context"
	"errors"
	"fmt"
)

// Exit codes.
const (
	ExitOK           = 0
	ExitFailure      = 1   // something unexpected
	ExitUsage        = 2   // the command line, or a request's content, is wrong
	ExitConfig       = 3   // the configuration is refused
	ExitTimeout      = 4   // no answer in time
	ExitDenied       = 5   // token missing or wrong, or not allowed
	ExitPrecondition = 6   // not found, or the state doesn't allow it
	ExitUnreachable  = 7   // the server, or what it depends on, doesn't answer
	ExitMissed       = 99  // finished, but a target was missed
	ExitInterrupted  = 130 // ended by an interrupt
)

// ExitError is an error with an exit code and a remedy. Any error with a method ExitCode() int is honoured alike.
type ExitError struct {
	Code   int
	Err    error
	Remedy string
}

// Exit wraps an error with its exit code and what to do about it.
func Exit(code int, err error, remedy string) *ExitError {
	return &ExitError{Code: code, Err: err, Remedy: remedy}
}

func (e *ExitError) Error() string {
	if e.Remedy == "" {
		return e.Err.Error()
	}
	return fmt.Sprintf("%v\n  %s", e.Err, e.Remedy)
}

// Unwrap returns the cause.
func (e *ExitError) Unwrap() error { return e.Err }

// ExitCode returns the exit code.
func (e *ExitError) ExitCode() int { return e.Code }

// usage is an error of the command line.
func usage(remedy, form string, args ...any) error {
	return Exit(ExitUsage, fmt.Errorf(form, args...), remedy)
}

// exitCode maps an error to the exit code of the process.
func exitCode(err error) int {
	var coded interface {
		error
		ExitCode() int
	}
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &coded):
		return coded.ExitCode()
	case errors.Is(err, context.Canceled):
		return ExitInterrupted
	case errors.Is(err, context.DeadlineExceeded):
		return ExitTimeout
	}
	return ExitFailure
}

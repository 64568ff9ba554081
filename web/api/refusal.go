package api

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Code says for machines why a request was refused; it is part of the problem's type (urn:aura:problem:<code>).
type Code string

// Codes of refusals.
const (
	Malformed    Code = "malformed"
	Unauthorized Code = "unauthorized"
	Forbidden    Code = "forbidden"
	NotFound     Code = "not-found"
	NotAllowed   Code = "method-not-allowed"
	Conflict     Code = "conflict"
	TooLarge     Code = "too-large"
	MediaType    Code = "media-type"
	Misdirected  Code = "misdirected"
	Invalid      Code = "invalid"
	Full         Code = "full"
	Unavailable  Code = "unavailable"
)

// Field is what is wrong with one field of a body.
type Field struct {
	Field   string `json:"field"`
	Problem string `json:"problem" doc:"For machines: missing, unknown, type, range, ..."`
	Got     string `json:"got,omitempty"`
	Want    string `json:"want,omitempty"`
}

// Refusal is a request that was understood and not done. It is no failure of the service.
type Refusal struct {
	Code Code
	// Detail is a sentence for people: what is wrong and what to do. It must not hold application data.
	Detail string
	Fields []Field
	// RetryAfter is when to try again, for Full and Unavailable.
	RetryAfter time.Duration
	// Err is the cause, for the log; clients don't see it.
	Err error
}

// Refuse returns a refusal with a formatted detail.
func Refuse(code Code, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Detail: fmt.Sprintf(format, args...)}
}

// RefuseFields returns an Invalid refusal that names each field.
func RefuseFields(fields ...Field) *Refusal {
	names := make([]string, 0, len(fields))
	for _, f := range fields {
		names = append(names, f.Field)
	}
	return &Refusal{Code: Invalid, Detail: "invalid: " + strings.Join(names, ", "), Fields: fields}
}

// RefuseCursor returns the refusal of a cursor that no page has given.
func RefuseCursor() *Refusal {
	return &Refusal{Code: Malformed, Detail: "cursor: pass the next_cursor of the page before", Fields: []Field{
		{Field: "cursor", Problem: "unknown", Want: "the next_cursor of the page before"},
	}}
}

// RefuseFull returns a Full refusal.
func RefuseFull(retryAfter time.Duration) *Refusal {
	return &Refusal{Code: Full, Detail: "too many undecided applications; try again later", RetryAfter: retryAfter}
}

// RefuseUnavailable returns an Unavailable refusal with its cause.
func RefuseUnavailable(detail string, retryAfter time.Duration, cause error) *Refusal {
	return &Refusal{Code: Unavailable, Detail: detail, RetryAfter: retryAfter, Err: cause}
}

// Error implements error.
func (r *Refusal) Error() string {
	if r.Err != nil {
		return fmt.Sprintf("%s: %s: %v", r.Code, r.Detail, r.Err)
	}
	return fmt.Sprintf("%s: %s", r.Code, r.Detail)
}

// Unwrap returns the cause.
func (r *Refusal) Unwrap() error { return r.Err }

// IsRefusal returns the refusal in err's chain, or nil: then something is broken.
func IsRefusal(err error) *Refusal {
	var r *Refusal
	if errors.As(err, &r) {
		return r
	}
	return nil
}

package schema

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Problems a FieldError can name. They are stable: clients and metrics may switch on them.
const (
	ProblemMissing     = "missing"
	ProblemNull        = "null"
	ProblemText        = "text"
	ProblemBool        = "bool"
	ProblemNested      = "nested"
	ProblemNotNumber   = "not a number"
	ProblemNotInteger  = "not an integer"
	ProblemNotCategory = "not a category"
	ProblemBounds      = "out of bounds"
	ProblemUnknown     = "unknown"
	ProblemDuplicate   = "duplicate"
	ProblemTooDeep     = "too deep"
	ProblemTooMany     = "too many"
	ProblemTooLarge    = "too large"
	ProblemMalformed   = "malformed"
)

// maxGot bounds how much of what came is told back, in bytes.
const maxGot = 40

// FieldError says what is wrong with one field of an application: the field, what came and what was wanted. Field is
// empty where the whole input is at fault. Got and Field are cut to about 40 characters and hold no control characters.
type FieldError struct {
	Field   string `json:"field"`
	Problem string `json:"problem"`
	Got     string `json:"got"`
	Want    string `json:"want"`
}

// Error implements error.
func (e FieldError) Error() string {
	var b strings.Builder
	if e.Field != "" {
		b.WriteString(e.Field)
		b.WriteString(": ")
	}
	b.WriteString(e.Problem)
	if e.Got != "" {
		b.WriteString(", got ")
		b.WriteString(e.Got)
	}
	if e.Want != "" {
		b.WriteString(", want ")
		b.WriteString(e.Want)
	}
	return b.String()
}

// FieldErrors are all problems of one input, in the order of the schema's features, unknown ones last.
type FieldErrors []FieldError

// Error implements error.
func (e FieldErrors) Error() string {
	if len(e) == 0 {
		return "invalid application"
	}
	parts := make([]string, len(e))
	for i := range e {
		parts[i] = e[i].Error()
	}
	return strings.Join(parts, "; ")
}

// orNil returns e as an error, or nil if there is none.
func (e FieldErrors) orNil() error {
	if len(e) == 0 {
		return nil
	}
	return e
}

// clip makes outside text fit to be shown: bounded, valid UTF-8, without control characters.
func clip[T ~string | ~[]byte](in T) string {
	cut := false
	s := string(in[:min(len(in), maxGot+utf8.UTFMax)])
	if len(in) > maxGot {
		cut = true
		s = s[:maxGot]
		for len(s) > 0 && !utf8.ValidString(s[max(0, len(s)-utf8.UTFMax):]) && len(s) > maxGot-utf8.UTFMax {
			s = s[:len(s)-1]
		}
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if cut {
		s += "…"
	}
	return s
}

package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

// Limits of an application's JSON. They bound the work that anyone's bytes can cause.
const (
	MaxRecordBytes = 64 << 10 // of one application's features
	MaxDepth       = 16       // nesting that is still skipped over to find the end of a wrong value
	MaxKeys        = 1024     // in one object; also the most features a schema may have
	maxNumber      = 64       // digits and signs of one number
	maxText        = 256      // bytes of one name or text
)

type tokenKind uint8

const (
	tokNumber tokenKind = iota + 1
	tokText
	tokNull
	tokBool
	tokNested
	tokBare // anything else up to the next delimiter: NaN, Infinity, 0x10, +1, 01
)

// token is one JSON value as it came.
type token struct {
	kind tokenKind
	raw  []byte
}

// scanner reads JSON in place. Wrong values are tokens like others, so that each can be named with its field; only
// input whose structure can't be followed is an error.
type scanner struct {
	data []byte
	pos  int
}

func (s *scanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// take consumes c if it comes next, after white space.
func (s *scanner) take(c byte) bool {
	s.space()
	if s.pos < len(s.data) && s.data[s.pos] == c {
		s.pos++
		return true
	}
	return false
}

func (s *scanner) malformed(want string) error {
	got := "end of input"
	if s.pos < len(s.data) {
		got = clip(s.data[s.pos:])
	}
	return FieldError{Problem: ProblemMalformed, Got: got, Want: fmt.Sprintf("%s at byte %d", want, s.pos)}
}

// end checks that nothing follows.
func (s *scanner) end() error {
	if s.space(); s.pos != len(s.data) {
		return s.malformed("nothing more")
	}
	return nil
}

// member reads the next `"name": value` of an object, or its end. The first one is told by first.
func (s *scanner) member(first bool) (name []byte, tok token, done bool, err error) {
	if s.take('}') {
		return nil, token{}, true, nil
	}
	if !first && !s.take(',') {
		return nil, token{}, false, s.malformed(", or }")
	}
	if s.space(); s.pos >= len(s.data) || s.data[s.pos] != '"' {
		return nil, token{}, false, s.malformed(`a name in "`)
	}
	raw, err := s.str()
	if err != nil {
		return nil, token{}, false, err
	}
	if name, err = unquote(raw); err != nil {
		return nil, token{}, false, err
	}
	if !s.take(':') {
		return nil, token{}, false, s.malformed(":")
	}
	tok, err = s.value()
	return name, tok, false, err
}

// value reads one value of any kind.
func (s *scanner) value() (token, error) {
	s.space()
	if s.pos >= len(s.data) {
		return token{}, s.malformed("a value")
	}
	start := s.pos
	switch c := s.data[s.pos]; c {
	case '"':
		raw, err := s.str()
		return token{kind: tokText, raw: raw}, err
	case '{', '[':
		err := s.skip()
		return token{kind: tokNested, raw: s.data[start:s.pos]}, err
	case ',', ':', '}', ']':
		return token{}, s.malformed("a value")
	}
	for s.pos < len(s.data) && !delimiter(s.data[s.pos]) {
		s.pos++
	}
	raw := s.data[start:s.pos]
	switch {
	case isNumber(raw):
		return token{kind: tokNumber, raw: raw}, nil
	case string(raw) == "null":
		return token{kind: tokNull, raw: raw}, nil
	case string(raw) == "true" || string(raw) == "false":
		return token{kind: tokBool, raw: raw}, nil
	}
	return token{kind: tokBare, raw: raw}, nil
}

func delimiter(c byte) bool {
	switch c {
	case ',', ':', '}', ']', '{', '[', '"', ' ', '\t', '\n', '\r':
		return true
	}
	return false
}

// str reads a string with its quotes.
func (s *scanner) str() ([]byte, error) {
	start := s.pos
	for s.pos++; s.pos < len(s.data); s.pos++ {
		switch c := s.data[s.pos]; {
		case c == '"':
			s.pos++
			return s.data[start:s.pos], nil
		case c == '\\':
			s.pos++
		case c < 0x20:
			return nil, s.malformed("no control character in a text")
		}
	}
	s.pos = len(s.data)
	return nil, s.malformed(`the closing "`)
}

// skip passes over an object or array without looking inside more than needed to find its end.
func (s *scanner) skip() error {
	depth := 0
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case '{', '[':
			if depth++; depth > MaxDepth {
				return FieldError{Problem: ProblemTooDeep, Got: fmt.Sprintf("more than %d levels", MaxDepth), Want: "a flat object of numbers and texts"}
			}
		case '}', ']':
			depth--
		case '"':
			if _, err := s.str(); err != nil {
				return err
			}
			continue
		}
		s.pos++
		if depth == 0 {
			return nil
		}
	}
	return s.malformed("the end of a nested value")
}

// isNumber is JSON's grammar of numbers.
func isNumber(b []byte) bool {
	i := 0
	digits := func() bool {
		from := i
		for i < len(b) && b[i] >= '0' && b[i] <= '9' {
			i++
		}
		return i > from
	}
	if i < len(b) && b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else if !digits() {
		return false
	}
	if i < len(b) && b[i] == '.' {
		if i++; !digits() {
			return false
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if !digits() {
			return false
		}
	}
	return i == len(b)
}

// unquote returns what stands between the quotes; without escapes it is a part of raw, no copy.
func unquote(raw []byte) ([]byte, error) {
	inner := raw[1 : len(raw)-1]
	plain := true
	for _, c := range inner {
		if c == '\\' || c >= utf8.RuneSelf {
			plain = false
			break
		}
	}
	if plain || (bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner)) {
		return inner, nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return nil, FieldError{Problem: ProblemMalformed, Got: clip(raw), Want: "a JSON text"}
	}
	return []byte(text), nil
}

// float reads a number token; ok is false where it is too long or too large for a float64.
func (t token) float() (f float64, ok bool) {
	if len(t.raw) > maxNumber {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(t.raw), 64)
	return f, err == nil && !math.IsInf(f, 0)
}

// value returns the token as a Value without a schema, or what is wrong with it.
func (t token) value() (v Value, problem string) {
	switch t.kind {
	case tokNumber:
		f, ok := t.float()
		if !ok {
			return Value{}, ProblemBounds
		}
		return Number(f), ""
	case tokText:
		text, err := unquote(t.raw)
		if err != nil {
			return Value{}, ProblemMalformed
		}
		if len(text) > maxText {
			return Value{}, ProblemTooLarge
		}
		return Text(string(text)), ""
	case tokNull:
		return Value{}, ""
	case tokBool:
		return Value{}, ProblemBool
	case tokNested:
		return Value{}, ProblemNested
	default:
		return Value{}, ProblemNotNumber
	}
}

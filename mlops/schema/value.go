package schema

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

type kind uint8

const (
	kindMissing kind = iota
	kindNumber
	kindText
)

// Value is one cell of an application: missing, a number or a text. The zero Value is missing. Values compare with ==.
type Value struct {
	kind kind
	num  float64
	text string
}

// Number returns a number. NaN is Missing.
func Number(f float64) Value {
	if math.IsNaN(f) {
		return Value{}
	}
	return Value{kind: kindNumber, num: f}
}

// Text returns a text, as categories are.
func Text(s string) Value { return Value{kind: kindText, text: s} }

// Missing returns the value of a cell that nobody filled.
func Missing() Value { return Value{} }

// IsMissing reports whether v is missing.
func (v Value) IsMissing() bool { return v.kind == kindMissing }

// Float returns v's number; ok is false where v isn't one.
func (v Value) Float() (f float64, ok bool) { return v.num, v.kind == kindNumber }

// Text returns v's text; ok is false where v isn't one.
func (v Value) Text() (s string, ok bool) { return v.text, v.kind == kindText }

// String shows v as JSON would.
func (v Value) String() string {
	b, err := v.AppendJSON(nil)
	if err != nil {
		return strconv.FormatFloat(v.num, 'g', -1, 64)
	}
	return string(b)
}

// AppendJSON appends a number, a string or null. An infinite number is an error.
func (v Value) AppendJSON(dst []byte) ([]byte, error) {
	switch v.kind {
	case kindNumber:
		return appendFloat(dst, v.num)
	case kindText:
		return appendString(dst, v.text), nil
	default:
		return append(dst, "null"...), nil
	}
}

// MarshalJSON implements json.Marshaler.
func (v Value) MarshalJSON() ([]byte, error) { return v.AppendJSON(nil) }

// UnmarshalJSON implements json.Unmarshaler.
func (v *Value) UnmarshalJSON(raw []byte) error {
	sc := scanner{data: raw}
	tok, err := sc.value()
	if err == nil {
		err = sc.end()
	}
	if err != nil {
		return err
	}
	got, problem := tok.value()
	if problem != "" {
		return FieldError{Problem: problem, Got: clip(tok.raw), Want: "a number, a text or null"}
	}
	*v = got
	return nil
}

// Vector is a row of numbers; NaN stands for missing and is null in JSON.
type Vector []float64

// AppendJSON appends v as a JSON array. An infinite number is an error.
func (v Vector) AppendJSON(dst []byte) ([]byte, error) {
	dst = append(dst, '[')
	var err error
	for i, f := range v {
		if i > 0 {
			dst = append(dst, ',')
		}
		if math.IsNaN(f) {
			dst = append(dst, "null"...)
			continue
		}
		if dst, err = appendFloat(dst, f); err != nil {
			return nil, fmt.Errorf("column %d: %w", i, err)
		}
	}
	return append(dst, ']'), nil
}

// MarshalJSON implements json.Marshaler. A nil Vector is null.
func (v Vector) MarshalJSON() ([]byte, error) {
	if v == nil {
		return []byte("null"), nil
	}
	return v.AppendJSON(make([]byte, 0, 12*len(v)+2))
}

// UnmarshalJSON implements json.Unmarshaler.
func (v *Vector) UnmarshalJSON(raw []byte) error {
	raw = bytes.TrimSpace(raw)
	if string(raw) == "null" {
		*v = nil
		return nil
	}
	sc := scanner{data: raw}
	if !sc.take('[') {
		return errors.New("schema: a vector is a JSON array of numbers and nulls")
	}
	out := make(Vector, 0, bytes.Count(raw, []byte{','})+1)
	for first := true; ; first = false {
		if sc.take(']') {
			break
		}
		if !first && !sc.take(',') {
			return fmt.Errorf("schema: vector: expected , or ] at byte %d", sc.pos)
		}
		tok, err := sc.value()
		if err != nil {
			return fmt.Errorf("schema: vector: %w", err)
		}
		cell, problem := tok.value()
		if problem == "" && cell.kind == kindText {
			problem = ProblemText
		}
		if problem != "" {
			return fmt.Errorf("schema: vector: column %d is %s: %s", len(out), problem, clip(tok.raw))
		}
		if cell.IsMissing() {
			cell.num = math.NaN()
		}
		out = append(out, cell.num)
	}
	*v = out
	return sc.end()
}

// appendFloat writes f as encoding/json does: shortest form, exponents only for the very small and large.
func appendFloat(dst []byte, f float64) ([]byte, error) {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return nil, fmt.Errorf("%v has no JSON form", f)
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, f, format, -1, 64), nil
}

const hex = "0123456789abcdef"

// appendString writes s as a JSON string; invalid UTF-8 becomes U+FFFD.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			dst = utf8.AppendRune(dst, r)
			i += n
			continue
		}
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < 0x20 || c == '<' || c == '>' || c == '&':
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, c)
		}
		i++
	}
	return append(dst, '"')
}

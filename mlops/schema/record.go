package schema

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// Record is an application's features by name, in order: a flat JSON object of numbers, texts and nulls. len(Names) ==
// len(Values). A Record that a Schema returned is validated, in the schema's order, and shares the schema's Names: both
// are read only.
type Record struct {
	Names  []string
	Values []Value
}

// Get returns the value of a name; ok is false where the record doesn't have it.
func (r Record) Get(name string) (v Value, ok bool) {
	if i := slices.Index(r.Names, name); i >= 0 && i < len(r.Values) {
		return r.Values[i], true
	}
	return Value{}, false
}

// AppendJSON appends r as a JSON object in its own order.
func (r Record) AppendJSON(dst []byte) ([]byte, error) {
	if len(r.Names) != len(r.Values) {
		return nil, fmt.Errorf("schema: record has %d names and %d values", len(r.Names), len(r.Values))
	}
	dst = append(dst, '{')
	var err error
	for i, name := range r.Names {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, name), ':')
		if dst, err = r.Values[i].AppendJSON(dst); err != nil {
			return nil, fmt.Errorf("schema: %s: %w", clip(name), err)
		}
	}
	return append(dst, '}'), nil
}

// MarshalJSON implements json.Marshaler.
func (r Record) MarshalJSON() ([]byte, error) {
	return r.AppendJSON(make([]byte, 0, 24*len(r.Names)+2))
}

// UnmarshalJSON implements json.Unmarshaler: it keeps the order of keys, refuses duplicates, and names the field of
// each nested, boolean or otherwise unfit value in FieldErrors. Whether the fields make sense is Schema.Check's matter.
func (r *Record) UnmarshalJSON(raw []byte) error {
	if string(bytes.TrimSpace(raw)) == "null" {
		*r = Record{}
		return nil
	}
	if len(raw) > MaxRecordBytes {
		return FieldErrors{tooLarge(len(raw))}
	}
	sc := scanner{data: raw}
	if !sc.take('{') {
		return FieldErrors{{Problem: ProblemMalformed, Got: clip(raw), Want: "a JSON object of features"}}
	}
	var out Record
	var errs FieldErrors
	seen := make(map[string]bool)
	for first := true; ; first = false {
		name, tok, done, err := sc.member(first)
		if err != nil {
			return append(errs, asField(err, name))
		}
		if done {
			break
		}
		if len(out.Names) == MaxKeys {
			return append(errs, FieldError{Problem: ProblemTooMany, Got: fmt.Sprintf("more than %d keys", MaxKeys), Want: "fewer"})
		}
		v, problem := tok.value()
		switch {
		case len(name) > maxText:
			problem = ProblemTooLarge
		case seen[string(name)]:
			problem = ProblemDuplicate
		}
		if problem != "" {
			errs = append(errs, FieldError{Field: clip(name), Problem: problem, Got: clip(tok.raw), Want: "a number, a text or null, once"})
		}
		seen[string(name)] = true
		out.Names, out.Values = append(out.Names, string(name)), append(out.Values, v)
	}
	if err := sc.end(); err != nil {
		errs = append(errs, asField(err, nil))
	}
	*r = out
	return errs.orNil()
}

// asField turns an error of the scanner into a FieldError that names the field it was found in, if known.
func asField(err error, name []byte) FieldError {
	var fe FieldError
	if !errors.As(err, &fe) {
		fe = FieldError{Problem: ProblemMalformed, Got: clip(err.Error())}
	}
	if fe.Field == "" && name != nil {
		fe.Field = clip(name)
	}
	return fe
}

func tooLarge(n int) FieldError {
	return FieldError{Problem: ProblemTooLarge, Got: fmt.Sprintf("%d bytes", n), Want: fmt.Sprintf("at most %d bytes", MaxRecordBytes)}
}

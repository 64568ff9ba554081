package schema

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// maxProblems bounds the list of errors of one input.
const maxProblems = 64

// ParseRecord reads one application's features from outside: a flat JSON object of at most MaxRecordBytes. It returns
// them validated and in the schema's order; the error is FieldErrors naming each wrong field, its bound and what came.
func (s *Schema) ParseRecord(raw []byte) (Record, error) {
	if len(raw) > MaxRecordBytes {
		return Record{}, FieldErrors{tooLarge(len(raw))}
	}
	sc := scanner{data: raw}
	if !sc.take('{') {
		return Record{}, FieldErrors{{Problem: ProblemMalformed, Got: clip(raw), Want: "a JSON object of features"}}
	}
	in := intake{s: s, values: make([]Value, len(s.Features))}
	for n := 0; ; n++ {
		name, tok, done, err := sc.member(n == 0)
		if err != nil {
			return Record{}, in.fail(asField(err, name))
		}
		if done {
			break
		}
		if n >= 2*len(s.Features)+maxProblems {
			return Record{}, in.fail(FieldError{Problem: ProblemTooMany, Got: fmt.Sprintf("more than %d keys", n), Want: fmt.Sprintf("%d features", len(s.Features))})
		}
		i, ok := s.position(n, name)
		if !ok {
			in.unknown = append(in.unknown, FieldError{Field: clip(name), Problem: ProblemUnknown, Got: clip(tok.raw), Want: "a feature of schema " + s.Name})
			continue
		}
		if in.mark(i) {
			in.report(i, ProblemDuplicate, clip(tok.raw))
			continue
		}
		v, problem := s.fromToken(i, tok)
		in.values[i] = v
		if problem != "" {
			in.report(i, problem, clip(tok.raw))
		}
	}
	if err := sc.end(); err != nil {
		return Record{}, in.fail(asField(err, nil))
	}
	return in.finish()
}

// Check validates an already decoded record and puts it in the schema's order; errors as ParseRecord's.
func (s *Schema) Check(r Record) (Record, error) {
	if len(r.Names) != len(r.Values) {
		return Record{}, FieldErrors{{Problem: ProblemMalformed, Got: fmt.Sprintf("%d names, %d values", len(r.Names), len(r.Values)), Want: "as many of each"}}
	}
	in := intake{s: s, values: make([]Value, len(s.Features))}
	for n, name := range r.Names {
		v := r.Values[n]
		i, ok := s.index[name]
		if !ok {
			in.unknown = append(in.unknown, FieldError{Field: clip(name), Problem: ProblemUnknown, Got: clip(v.String()), Want: "a feature of schema " + s.Name})
			continue
		}
		if in.mark(i) {
			in.report(i, ProblemDuplicate, clip(v.String()))
			continue
		}
		got, problem := s.accept(i, v)
		in.values[i] = got
		if problem != "" {
			in.report(i, problem, clip(v.String()))
		}
	}
	return in.finish()
}

// Cell reads one cell of a text file for feature i: trimmed; empty, NA, NaN, null and ? are missing.
func (s *Schema) Cell(i int, cell string) (Value, error) {
	cell = strings.TrimSpace(cell)
	var v Value
	problem := ""
	switch strings.ToLower(cell) {
	case "", "na", "nan", "null", "?":
	default:
		if s.codes[i] != nil {
			v = Text(cell)
			break
		}
		f, err := strconv.ParseFloat(cell, 64)
		switch {
		case errors.Is(err, strconv.ErrRange):
			problem = ProblemBounds
		case err != nil, strings.ContainsAny(cell, "xX_"): // ParseFloat reads Go's hexadecimal numbers too
			problem = ProblemNotNumber
		}
		v = Number(f)
	}
	if problem == "" {
		if v, problem = s.accept(i, v); problem == ProblemNull {
			problem = ProblemMissing
		}
	}
	if problem != "" {
		f := &s.Features[i]
		return Value{}, FieldError{Field: f.Name, Problem: problem, Got: clip(cell), Want: f.bound()}
	}
	return v, nil
}

// position finds a feature by name; the guess that keys come in the schema's order spares most look-ups.
func (s *Schema) position(guess int, name []byte) (int, bool) {
	if guess < len(s.names) && s.names[guess] == string(name) {
		return guess, true
	}
	i, ok := s.index[string(name)]
	return i, ok
}

// fromToken reads a JSON value for feature i. A category may also come as the number it looks like.
func (s *Schema) fromToken(i int, tok token) (Value, string) {
	codes := s.codes[i]
	switch tok.kind {
	case tokNumber:
		if codes == nil {
			f, ok := tok.float()
			if !ok {
				return Value{}, ProblemBounds
			}
			return s.accept(i, Number(f))
		}
		if code, ok := codes[string(tok.raw)]; ok {
			return Text(s.Features[i].Categories[code]), ""
		}
		return Value{}, ProblemNotCategory
	case tokText:
		if codes == nil {
			return Value{}, ProblemText
		}
		text, err := unquote(tok.raw)
		if err != nil {
			return Value{}, ProblemMalformed
		}
		if code, ok := codes[string(text)]; ok {
			return Text(s.Features[i].Categories[code]), ""
		}
		return Value{}, ProblemNotCategory
	case tokNull:
		return s.accept(i, Value{})
	case tokBool:
		return Value{}, ProblemBool
	case tokNested:
		return Value{}, ProblemNested
	default:
		return Value{}, ProblemNotNumber
	}
}

// accept tests one value against feature i and returns its normal form, or what is wrong with it.
func (s *Schema) accept(i int, v Value) (Value, string) {
	f := &s.Features[i]
	switch {
	case v.kind == kindMissing:
		if !f.Missing {
			return Value{}, ProblemNull
		}
		return v, ""
	case f.Kind == Categorical:
		text := v.text
		if v.kind == kindNumber {
			text = short(v.num)
		}
		code, ok := s.codes[i][text]
		if !ok {
			return Value{}, ProblemNotCategory
		}
		return Text(f.Categories[code]), ""
	case v.kind == kindText:
		return Value{}, ProblemText
	case math.IsInf(v.num, 0):
		return Value{}, ProblemNotNumber
	case f.Min != nil && v.num < *f.Min, f.Max != nil && v.num > *f.Max:
		return Value{}, ProblemBounds
	case f.Integer && v.num != math.Trunc(v.num):
		return Value{}, ProblemNotInteger
	}
	return v, ""
}

// intake gathers the values of one record and what is wrong with them.
type intake struct {
	s       *Schema
	values  []Value
	seen    [MaxKeys / 64]uint64
	count   int
	errs    FieldErrors
	unknown FieldErrors
}

// mark notes that feature i came, and reports whether it had come before.
func (in *intake) mark(i int) bool {
	word, bit := i/64, uint64(1)<<(i%64)
	if in.seen[word]&bit != 0 {
		return true
	}
	in.seen[word] |= bit
	in.count++
	return false
}

func (in *intake) report(i int, problem, got string) {
	f := &in.s.Features[i]
	in.errs = append(in.errs, FieldError{Field: f.Name, Problem: problem, Got: got, Want: f.bound()})
}

// fail ends an input whose structure can't be followed: what was found before it counts too.
func (in *intake) fail(last FieldError) error {
	return in.bounded(append(append(in.errs, in.unknown...), last))
}

func (in *intake) finish() (Record, error) {
	if in.count < len(in.values) {
		for i := range in.values {
			if in.seen[i/64]&(1<<(i%64)) == 0 && !in.s.Features[i].Missing {
				in.report(i, ProblemMissing, "")
			}
		}
	}
	if errs := append(in.errs, in.unknown...); len(errs) > 0 {
		return Record{}, in.bounded(errs)
	}
	return Record{Names: in.s.names, Values: in.values}, nil
}

func (in *intake) bounded(errs FieldErrors) error {
	if len(errs) > maxProblems {
		more := len(errs) - maxProblems
		errs = append(errs[:maxProblems:maxProblems], FieldError{Problem: ProblemTooMany, Got: fmt.Sprintf("%d more problems", more)})
	}
	return errs.orNil()
}

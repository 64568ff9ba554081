package event

import (
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"aura/mlops/schema"
)

func (w *writer) lit(s string) { w.b = append(w.b, s...) }

// value takes the result of somebody else's append.
func (w *writer) value(b []byte, err error) {
	if err != nil {
		w.odd = true
		return
	}
	w.b = b
}

func (w *writer) text(name, s string) {
	w.odd = w.odd || !plain(s)
	w.b = append(append(w.b, name...), '"')
	w.b = append(append(w.b, s...), '"')
}

// word, some and yes leave out what is empty.
func (w *writer) word(name, s string) {
	if s != "" {
		w.text(name, s)
	}
}

func (w *writer) some(name string, n int64) {
	if n != 0 {
		w.integer(name, n)
	}
}

func (w *writer) yes(name string, b bool) {
	if b {
		w.lit(name)
		w.lit("true")
	}
}

func (w *writer) integer(name string, n int64) {
	w.lit(name)
	w.b = strconv.AppendInt(w.b, n, 10)
}

func (w *writer) time(name string, t time.Time) {
	w.lit(name)
	w.lit(`"`)
	w.value(t.AppendText(w.b))
	w.lit(`"`)
}

func (w *writer) vector(name string, v schema.Vector) {
	w.lit(name)
	if v == nil {
		w.lit("null")
		return
	}
	w.value(v.AppendJSON(w.b))
}

// float writes the shortest form that needs no exponent.
func (w *writer) float(name string, f float64) {
	w.lit(name)
	abs := math.Abs(f)
	if abs >= 1e-6 && abs < 1e21 || abs == 0 {
		w.b = strconv.AppendFloat(w.b, f, 'f', -1, 64)
		return
	}
	w.odd = true
}

// lineSeparator begins the UTF-8 of U+2028 and U+2029, which encoding/json escapes.
const lineSeparator = 0xe2

// asItIs are the ASCII characters that stand for themselves in what encoding/json writes.
var asItIs = func() (table [utf8.RuneSelf]bool) {
	for c := range table {
		table[c] = c >= ' ' && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&'
	}
	return table
}()

// plain reports whether a text can be written between quotes as it is.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c >= utf8.RuneSelf || !asItIs[c] {
			return utf8.RuneSelf <= c && plainRunes(s[i:])
		}
	}
	return true
}

func plainRunes(s string) bool {
	for i, c := range s {
		switch {
		case c < utf8.RuneSelf && !asItIs[c], c == '\u2028', c == '\u2029':
			return false
		case c == utf8.RuneError:
			if _, n := utf8.DecodeRuneInString(s[i:]); n == 1 {
				return false
			}
		}
	}
	return true
}

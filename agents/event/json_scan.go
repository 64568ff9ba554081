package event

import (
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"aura/mlops/schema"
)

func (r *reader) vector() schema.Vector {
	v := make(schema.Vector, 0, r.items(']'))
	if r.has("[]") {
		return v
	}
	for more := r.open("["); more; more = r.more("]") {
		if r.has("null") {
			v = append(v, math.NaN())
		} else {
			v = append(v, r.float())
		}
	}
	return v
}

// What a record may have to be read here. Schema's own limits are wider.
const (
	fewColumns = 64
	shortText  = 128 // bytes
)

func (r *reader) record(to *schema.Record) {
	n := r.items('}')
	if n > fewColumns {
		r.failed = true
		return
	}
	to.Names, to.Values = make([]string, 0, n), make([]schema.Value, 0, n)
	for more := r.open("{"); more; more = r.more("}") {
		name := r.shortText()
		if r.lit(":"); slices.Contains(to.Names, name) {
			r.failed = true
		}
		to.Names, to.Values = append(to.Names, name), append(to.Values, r.cell())
	}
}

func (r *reader) cell() schema.Value {
	switch {
	case r.has("null"):
		return schema.Missing()
	case r.pos < len(r.data) && r.data[r.pos] == '"':
		return schema.Text(r.shortText())
	default:
		return schema.Number(r.float())
	}
}

// open begins a list that is not empty, more goes on with its next item until the end.
func (r *reader) open(begin string) bool {
	r.lit(begin)
	return !r.failed
}

func (r *reader) more(end string) bool {
	if r.has(end) {
		return false
	}
	r.lit(",")
	return !r.failed
}

// items returns how many items a list has that ends with the given sign, or more, where a text has commas.
func (r *reader) items(end byte) int {
	rest := r.data[r.pos:]
	return strings.Count(rest[:max(0, strings.IndexByte(rest, end))], ",") + 1
}

// has passes over s if it comes next.
func (r *reader) has(s string) bool {
	if r.failed || !strings.HasPrefix(r.data[r.pos:], s) {
		return false
	}
	r.pos += len(s)
	return true
}

func (r *reader) lit(s string) {
	if !r.has(s) {
		r.failed = true
	}
}

// text reads a text without escapes.
func (r *reader) text() string {
	r.lit(`"`)
	if r.failed {
		return ""
	}
	rest := r.data[r.pos:]
	for i := range len(rest) {
		c := rest[i]
		if c == '"' {
			r.pos += i + 1
			return rest[:i]
		}
		if c >= utf8.RuneSelf || !asItIs[c] {
			break
		}
	}
	n := strings.IndexByte(rest, '"')
	if n < 0 || !plain(rest[:n]) {
		r.failed = true
		return ""
	}
	r.pos += n + 1
	return rest[:n]
}

func (r *reader) shortText() string {
	s := r.text()
	r.failed = r.failed || len(s) > shortText
	return s
}

func (r *reader) word(name string) string {
	if r.has(name) {
		return r.text()
	}
	return ""
}

func (r *reader) some(name string) int64 {
	if r.has(name) {
		return r.integer()
	}
	return 0
}

func (r *reader) time() (t time.Time) {
	if err := t.UnmarshalText([]byte(r.text())); err != nil {
		r.failed = true
	}
	return t
}

package event

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"aura/mlops/schema"
)

// Marshal returns what json.Marshal returns, to the byte. The events of the data path are written by hand, which takes a
// quarter of the time; what needs escapes, and every other type, is left to encoding/json.
func Marshal(e Event) ([]byte, error) { return Append(make([]byte, 0, 896), e) }

// Append appends the JSON of an event to dst. With an error dst is unchanged.
func Append(dst []byte, e Event) ([]byte, error) {
	w := writer{b: dst}
	switch e := e.(type) {
	case *RawEvent:
		w.rawEvent(e)
	case *Features:
		w.features(e)
		w.lit("}")
	case *Prediction:
		w.prediction(e)
	case *Decision:
		w.decision(e)
	default:
		w.odd = true
	}
	if !w.odd {
		return w.b, nil
	}
	raw, err := json.Marshal(e)
	if err != nil {
		return dst, err
	}
	return append(dst, raw...), nil
}

// Unmarshal reads the JSON of an event into a zero value, as New returns it. What has exactly the form that Append gives the
// events of the data path is read by hand; anything else (another order, white space, escapes, unknown names, mistakes) is
// left to encoding/json, so that what is accepted, and as what, is always its judgement.
func Unmarshal(data []byte, e Event) error {
	if read(data, e) {
		return nil
	}
	return json.Unmarshal(data, e)
}

// read reports whether it has read data into e; if not, e is zero again.
func read(data []byte, e Event) bool {
	switch e := e.(type) {
	case *RawEvent:
		return readAs(data, e, (*reader).rawEvent)
	case *Features:
		return readAs(data, e, (*reader).featuresOnly)
	case *Prediction:
		return readAs(data, e, (*reader).prediction)
	case *Decision:
		return readAs(data, e, (*reader).decision)
	}
	return false
}

func readAs[T any](data []byte, e *T, with func(*reader, *T)) bool {
	r := reader{data: string(data)} // all texts of the event are parts of this one
	with(&r, e)
	if r.failed || r.pos != len(r.data) {
		*e = *new(T)
		return false
	}
	return true
}

// writer appends JSON. odd says that something came which only encoding/json writes.
type writer struct {
	b   []byte
	odd bool
}

func (w *writer) rawEvent(e *RawEvent) {
	w.subject(&e.Subject)
	w.lit(`,"features":`)
	begin := len(w.b)
	w.value(e.Features.AppendJSON(w.b))
	w.odd = w.odd || bytes.IndexByte(w.b[begin:], lineSeparator) >= 0
	w.yes(`,"again":`, e.Again)
	w.lit("}")
}

func (w *writer) features(e *Features) {
	w.subject(&e.Subject)
	w.vector(`,"values":`, e.Values)
	w.vector(`,"vector":`, e.Vector)
	w.some(`,"min_generation":`, e.MinGeneration)
}

func (w *writer) prediction(e *Prediction) {
	w.features(&e.Features)
	w.float(`,"probability_of_default":`, e.Probability)
	if len(e.Reasons) > 0 {
		w.reasons(e.Reasons)
	}
	w.integer(`,"model_version":`, int64(e.ModelVersion))
	w.text(`,"model_digest":`, e.ModelDigest)
	w.integer(`,"generation":`, e.Generation)
	w.yes(`,"shadow":`, e.Shadow)
	w.lit("}")
}

func (w *writer) decision(e *Decision) {
	w.subject(&e.Subject)
	w.text(`,"decision":`, string(e.Decision))
	if e.Probability == nil {
		w.lit(`,"probability_of_default":null`)
	} else {
		w.float(`,"probability_of_default":`, *e.Probability)
	}
	w.reasons(e.Reasons)
	w.some(`,"model_version":`, int64(e.ModelVersion))
	w.word(`,"model_digest":`, e.ModelDigest)
	w.some(`,"champion_generation":`, e.Generation)
	w.text(`,"mode":`, string(e.Mode))
	w.integer(`,"mode_generation":`, e.ModeGeneration)
	w.word(`,"rule":`, e.Rule)
	w.time(`,"decided_at":`, e.DecidedAt)
	w.float(`,"latency_ms":`, e.LatencyMS)
	w.some(`,"incarnation":`, e.Incarnation)
	w.lit("}")
}

func (w *writer) subject(s *Subject) {
	w.text(`{"id":`, s.ID)
	w.text(`,"application_id":`, s.ApplicationID)
	w.time(`,"accepted_at":`, s.AcceptedAt)
	w.word(`,"source":`, s.Source)
	w.word(`,"trace_id":`, s.TraceID)
}

func (w *writer) reasons(list []schema.Reason) {
	if list == nil {
		w.lit(`,"reasons":null`)
		return
	}
	w.lit(`,"reasons":[`)
	for i := range list {
		if i > 0 {
			w.lit(",")
		}
		w.text(`{"code":`, list[i].Code)
		w.text(`,"feature":`, list[i].Feature)
		w.text(`,"text":`, list[i].Text)
		w.float(`,"contribution":`, list[i].Contribution)
		w.lit("}")
	}
	w.lit("]")
}

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

// float writes the shortest form, as JavaScript does: an exponent only where it is large, without a leading zero.
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

// reader reads what writer has written. Anything else makes it fail, for good.
type reader struct {
	data   string
	pos    int
	failed bool
}

func (r *reader) rawEvent(e *RawEvent) {
	r.subject(&e.Subject)
	r.lit(`,"features":`)
	r.record(&e.Features)
	e.Again = r.has(`,"again":true`)
	r.lit("}")
}

func (r *reader) featuresOnly(e *Features) {
	r.features(e)
	r.lit("}")
}

func (r *reader) features(e *Features) {
	r.subject(&e.Subject)
	r.lit(`,"values":`)
	e.Values = r.vector()
	r.lit(`,"vector":`)
	e.Vector = r.vector()
	e.MinGeneration = r.some(`,"min_generation":`)
}

func (r *reader) prediction(e *Prediction) {
	r.features(&e.Features)
	r.lit(`,"probability_of_default":`)
	e.Probability = r.float()
	if r.has(`,"reasons":`) {
		e.Reasons = r.reasons()
	}
	r.lit(`,"model_version":`)
	e.ModelVersion = r.version()
	r.lit(`,"model_digest":`)
	e.ModelDigest = r.text()
	r.lit(`,"generation":`)
	e.Generation = r.integer()
	e.Shadow = r.has(`,"shadow":true`)
	r.lit("}")
}

func (r *reader) decision(e *Decision) {
	r.subject(&e.Subject)
	r.lit(`,"decision":`)
	e.Decision = schema.Outcome(r.text())
	r.lit(`,"probability_of_default":`)
	if !r.has("null") {
		p := r.float()
		e.Probability = &p
	}
	r.lit(`,"reasons":`)
	e.Reasons = r.reasons()
	if r.has(`,"model_version":`) {
		e.ModelVersion = r.version()
	}
	e.ModelDigest = r.word(`,"model_digest":`)
	e.Generation = r.some(`,"champion_generation":`)
	r.lit(`,"mode":`)
	e.Mode = Mode(r.text())
	r.lit(`,"mode_generation":`)
	e.ModeGeneration = r.integer()
	e.Rule = r.word(`,"rule":`)
	r.lit(`,"decided_at":`)
	e.DecidedAt = r.time()
	r.lit(`,"latency_ms":`)
	e.LatencyMS = r.float()
	e.Incarnation = r.some(`,"incarnation":`)
	r.lit("}")
}

func (r *reader) subject(s *Subject) {
	r.lit(`{"id":`)
	s.ID = r.text()
	r.lit(`,"application_id":`)
	s.ApplicationID = r.text()
	r.lit(`,"accepted_at":`)
	s.AcceptedAt = r.time()
	s.Source = r.word(`,"source":`)
	s.TraceID = r.word(`,"trace_id":`)
}

func (r *reader) reasons() []schema.Reason {
	if r.has("null") {
		return nil
	}
	if r.has("[]") {
		return []schema.Reason{}
	}
	list := make([]schema.Reason, 0, 4)
	for more := r.open("["); more; more = r.more("]") {
		var one schema.Reason
		r.lit(`{"code":`)
		one.Code = r.text()
		r.lit(`,"feature":`)
		one.Feature = r.text()
		r.lit(`,"text":`)
		one.Text = r.text()
		r.lit(`,"contribution":`)
		one.Contribution = r.float()
		r.lit("}")
		list = append(list, one)
	}
	return list
}

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

// number passes over a number in JSON's grammar, which is narrower than strconv's. Where it is a decimal of at most 15 digits,
// all within digits, scale says how many of them stand behind the point; else scale is negative.
func (r *reader) number() (raw string, digits uint64, scale int) {
	begin := r.pos
	r.has("-")
	from := r.pos
	if !r.has("0") {
		digits = r.digits(0)
	}
	if r.has(".") {
		point := r.pos
		digits = r.digits(digits)
		scale = r.pos - point
	}
	if r.pos-from > 16 { // with a point
		scale = -1
	}
	if r.has("e") || r.has("E") {
		scale = -1
		if !r.has("+") {
			r.has("-")
		}
		r.digits(0)
	}
	return r.data[begin:r.pos], digits, scale
}

// digits passes over one or more digits, and appends them to a number.
func (r *reader) digits(n uint64) uint64 {
	begin := r.pos
	for r.pos < len(r.data) && '0' <= r.data[r.pos] && r.data[r.pos] <= '9' {
		n = 10*n + uint64(r.data[r.pos]-'0')
		r.pos++
	}
	r.failed = r.failed || r.pos == begin
	return n
}

func (r *reader) integer() int64 {
	raw, _, _ := r.number()
	n, err := strconv.ParseInt(raw, 10, 64)
	r.failed = r.failed || err != nil
	return n
}

// version is an integer whose type is int.
func (r *reader) version() int {
	n := r.integer()
	r.failed = r.failed || int64(int(n)) != n
	return int(n)
}

// longNumber is more bytes than any float64 is written with; what is longer, schema may refuse.
const longNumber = 32

// tens are exact, and so is a whole number of 15 digits: one division rounds once, as it must.
var tens = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

func (r *reader) float() float64 {
	raw, digits, scale := r.number()
	if scale >= 0 && !r.failed {
		f := float64(digits) / tens[scale]
		if raw[0] == '-' {
			return -f
		}
		return f
	}
	f, err := strconv.ParseFloat(raw, 64)
	r.failed = r.failed || err != nil || len(raw) > longNumber
	return f
}

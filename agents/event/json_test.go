package event_test

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"aura/agents/event"
	"aura/mlops/schema"
)

// TestMarshalIsJSON: events of the data path are written as encoding/json writes them, to the byte, and refused where it
// refuses them.
func TestMarshalIsJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawEvent().Draw(t, "event")
		want, wantErr := json.Marshal(e)
		got, err := event.Marshal(e)
		if (err == nil) != (wantErr == nil) || !bytes.Equal(got, want) {
			t.Fatalf("%s (%v)\nwant\n%s (%v)", got, err, want, wantErr)
		}
	})
}

// TestUnmarshalIsJSON: whatever arrives is read as encoding/json reads it, or refused as it does: what was written here, and
// the same with bytes cut out, doubled, replaced or put in.
func TestUnmarshalIsJSON(t *testing.T) {
	pieces := []string{
		`"`, `\`, `,`, `:`, `{`, `}`, `[`, `]`, `0`, `1`, `-`, `+`, `.`, `e5`, `E-3`, `e+400`, ` `, "\n", "\x00", "\x7f", "\xff", "é", "\u2028", "<", `\u0041`, `null`, `true`,
		`false`, `NaN`, `"x":1,`, `,"id":"again"`, `{"id":null}`, `"ID"`, `00`, `-0`, `1.0`, `9223372036854775808`, strings.Repeat("7", 70),
	}
	rapid.Check(t, func(t *rapid.T) {
		e := drawEvent().Draw(t, "event")
		raw, err := json.Marshal(e)
		if err != nil {
			return
		}
		for range rapid.IntRange(0, 3).Draw(t, "changes") {
			from := rapid.IntRange(0, len(raw)).Draw(t, "from")
			to := min(len(raw), from+rapid.IntRange(0, 3).Draw(t, "cut"))
			in := rapid.SampledFrom(append(pieces, string(raw[from:to]), string(raw[from:to])+string(raw[from:to]))).Draw(t, "in")
			raw = append(append(append([]byte{}, raw[:from]...), in...), raw[to:]...)
		}
		sameReading(t, e, raw)
	})
}

// TestUnmarshalByHand: what is written is also read by hand, which would otherwise be no more than slow.
func TestUnmarshalByHand(t *testing.T) {
	files := 0
	for name, e := range golden() {
		switch e.(type) {
		case *event.RawEvent, *event.Features, *event.Prediction, *event.Decision:
			raw, err := event.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			if back := event.New(e.Topic()); !event.Read(raw, back) {
				t.Errorf("%s is left to encoding/json", name)
			}
			files++
		}
	}
	if files < 7 {
		t.Errorf("only %d events of the data path", files)
	}
}

// FuzzUnmarshal is TestUnmarshalIsJSON for any bytes.
func FuzzUnmarshal(f *testing.F) {
	of := map[string]int{"raw-events": 0, "features": 1, "features.again": 1, "predictions": 2, "predictions.shadow": 2, "decisions": 3, "decisions.safe-mode": 3}
	for name, i := range of {
		raw, err := os.ReadFile(filepath.Join("testdata", name+".json"))
		if err != nil {
			f.Fatal(err)
		}
		var tight bytes.Buffer
		if err := json.Compact(&tight, raw); err != nil {
			f.Fatal(err)
		}
		f.Add(i, raw)
		f.Add(i, tight.Bytes())
	}
	topics := []event.Topic{event.RawEvents, event.FeaturesTopic, event.Predictions, event.Decisions}
	f.Fuzz(func(t *testing.T, i int, raw []byte) { sameReading(t, event.New(topics[uint(i)%4]), raw) })
}

// sameReading compares Unmarshal with json.Unmarshal; like tells the type.
func sameReading(t interface{ Fatalf(string, ...any) }, like event.Event, raw []byte) {
	got, want := event.New(like.Topic()), event.New(like.Topic())
	err, wantErr := event.Unmarshal(raw, got), json.Unmarshal(raw, want)
	if (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
		t.Fatalf("%s: error %v, want %v", raw, err, wantErr)
	}
	if err == nil && !equal(reflect.ValueOf(got), reflect.ValueOf(want)) {
		t.Fatalf("%s:\n%+v\nwant\n%+v", raw, got, want)
	}
}

// equal is reflect.DeepEqual, but compares numbers by their bits.
func equal(a, b reflect.Value) bool {
	switch a.Kind() {
	case reflect.Float64:
		return math.Float64bits(a.Float()) == math.Float64bits(b.Float())
	case reflect.Pointer:
		return a.IsNil() == b.IsNil() && (a.IsNil() || equal(a.Elem(), b.Elem()))
	case reflect.Slice:
		if a.IsNil() != b.IsNil() || a.Len() != b.Len() {
			return false
		}
		for i := range a.Len() {
			if !equal(a.Index(i), b.Index(i)) {
				return false
			}
		}
		return true
	case reflect.Struct:
		if a.Type() == reflect.TypeFor[time.Time]() {
			return reflect.DeepEqual(a.Interface(), b.Interface())
		}
		for i := range a.NumField() {
			if !equal(a.Field(i), b.Field(i)) {
				return false
			}
		}
		return true
	case reflect.String:
		return a.String() == b.String()
	default:
		return a.Equal(b)
	}
}

// drawEvent draws an event of the data path: one of those that are written and read by hand, or one with what JSON is
// difficult for.
func drawEvent() *rapid.Generator[event.Event] {
	return rapid.Custom(func(t *rapid.T) event.Event {
		text, number := rapid.StringMatching(`[A-Za-z0-9 é-]{0,40}`), rapid.OneOf(rapid.Float64Range(1e-6, 1e21), rapid.SampledFrom([]float64{
			0, math.Copysign(0, -1), 1, 700, -123.456, 1e-6, 1e20, 999999999999999, 0.999999999999999, 1e15, 0.3100000023841858,
		}))
		if rapid.Bool().Draw(t, "difficult") {
			text = rapid.OneOf(text, rapid.String(), rapid.SampledFrom([]string{
				"<&>", "a\"b\\c", "\u2028", "日本", "\xff", "\xed\xa0\x80", "\x00\n\t\x7f", "\ufffd", strings.Repeat("x", 300),
			}))
			number = rapid.OneOf(number, rapid.Float64(), rapid.SampledFrom([]float64{
				9.99e-7, 1e-9, 1e21, -1e21, 5e-324, math.MaxFloat64, math.NaN(), math.Inf(1), math.Inf(-1),
			}))
		}
		return eventOf(text, number).Draw(t, "event")
	})
}

func eventOf(text *rapid.Generator[string], number *rapid.Generator[float64]) *rapid.Generator[event.Event] {
	at := rapid.Custom(func(t *rapid.T) time.Time {
		zone := rapid.SampledFrom([]*time.Location{time.UTC, time.FixedZone("", 3600), time.FixedZone("", -5400), time.FixedZone("", 25*3600), time.FixedZone("", 1)})
		return time.Unix(rapid.Int64Range(-1e11, 3e11).Draw(t, "s"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")).In(zone.Draw(t, "zone"))
	})
	whole := rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(0, 100), rapid.Int64())
	vector := rapid.Custom(func(t *rapid.T) schema.Vector {
		if rapid.Bool().Draw(t, "nil") {
			return nil
		}
		return rapid.SliceOfN(number, 0, 6).Draw(t, "vector")
	})
	record := rapid.Custom(func(t *rapid.T) (r schema.Record) {
		for range rapid.IntRange(0, 6).Draw(t, "columns") {
			r.Names = append(r.Names, text.Draw(t, "name"))
			switch rapid.IntRange(0, 2).Draw(t, "kind") {
			case 0:
				r.Values = append(r.Values, schema.Missing())
			case 1:
				r.Values = append(r.Values, schema.Number(number.Draw(t, "number")))
			default:
				r.Values = append(r.Values, schema.Text(text.Draw(t, "text")))
			}
		}
		return r
	})
	reasons := rapid.Custom(func(t *rapid.T) (list []schema.Reason) {
		switch n := rapid.IntRange(-1, 4).Draw(t, "reasons"); n {
		case -1:
		default:
			list = []schema.Reason{}
			for range n {
				list = append(list, schema.Reason{
					Code: text.Draw(t, "code"), Feature: text.Draw(t, "feature"), Text: text.Draw(t, "text"), Contribution: number.Draw(t, "contribution"),
				})
			}
		}
		return list
	})
	subject := rapid.Custom(func(t *rapid.T) event.Subject {
		return event.Subject{
			ID: text.Draw(t, "id"), ApplicationID: text.Draw(t, "application"), AcceptedAt: at.Draw(t, "accepted"),
			Source: text.Draw(t, "source"), TraceID: text.Draw(t, "trace"),
		}
	})
	features := rapid.Custom(func(t *rapid.T) event.Features {
		return event.Features{
			Subject: subject.Draw(t, "subject"), Values: vector.Draw(t, "values"), Vector: vector.Draw(t, "vector"),
			MinGeneration: whole.Draw(t, "least"),
		}
	})
	return rapid.Custom(func(t *rapid.T) event.Event {
		switch rapid.IntRange(0, 3).Draw(t, "type") {
		case 0:
			return &event.RawEvent{Subject: subject.Draw(t, "subject"), Features: record.Draw(t, "record"), Again: rapid.Bool().Draw(t, "again")}
		case 1:
			f := features.Draw(t, "features")
			return &f
		case 2:
			return &event.Prediction{
				Features: features.Draw(t, "features"), Probability: number.Draw(t, "p"), Reasons: reasons.Draw(t, "reasons"),
				ModelVersion: int(whole.Draw(t, "version")), ModelDigest: text.Draw(t, "digest"), Generation: whole.Draw(t, "generation"),
				Shadow: rapid.Bool().Draw(t, "shadow"),
			}
		}
		d := &event.Decision{
			Subject: subject.Draw(t, "subject"), Decision: schema.Outcome(text.Draw(t, "decision")), Reasons: reasons.Draw(t, "reasons"),
			ModelVersion: int(whole.Draw(t, "version")), ModelDigest: text.Draw(t, "digest"), Generation: whole.Draw(t, "generation"),
			Mode: event.Mode(text.Draw(t, "mode")), ModeGeneration: whole.Draw(t, "mode generation"), Rule: text.Draw(t, "rule"),
			DecidedAt: at.Draw(t, "decided"), LatencyMS: number.Draw(t, "latency"), Incarnation: whole.Draw(t, "incarnation"),
		}
		if rapid.Bool().Draw(t, "scored") {
			p := number.Draw(t, "p")
			d.Probability = &p
		}
		return d
	})
}

// BenchmarkJSON writes and reads each event of the data path, with encoding/json and by hand. chain is what one
// application costs on its way: four written, four read.
func BenchmarkJSON(b *testing.B) {
	type way struct {
		name  string
		write func(event.Event) ([]byte, error)
		read  func([]byte, event.Event) error
	}
	path := dataPath()
	for _, w := range []way{
		{"encoding", func(e event.Event) ([]byte, error) { return json.Marshal(e) }, func(raw []byte, e event.Event) error { return json.Unmarshal(raw, e) }},
		{"hand", event.Marshal, event.Unmarshal},
	} {
		write := func(b *testing.B, e event.Event) []byte {
			raw, err := w.write(e)
			if err != nil {
				b.Fatal(err)
			}
			return raw
		}
		read := func(b *testing.B, raw []byte, e event.Event) {
			if err := w.read(raw, e); err != nil {
				b.Fatal(err)
			}
		}
		for _, e := range path {
			raw := write(b, e)
			b.Run("write/"+string(e.Topic())+"/"+w.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					write(b, e)
				}
			})
			b.Run("read/"+string(e.Topic())+"/"+w.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					read(b, raw, event.New(e.Topic()))
				}
			})
		}
		b.Run("chain/"+w.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for _, e := range path {
					read(b, write(b, e), event.New(e.Topic()))
				}
			}
		})
	}
}

// dataPath is one application's events as the pipeline publishes them.
func dataPath() []event.Event {
	subject := event.Subject{
		ID: "0195511f-5e7b-7abc-8def-0123456789ab", ApplicationID: "0195511f-5e7b-7abc-8def-0123456789ab", AcceptedAt: accepted,
		Source: "http", TraceID: "0af7651916cd43dd8448eb211c80319c",
	}
	const digest = "9f86d081884c7d659a2feaa0c55ad0159f86d081884c7d659a2feaa0c55ad015"
	why := []schema.Reason{
		{Code: "R02", Feature: "debt_ratio", Text: "Debt is high in proportion to income", Contribution: 0.12518463},
		{Code: "R01", Feature: "credit_score", Text: "The credit score is low", Contribution: 0.0734281},
	}
	f := event.Features{
		Subject: subject, Values: schema.Vector{612, 0.4731, 41327.55, 18250.31, 3},
		Vector: schema.Vector{612, 0.4731000065803528, 10.629307746887207, 9.811995983123779, 3},
	}
	probability := 0.3817462
	return []event.Event{
		&event.RawEvent{Subject: subject, Features: schema.Record{
			Names:  []string{"credit_score", "debt_ratio", "income", "loan_amount", "employment_years"},
			Values: []schema.Value{schema.Number(612), schema.Number(0.4731), schema.Number(41327.55), schema.Number(18250.31), schema.Number(3)},
		}},
		&f,
		&event.Prediction{Features: f, Probability: probability, Reasons: why, ModelVersion: 3, ModelDigest: digest, Generation: 8},
		&event.Decision{
			Subject: subject, Decision: schema.Refer, Probability: &probability, Reasons: why, ModelVersion: 3, ModelDigest: digest, Generation: 8,
			Mode: event.ModeModel, ModeGeneration: 1, DecidedAt: decided, LatencyMS: 1.254631, Incarnation: 5,
		},
	}
}

package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const good = `{"credit_score":700,"debt_ratio":28.5,"income":36000,"loan_amount":22000,"employment_years":3.2}`

// mixed has every kind of column.
const mixed = `
name: mixed
version: 1
id: ref
label: {column: outcome, bad: bad, good: good}
features:
  - {name: amount, min: 0, max: 1000, integer: true, unit: EUR, transform: sqrt}
  - {name: purpose, kind: categorical, categories: [car, "2", "bu\"sy"]}
  - {name: balance, transform: signed_log1p, missing: true}
  - {name: sex, kind: categorical, categories: [m, f], protected: true, missing: true}
policy:
  cost: {bad_approved: 5, good_declined: 1, refer_band: 0.05}
  safe_mode:
    rules:
      - {name: NO_BALANCE, when: {balance: {missing: true}}, decision: REFER, reason: {code: R80, text: No balance}}
      - {name: BIG_CAR, when: {purpose: {eq: car}, amount: {gt: 500}}, decision: DECLINE}
      - {name: SMALL, when: {amount: {lte: 100, gte: 10}, purpose: {in: [car, 2]}}, decision: APPROVE}
    default: {decision: REFER}
`

func parseMixed(t testing.TB) *Schema {
	t.Helper()
	s, err := Parse([]byte(mixed))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestParseRecordReordersAndNormalises(t *testing.T) {
	s := parseMixed(t)
	got, err := s.ParseRecord([]byte(` { "purpose" : 2 , "am\u006funt":1e2,"sex":null} `))
	if err != nil {
		t.Fatal(err)
	}
	want := Record{Names: []string{"amount", "purpose", "balance", "sex"}, Values: []Value{Number(100), Text("2"), Missing(), Missing()}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	again, err := s.Check(Record{Names: []string{"sex", "purpose", "amount"}, Values: []Value{Missing(), Number(2), Number(100)}})
	if err != nil || !reflect.DeepEqual(again, want) {
		t.Errorf("Check: %v, %v, want %v", again, err, want)
	}
}

func TestParseRecordNamesWhatIsWrong(t *testing.T) {
	set := func(field, value string) string {
		var m map[string]json.RawMessage
		if err := json.Unmarshal([]byte(good), &m); err != nil {
			t.Fatal(err)
		}
		out := "{"
		for name, v := range m {
			if name == field {
				v = json.RawMessage(value)
			}
			if len(v) > 0 {
				out += fmt.Sprintf("%q:%s,", name, v)
			}
		}
		return strings.TrimSuffix(out, ",") + "}"
	}
	score := func(problem, got string) FieldError {
		return FieldError{"credit_score", problem, got, "number 300..850 points"}
	}
	long := strings.Repeat("9", 100)
	for _, c := range []struct {
		name, in string
		want     FieldErrors
	}{
		{"missing", set("credit_score", ""), FieldErrors{score(ProblemMissing, "")}},
		{"null", set("credit_score", "null"), FieldErrors{score(ProblemNull, "null")}},
		{"number as text", set("credit_score", `"700"`), FieldErrors{score(ProblemText, `"700"`)}},
		{"bool", set("credit_score", "true"), FieldErrors{score(ProblemBool, "true")}},
		{"object", set("credit_score", `{"a":[1,"}"]}`), FieldErrors{score(ProblemNested, `{"a":[1,"}"]}`)}},
		{"array", set("credit_score", `[700]`), FieldErrors{score(ProblemNested, `[700]`)}},
		{"below", set("credit_score", "299.9"), FieldErrors{score(ProblemBounds, "299.9")}},
		{"above", set("credit_score", "851"), FieldErrors{score(ProblemBounds, "851")}},
		{"huge exponent", set("credit_score", "1e999999999"), FieldErrors{score(ProblemBounds, "1e999999999")}},
		{"minus", set("debt_ratio", "-1"), FieldErrors{{"debt_ratio", ProblemBounds, "-1", "number 0..100 percent"}}},
		{"many digits", set("credit_score", long), FieldErrors{score(ProblemBounds, long[:40]+"…")}},
		{"NaN", set("credit_score", "NaN"), FieldErrors{score(ProblemNotNumber, "NaN")}},
		{"Infinity", set("credit_score", "-Infinity"), FieldErrors{score(ProblemNotNumber, "-Infinity")}},
		{"hex", set("credit_score", "0x2bc"), FieldErrors{score(ProblemNotNumber, "0x2bc")}},
		{"leading zero", set("credit_score", "0700"), FieldErrors{score(ProblemNotNumber, "0700")}},
		{"plus", set("credit_score", "+700"), FieldErrors{score(ProblemNotNumber, "+700")}},
		{"dot", set("credit_score", "700."), FieldErrors{score(ProblemNotNumber, "700.")}},
		{"long text", set("credit_score", `"`+strings.Repeat("x", 100)+`"`), FieldErrors{score(ProblemText, `"`+strings.Repeat("x", 39)+"…")}},
		{"control character", set("credit_score", "\"a\x01\""), FieldErrors{{"credit_score", ProblemMalformed, "", ""}}},
		{"unknown", strings.Replace(good, "{", `{"shoe_size":44,`, 1), FieldErrors{{"shoe_size", ProblemUnknown, "44", "a feature of schema credit"}}},
		{"duplicate", strings.Replace(good, "{", `{"credit_score":600,`, 1), FieldErrors{score(ProblemDuplicate, "700")}},
		{"duplicate null", strings.Replace(good, "{", `{"credit_score":null,`, 1), FieldErrors{score(ProblemNull, "null"), score(ProblemDuplicate, "700")}},
		{"too deep", set("credit_score", strings.Repeat("[", 1000)), FieldErrors{{"credit_score", ProblemTooDeep, "more than 16 levels", "a flat object of numbers and texts"}}},
		{"too large", `{"a":"` + strings.Repeat("x", MaxRecordBytes) + `"}`, FieldErrors{{"", ProblemTooLarge, "65544 bytes", "at most 65536 bytes"}}},
		{"no object", `[1]`, FieldErrors{{"", ProblemMalformed, "[1]", "a JSON object of features"}}},
		{"empty", ``, FieldErrors{{"", ProblemMalformed, "", "a JSON object of features"}}},
		{"cut off", good[:30], FieldErrors{{"", ProblemMalformed, "", ""}}},
		{"trailing", good + `{}`, FieldErrors{{"", ProblemMalformed, "{}", "nothing more at byte 96"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Builtin().ParseRecord([]byte(c.in))
			var got FieldErrors
			if !errors.As(err, &got) {
				t.Fatalf("got %v, want FieldErrors", err)
			}
			for _, want := range c.want {
				found := false
				for _, g := range got {
					found = found || g == want || want.Got == "" && want.Want == "" && g.Field == want.Field && g.Problem == want.Problem
				}
				if !found {
					t.Errorf("got %q, want %q among them", got, want)
				}
			}
			if c.want[0].Problem != ProblemMalformed && c.want[0].Problem != ProblemTooDeep && len(got) != len(c.want) {
				t.Errorf("got %d errors %v, want %d", len(got), got, len(c.want))
			}
		})
	}
}

func TestParseRecordBoundsItsErrors(t *testing.T) {
	many := "{"
	for i := range 5000 {
		many += fmt.Sprintf(`"k%d":1,`, i)
	}
	_, err := Builtin().ParseRecord([]byte(strings.TrimSuffix(many, ",") + "}"))
	var got FieldErrors
	if !errors.As(err, &got) || len(got) > maxProblems+1 || got[len(got)-1].Problem != ProblemTooMany {
		t.Errorf("%d errors, last %v; want at most %d and a word on the rest", len(got), got[len(got)-1:], maxProblems)
	}
	for _, e := range got {
		if len(e.Got) > 50 || len(e.Field) > 50 {
			t.Errorf("an error tells back %d bytes", len(e.Got)+len(e.Field))
		}
	}
}

func TestParseRecordOfCategories(t *testing.T) {
	s := parseMixed(t)
	for in, want := range map[string]string{
		`{"amount":1,"purpose":"boat"}`:              "not a category",
		`{"amount":1,"purpose":2.0}`:                 "not a category",
		`{"amount":1.5,"purpose":"car"}`:             "not an integer",
		`{"amount":1,"purpose":"car","sex":"x"}`:     "not a category",
		`{"amount":1,"purpose":"car","balance":"1"}`: "text",
		`{"amount":1,"purpose":null}`:                "null",
		`{"amount":1,"purpose":"bu\"sy"}`:            "",
	} {
		_, err := s.ParseRecord([]byte(in))
		var got FieldErrors
		errors.As(err, &got)
		if want == "" && err != nil || want != "" && (len(got) != 1 || got[0].Problem != want) {
			t.Errorf("%s: %v, want %q", in, err, want)
		}
	}
}

func TestRecordJSON(t *testing.T) {
	for in, want := range map[string]string{
		`{"b":1,"a":"x","c":null}`: "",
		`{}`:                       "",
		`{"a":1,"a":2}`:            "a: duplicate",
		`{"a":{"b":1}}`:            "a: nested",
		`{"a":true}`:               "a: bool",
		`{"a":1e400}`:              "a: out of bounds",
		`{"a":1} x`:                "malformed",
		`{"a":NaN}`:                "a: not a number",
		`[]`:                       "malformed",
	} {
		var r Record
		err := r.UnmarshalJSON([]byte(in))
		if want != "" {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", in, err, want)
			}
			continue
		}
		if out, mErr := json.Marshal(r); err != nil || mErr != nil || string(out) != in {
			t.Errorf("%s: round trip %s (%v, %v)", in, out, err, mErr)
		}
	}
	if _, err := json.Marshal(Record{Names: []string{"a"}, Values: []Value{Number(math.Inf(1))}}); err == nil {
		t.Error("an infinite number has a JSON form")
	}
}

func genRecord(t *rapid.T) Record {
	var r Record
	for _, name := range rapid.SliceOfNDistinct(rapid.StringN(0, 20, 60), 0, 8, rapid.ID).Draw(t, "names") {
		r.Names = append(r.Names, strings.ToValidUTF8(name, "?"))
		r.Values = append(r.Values, rapid.OneOf(
			rapid.Map(rapid.Float64(), func(f float64) Value {
				if math.IsInf(f, 0) {
					f = 0
				}
				return Number(f)
			}),
			rapid.Map(rapid.StringN(0, 20, 60), func(s string) Value { return Text(strings.ToValidUTF8(s, "?")) }),
			rapid.Just(Missing()),
		).Draw(t, "value"))
	}
	return r
}

func TestRecordRoundTripProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := genRecord(t)
		raw, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if !json.Valid(raw) {
			t.Fatalf("not JSON: %s", raw)
		}
		var back Record
		if err := json.Unmarshal(raw, &back); err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		if len(r.Names) > 0 && !reflect.DeepEqual(r, back) {
			t.Fatalf("%v came back as %v", r, back)
		}
	})
}

func TestVectorJSON(t *testing.T) {
	v := Vector{1.5, math.NaN(), -0.1, 1e300, 5e-324}
	raw, err := json.Marshal(v)
	if err != nil || string(raw) != `[1.5,null,-0.1,1e+300,5e-324]` {
		t.Fatalf("%s, %v", raw, err)
	}
	var back Vector
	if err := json.Unmarshal(raw, &back); err != nil {
		t.Fatal(err)
	}
	for i := range v {
		if math.Float64bits(v[i]) != math.Float64bits(back[i]) && !(math.IsNaN(v[i]) && math.IsNaN(back[i])) {
			t.Errorf("column %d: %v came back as %v", i, v[i], back[i])
		}
	}
	for _, bad := range []string{`[1,"2"]`, `[true]`, `[1e999]`, `{}`, `[[1]]`} {
		if err := json.Unmarshal([]byte(bad), &back); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
	for _, bad := range []string{`[1,]`, `[1 2]`, `[`, `[,1]`} {
		if err := back.UnmarshalJSON([]byte(bad)); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
	if raw, _ := json.Marshal(Vector(nil)); string(raw) != "null" {
		t.Errorf("nil is %s", raw)
	}
}

func FuzzParseRecord(f *testing.F) {
	for _, seed := range []string{good, `{"amount":1,"purpose":"car"}`, `{"a":[[[`, `{"credit_score":1e999,"x":"\ud800"}`, `{"a\u0000":"\"}`, "{\"\xff\":1}", ``} {
		f.Add([]byte(seed))
	}
	mixedSchema, err := Parse([]byte(mixed))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, s := range []*Schema{Builtin(), mixedSchema} {
			r, err := s.ParseRecord(raw)
			if err != nil {
				var fields FieldErrors
				if !errors.As(err, &fields) || len(fields) == 0 || len(fields) > maxProblems+1 {
					t.Fatalf("error is %T %v", err, err)
				}
				continue
			}
			if !json.Valid(raw) {
				t.Fatalf("accepted what is no JSON: %q", raw)
			}
			values, err := s.Encode(r)
			if err != nil {
				t.Fatalf("%q was accepted and can't be encoded: %v", raw, err)
			}
			s.DecideSafe(values)
			back, err := s.Record(values)
			if err != nil || !reflect.DeepEqual(back, r) {
				t.Fatalf("%v encodes to %v and back to %v (%v)", r, values, back, err)
			}
			again, err := s.ParseRecord(mustJSON(t, r))
			if err != nil || !reflect.DeepEqual(again, r) {
				t.Fatalf("%v came back as %v (%v)", r, again, err)
			}
		}
		var free Record
		if free.UnmarshalJSON(raw) == nil && len(free.Names) > 0 {
			var back Record
			if err := back.UnmarshalJSON(mustJSON(t, free)); err != nil || !reflect.DeepEqual(free, back) {
				t.Fatalf("%v came back as %v (%v)", free, back, err)
			}
		}
	})
}

func mustJSON(t *testing.T, r Record) []byte {
	t.Helper()
	raw, err := r.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func BenchmarkParseRecord(b *testing.B) {
	b.ReportAllocs()
	s, raw := Builtin(), []byte(good)
	for b.Loop() {
		if _, err := s.ParseRecord(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeVector(b *testing.B) {
	b.ReportAllocs()
	s := Builtin()
	r, err := s.ParseRecord([]byte(good))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		values, err := s.Encode(r)
		if err != nil {
			b.Fatal(err)
		}
		s.Vector(values)
	}
}

func BenchmarkDecideSafe(b *testing.B) {
	b.ReportAllocs()
	s := Builtin()
	values := Vector{700, 28.5, 36000, 22000, 3.2}
	for b.Loop() {
		s.DecideSafe(values)
	}
}

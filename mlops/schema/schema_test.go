package schema

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
)

func TestBuiltin(t *testing.T) {
	s, err := Parse(creditYAML)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"credit_score", "debt_ratio", "income", "loan_amount", "employment_years"}
	if !reflect.DeepEqual(s.Names(), want) || s.Name != "credit" {
		t.Errorf("names are %v", s.Names())
	}
	if s.Digest() != Builtin().Digest() {
		t.Error("Builtin isn't credit.yaml")
	}
}

func TestParseNamesTheKeyAndTheRemedy(t *testing.T) {
	edit := func(old, new string) string {
		t.Helper()
		if !strings.Contains(mixed, old) {
			t.Fatalf("%q isn't in the schema", old)
		}
		return strings.Replace(mixed, old, new, 1)
	}
	for _, c := range []struct{ name, in, want string }{
		{"unknown key", edit("version: 1", "version: 1\ncolour: red"), "line 4: colour: unknown key; known here: description, features"},
		{"misspelt key", edit("min: 0", "mins: 0"), "features[0].mins: unknown key; known here: categories, description, integer, kind, max, min"},
		{"suggestion", edit("transform: sqrt", "Transform: sqrt"), "did you mean transform?"},
		{"twice", edit("version: 1", "version: 1\nversion: 2"), "version: given twice"},
		{"wrong kind", edit("max: 1000", "max: lots"), `features[0].max: must be a finite number, not "lots"`},
		{"infinite", edit("max: 1000", "max: .inf"), "features[0].max: must be a finite number"},
		{"bool", edit("integer: true", "integer: 3"), `features[0].integer: must be true or false, not "3"`},
		{"list", edit("[m, f]", "m"), `features[3].categories: must be a list, not "m"`},
		{"feature kind", edit("kind: categorical", "kind: text"), `features[1].kind: "text" is not known; use numeric, categorical`},
		{"bounds", edit("min: 0", "min: 2000"), "features[0].min: 2000 is above max 1000"},
		{"transform", edit("min: 0, max: 1000", "max: 1000"), "features[0].transform: sqrt needs min: 0 or more"},
		{"no categories", edit(", categories: [m, f]", ""), "features[3].categories: are missing"},
		{"category twice", edit("[m, f]", "[m, m]"), `features[3].categories: "m" is empty or given twice`},
		{"name twice", edit("name: balance", "name: amount"), `features[2].name: "amount" is already used by features[0]`},
		{"name is label", edit("name: balance", "name: outcome"), `features[2].name: "outcome" is already used by the label`},
		{"no label", edit("bad: bad, ", ""), "label: column and bad are needed"},
		{"unknown feature in a rule", edit("{balance:", "{balanse:"), "policy.safe_mode.rules[0].when.balanse: no feature has this name"},
		{"category in a rule", edit("eq: car", "eq: boat"), `policy.safe_mode.rules[1].when.purpose.eq: "boat" is no category of purpose; use one of car, 2, bu"sy`},
		{"order of categories", edit("eq: car", "lt: car"), "purpose is categorical; use eq, in or missing"},
		{"decision", edit("decision: DECLINE", "decision: decline"), `rules[1].decision: "decline" is not known; use APPROVE, REFER, DECLINE`},
		{"rule name twice", edit("name: SMALL", "name: BIG_CAR"), `rules[2].name: "BIG_CAR" is used twice`},
		{"no default", edit("    default: {decision: REFER}", ""), "policy.safe_mode: default is missing"},
		{"no condition", edit("balance: {missing: true}", "balance: {}"), "rules[0].when.balance: has no condition"},
		{"thresholds and cost", edit("policy:", "policy:\n  approve_below: 0.1"), "policy: give approve_below and decline_above, or cost, not both"},
		{"cost", edit("bad_approved: 5", "bad_approved: 0"), "policy.cost: bad_approved and good_declined must be above 0"},
		{"band", edit("refer_band: 0.05", "refer_band: 0.5"), "policy: thresholds must be 0 <= approve_below"},
		{"alias", edit("version: 1", "version: &v 1\ndescription: *v"), "description: aliases (*name) are not supported"},
		{"empty", "", "the file is empty"},
		{"two documents", mixed + "\n---\nname: other", "more than one YAML document"},
		{"not YAML", "a: [", "not readable as YAML"},
		{"a text", "hello", "must be a mapping of keys"},
		{"too large", strings.Repeat("#", maxSchemaBytes+1), "bytes are too many"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse([]byte(c.in))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestParseTellsAllProblems(t *testing.T) {
	_, err := Parse([]byte("name: 7 up\nfeatures: [{name: a, colour: red}, {name: b, min: x}]\n"))
	var key *KeyError
	if !errors.As(err, &key) {
		t.Fatalf("%T %v", err, err)
	}
	for _, want := range []string{"features[0].colour", "features[1].min"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v doesn't name %s", err, want)
		}
	}
}

func TestDigestIsStableOverFormatting(t *testing.T) {
	s := parseMixed(t)
	other := "# a comment\n" + strings.NewReplacer(
		"version: 1", `version: "1"`,
		"{name: amount, min: 0, max: 1000, integer: true, unit: EUR, transform: sqrt}", "transform: sqrt\n    name: amount\n    max: 1.0e+3\n    kind: numeric\n    min: 0.0\n    unit: 'EUR'\n    integer: true",
	).Replace(mixed)
	same, err := Parse([]byte(other))
	if err != nil {
		t.Fatal(err)
	}
	if same.Digest() != s.Digest() {
		t.Error("another way to write the same schema has another digest")
	}
	for _, c := range []struct {
		old, new string
		inputs   bool // whether a model must be trained anew
	}{
		{"max: 1000", "max: 1001", false},
		{"refer_band: 0.05", "refer_band: 0.06", false},
		{"[m, f]", "[f, m]", false}, // protected: no model sees it
		{"No balance", "no balance", false},
		{"[car, \"2\"", "[\"2\", car", true},
		{"transform: sqrt", "transform: log1p", true},
		{"name: balance", "name: saldo", true},
		{"bad: bad, good: good", "bad: good, good: bad", true},
	} {
		in := strings.Replace(mixed, c.old, c.new, 1)
		if c.old == "name: balance" {
			in = strings.ReplaceAll(in, "{balance:", "{saldo:")
		}
		changed, err := Parse([]byte(in))
		if err != nil {
			t.Fatal(err)
		}
		if changed.Digest() == s.Digest() {
			t.Errorf("%s: the digest is the same", c.new)
		}
		if (changed.InputsDigest() != s.InputsDigest()) != c.inputs {
			t.Errorf("%s: whether the inputs' digest changed is not %v", c.new, c.inputs)
		}
	}
}

func TestEncodeAndVector(t *testing.T) {
	s := parseMixed(t)
	r, err := s.ParseRecord([]byte(`{"amount":10,"purpose":"2","balance":-1.7182818,"sex":"f"}`))
	if err != nil {
		t.Fatal(err)
	}
	values, err := s.Encode(r)
	if err != nil || !reflect.DeepEqual(values, Vector{10, 1, -1.7182818, 1}) {
		t.Fatalf("values %v, %v", values, err)
	}
	x := s.Vector(values)
	if want := (Vector{math.Sqrt(10), 1, -math.Log1p(1.7182818)}); !reflect.DeepEqual(x, want) {
		t.Errorf("vector %v, want %v", x, want)
	}
	want := []Input{{"amount", false, 0, 0}, {"purpose", true, 3, 1}, {"balance", false, 0, 2}}
	if !reflect.DeepEqual(s.Inputs(), want) {
		t.Errorf("inputs %v, want %v (no protected column)", s.Inputs(), want)
	}
	for _, bad := range []Record{
		{Names: r.Names[:3], Values: r.Values[:3]},
		{Names: []string{"purpose", "amount", "balance", "sex"}, Values: r.Values},
		{Names: r.Names, Values: []Value{Text("10"), Text("2"), Missing(), Missing()}},
		{Names: r.Names, Values: []Value{Number(10), Text("boat"), Missing(), Missing()}},
	} {
		if _, err := s.Encode(bad); err == nil {
			t.Errorf("%v was encoded", bad)
		}
	}
}

// A vector always has a JSON form, whatever a column without bounds lets in.
func TestVectorIsFinite(t *testing.T) {
	s, err := Parse([]byte(strings.Replace(mixed, "{name: balance, transform: signed_log1p,", "{name: balance,", 1)))
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range []float64{1e300, -1e300, 0.1} {
		x := s.Vector(Vector{1, 0, in, 0})
		if _, err := x.MarshalJSON(); err != nil || x[2] != in {
			t.Errorf("%v becomes %v (%v)", in, x[2], err)
		}
	}
}

func TestCell(t *testing.T) {
	s := parseMixed(t)
	for _, c := range []struct {
		feature int
		cell    string
		want    Value
		problem string
	}{
		{0, " 10 ", Number(10), ""},
		{0, "10.0", Number(10), ""},
		{0, "ten", Missing(), ProblemNotNumber},
		{0, "0x10", Missing(), ProblemNotNumber},
		{0, "inf", Missing(), ProblemNotNumber},
		{0, "", Missing(), ProblemMissing},
		{0, "1e999", Missing(), ProblemBounds},
		{1, "car", Text("car"), ""},
		{1, "2", Text("2"), ""},
		{1, "boat", Missing(), ProblemNotCategory},
		{2, "NA", Missing(), ""},
		{2, "-5", Number(-5), ""},
	} {
		got, err := s.Cell(c.feature, c.cell)
		var fe FieldError
		errors.As(err, &fe)
		if got != c.want || fe.Problem != c.problem {
			t.Errorf("feature %d, cell %q: %v, %v; want %v, %q", c.feature, c.cell, got, err, c.want, c.problem)
		}
	}
}

func TestDecide(t *testing.T) {
	s := parseMixed(t)
	p := s.Policy
	if math.Abs(p.ApproveBelow-(1.0/6-0.05)) > 1e-12 || math.Abs(p.DeclineAbove-(1.0/6+0.05)) > 1e-12 {
		t.Errorf("thresholds %v, %v are not 1/6 -+ 0.05", p.ApproveBelow, p.DeclineAbove)
	}
	for pd, want := range map[float64]Outcome{
		0: Approve, p.ApproveBelow: Refer, 1.0 / 6: Refer, p.DeclineAbove: Refer, 0.3: Decline, 1: Decline, math.NaN(): Refer,
	} {
		if got := s.Decide(pd); got != want {
			t.Errorf("%v: %s, want %s", pd, got, want)
		}
	}
}

func TestDecideSafe(t *testing.T) {
	s := parseMixed(t)
	nan := math.NaN()
	for _, c := range []struct {
		values  Vector
		want    Outcome
		rule    string
		reasons []Reason
	}{
		{Vector{50, 0, nan, nan}, Refer, "NO_BALANCE", []Reason{{"R80", "balance", "No balance", 0}}}, // the first that holds
		{Vector{501, 0, 1, 0}, Decline, "BIG_CAR", []Reason{{"R90", "purpose", "Decided by rule BIG_CAR", 0}}},
		{Vector{501, 1, 1, 0}, Refer, "DEFAULT", []Reason{{"R90", "", "Decided by rule DEFAULT", 0}}},
		{Vector{10, 1, 1, nan}, Approve, "SMALL", nil},
		{Vector{100, 0, 1, 1}, Approve, "SMALL", nil},
		{Vector{9, 0, 1, 1}, Refer, "DEFAULT", nil},
		{Vector{50, 2, 1, 1}, Refer, "DEFAULT", nil},
		{Vector{nan, 0, 1, 1}, Refer, "DEFAULT", nil}, // missing satisfies no bound
		{Vector{1}, Refer, "DEFAULT", nil},            // of another schema
	} {
		got, rule, reasons := s.DecideSafe(c.values)
		if got != c.want || rule != c.rule || c.reasons != nil && !reflect.DeepEqual(reasons, c.reasons) {
			t.Errorf("%v: %s by %s, %v; want %s by %s, %v", c.values, got, rule, reasons, c.want, c.rule, c.reasons)
		}
		if got == Approve && len(reasons) > 0 || got != Approve && len(reasons) == 0 {
			t.Errorf("%v: %s has reasons %v", c.values, got, reasons)
		}
	}
	if n := testing.AllocsPerRun(100, func() { s.DecideSafe(Vector{9, 0, 1, 1}) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParseSchema(f *testing.F) {
	f.Add([]byte(mixed))
	f.Add(creditYAML)
	f.Add([]byte("name: x\nversion: 1\nfeatures: [{name: a}]\nlabel: {column: y, bad: 1}\npolicy: {approve_below: 0, decline_above: 1, safe_mode: {default: {decision: REFER}}}"))
	f.Add([]byte("a: &a [*a, *a]\n<<: *a"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := Parse(raw)
		if err != nil {
			return
		}
		values := make(Vector, len(s.Features))
		s.Vector(values)
		if o, rule, _ := s.DecideSafe(values); !o.Valid() || rule == "" {
			t.Fatalf("decided %q by %q", o, rule)
		}
		if len(s.Inputs()) == 0 || s.Digest() == "" || !s.Decide(0.5).Valid() {
			t.Fatal("half a schema was accepted")
		}
		for i := range s.Inputs() {
			if r := s.Reason(i, 0.1); r.Code == "" || r.Text == "" {
				t.Fatalf("input %d has no reason: %v", i, r)
			}
		}
	})
}

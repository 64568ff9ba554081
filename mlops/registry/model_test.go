package registry_test

import (
	"log/slog"
	"strings"
	"testing"

	"aura/mlops/forest"
	"aura/mlops/registry"
	"aura/mlops/registry/registrytest"
	"aura/mlops/schema"
)

func TestReasonsAreTheSchemasWords(t *testing.T) {
	m := registrytest.Model(t, schema.Builtin(), 1)
	x := schema.Builtin().Vector(schema.Vector{420, 85, 15_000, 60_000, 0.2})
	reasons := m.Reasons(x)
	if len(reasons) == 0 || len(reasons) > registry.MaxReasons {
		t.Fatalf("%d reasons: %v", len(reasons), reasons)
	}
	for i, r := range reasons {
		if r.Code == "" || r.Text == "" || r.Feature == "" || r.Contribution <= 0 || i > 0 && r.Contribution > reasons[i-1].Contribution {
			t.Errorf("reason %d: %+v", i, r)
		}
	}
	if reasons[0] != (schema.Reason{Code: "R01", Feature: "credit_score", Text: "Credit score is too low", Contribution: reasons[0].Contribution}) &&
		reasons[0].Code != "R02" {
		t.Errorf("the first reason of a very low score and a high debt is %+v", reasons[0])
	}
	if n := testing.AllocsPerRun(100, func() { m.Score(x) }); n > 0 {
		t.Errorf("Score allocates %v times", n)
	}
}

const otherSchema = `
name: other
version: 1
label: {column: defaulted, bad: 1, good: 0}
features:
  - {name: credit_score, min: 300, max: 850}
  - {name: debt_ratio, min: 0, max: 100}
  - {name: income, min: 1000, transform: sqrt}
  - {name: loan_amount, min: 100, transform: log1p}
  - {name: employment_years, min: 0}
policy: {approve_below: 0.2, decline_above: 0.5, safe_mode: {default: {decision: REFER}}}
`

func TestAModelOfAnotherSchemaIsRefused(t *testing.T) {
	b := setup(t, 1)
	parse := func(yaml string) *schema.Schema {
		t.Helper()
		s, err := schema.Parse([]byte(yaml))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	other := registry.New(b.repo, b.dir, parse(otherSchema), slog.New(slog.DiscardHandler)) // same columns, another transform of income
	_, err := other.Promote(t.Context(), 1, "ann", "of another schema")
	refused(t, err, registry.CodeSchema)

	policy := strings.Replace(string(schema.BuiltinYAML()), "approve_below: 0.25", "approve_below: 0.20", 1)
	same := registry.New(b.repo, b.dir, parse(policy), slog.New(slog.DiscardHandler))
	if _, err := same.Promote(t.Context(), 1, "ann", "only the policy differs"); err != nil {
		t.Errorf("a change of policy needs a new model: %v", err)
	}

	d := forest.Data{Columns: []forest.Column{{Name: "a"}}}
	for i := range 40 {
		d.X, d.Y = append(d.X, []float64{float64(i)}), append(d.Y, i > 20)
	}
	f, err := forest.Train(t.Context(), d, forest.Params{Trees: 3}, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = registry.NewModel(schema.Builtin(), f, registry.Info{})
	refused(t, err, registry.CodeSchema)
	raw, err := f.Encode()
	if err != nil {
		t.Fatal(err)
	}
	_, err = registry.DecodeModel(schema.Builtin(), raw) // a forest without a word on its schema
	refused(t, err, registry.CodeBroken)
}

// A file that is whole and signed with the right digest, but votes otherwise than recorded, isn't trusted either.
func TestTheProbeIsScored(t *testing.T) {
	s := schema.Builtin()
	m := registrytest.Model(t, s, 1)
	raw, _ := m.Forest().Section("probe")
	lied := strings.Replace(string(raw), `"raw":0.`, `"raw":0.9`, 1)
	f, err := m.Forest().With(nil, forest.Section{Name: "probe", Data: []byte(lied)})
	if err != nil {
		t.Fatal(err)
	}
	data, err := f.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if m, err = registry.DecodeModel(s, data); err != nil {
		t.Fatal(err)
	}
	refused(t, m.Check(), registry.CodeProbe)
	_, err = registry.New(registrytest.NewMemory(), t.TempDir(), s, slog.New(slog.DiscardHandler)).Register(t.Context(), m, registry.Note{})
	refused(t, err, registry.CodeProbe)
}

func BenchmarkLoadAndCheck(b *testing.B) {
	s := schema.Builtin()
	data, err := registrytest.Model(b, s, 1).Encode()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		m, err := registry.DecodeModel(s, data)
		if err == nil {
			err = m.Check()
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

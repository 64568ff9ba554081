package gate

import (
	"strings"
	"testing"

	"aura/mlops/dataset"
	"aura/mlops/onnx"
	"aura/mlops/registry"
	"aura/mlops/schema"
	"aura/mlops/synth"
	"aura/mlops/train"
)

// elsewhere is a model trained on other rows, as somebody would hand it in: through ONNX.
func elsewhere(t *testing.T, rows []LabelledRow) *registry.Model {
	t.Helper()
	sample := make([]dataset.Row, len(rows))
	for i, r := range rows {
		sample[i] = dataset.Row{Values: r.Values, Bad: r.Bad}
	}
	res, err := train.Fit(t.Context(), schema.Builtin(), sample, train.Options{Seed: 5, Trees: 40})
	if err != nil {
		t.Fatal(err)
	}
	file, err := res.Model.ONNX()
	if err != nil {
		t.Fatal(err)
	}
	m, err := registry.ImportModel(schema.Builtin(), file, onnx.Options{}, registry.Info{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestChallenge(t *testing.T) {
	m, _ := champion(t)
	shifted := map[string]synth.Shift{"debt_ratio": {Scale: 1.8}}
	for _, c := range []struct {
		name    string
		trained []LabelledRow
		rows    []LabelledRow
		want    Code
	}{
		{"as good", population(8000, 21, nil, nil), population(4000, 7, nil, nil), Kept},
		{"better where the world has changed", population(8000, 21, nil, concept), population(3000, 7, nil, concept), Promote},
		{"better in another population", population(8000, 21, shifted, nil), population(3000, 7, shifted, nil), Promote},
		{"of another world", population(8000, 21, nil, concept), population(4000, 7, nil, nil), Kept},
		{"too few rows", population(2000, 21, nil, nil), population(100, 7, nil, nil), TooFew},
		{"outcomes that nobody can believe", population(4000, 21, nil, nil), population(2000, 7, nil, noise(0.4)), Labels},
	} {
		k := elsewhere(t, c.trained)
		out, err := Challenge(schema.Builtin(), m, k, "version 2", c.rows, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if out.Verdict.Code != c.want || out.Verdict.Promote != (c.want == Promote) || (out.Candidate == k) != (c.want == Promote) {
			t.Errorf("%s: %s", c.name, show(out))
		}
		if (c.want == Promote || c.want == Kept) && !strings.Contains(out.Verdict.Reason, "version 2") {
			t.Errorf("%s: %s", c.name, out.Verdict.Reason)
		}
	}
	leaked := population(2000, 7, nil, nil)
	for i := range leaked {
		if leaked[i].Values[1] = 20; leaked[i].Bad {
			leaked[i].Values[1] = 80
		}
	}
	if out, err := Challenge(schema.Builtin(), m, m, "x", leaked, Options{}); err != nil || out.Verdict.Code != Leak {
		t.Errorf("rows of which one input tells the outcome: %s, %v", show(out), err)
	}
	if _, err := Challenge(schema.Builtin(), m, m, "x", []LabelledRow{{Values: schema.Vector{1}}}, Options{}); err == nil {
		t.Error("a row of another schema was taken")
	}
}

package forest

import (
	"math"
	"testing"
)

// TestDataDigest: any change of the data is another digest, and a missing value is one whatever its bits.
func TestDataDigest(t *testing.T) {
	data := func(change func(*Data)) string {
		d := Data{Columns: []Column{{Name: "a"}, {Name: "b"}}, X: [][]float64{{1, math.NaN()}, {3, 4}}, Y: []bool{true, false}, Weights: []float64{1, 2}}
		change(&d)
		return d.Digest()
	}
	same := data(func(*Data) {})
	if len(same) != 64 || data(func(d *Data) { d.X[0][1] = math.Float64frombits(math.Float64bits(math.NaN()) ^ 7) }) != same {
		t.Errorf("digest %q", same)
	}
	seen := map[string]string{same: "nothing"}
	for name, change := range map[string]func(*Data){
		"a value": func(d *Data) { d.X[1][0] = 3.5 }, "an outcome": func(d *Data) { d.Y[0] = false }, "a weight": func(d *Data) { d.Weights[1] = 1 },
		"the order": func(d *Data) { d.X[0], d.X[1] = d.X[1], d.X[0] }, "a name": func(d *Data) { d.Columns[0].Name = "c" },
		"a row less": func(d *Data) { d.X, d.Y = d.X[:1], d.Y[:1] }, "no weights": func(d *Data) { d.Weights = nil },
	} {
		got := data(change)
		if other, ok := seen[got]; ok {
			t.Errorf("%s changed gives the digest of %s", name, other)
		}
		seen[got] = name
	}
}

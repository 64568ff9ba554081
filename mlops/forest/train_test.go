package forest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func train(t testing.TB, d Data, p Params) *Forest {
	t.Helper()
	f, err := Train(t.Context(), d, p, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// mixed draws rows with numbers, a category and gaps: everything that a model can hold.
func mixed(rows, columns int, seed uint64) Data {
	r := rand.New(rand.NewPCG(seed, 2))
	d := Data{}
	for j := range columns {
		c := Column{Name: fmt.Sprintf("c%d", j)}
		if j%3 == 1 {
			c.Categorical, c.Categories = true, 12
		}
		d.Columns = append(d.Columns, c)
	}
	for range rows {
		x := make([]float64, columns)
		risk := r.NormFloat64() / 2
		for j := range x {
			switch {
			case r.IntN(10) == 0:
				x[j] = math.NaN()
				risk += 0.5
			case d.Columns[j].Categorical:
				x[j] = float64(r.IntN(12))
				risk += float64(int(x[j])*5%12)/12 - 0.5
			default:
				x[j] = r.NormFloat64()
				risk += x[j]
			}
		}
		d.X, d.Y = append(d.X, x), append(d.Y, risk > 0.5)
	}
	return d
}

func TestSameForestForAnyNumberOfWorkers(t *testing.T) {
	d := mixed(3000, 7, 1)
	want := train(t, d, Params{Trees: 15, Seed: 42, Workers: 1})
	for _, workers := range []int{2, 4, 0} {
		got := train(t, d, Params{Trees: 15, Seed: 42, Workers: workers})
		if got.Digest() != want.Digest() {
			t.Errorf("%d workers: digest %s, one worker: %s", workers, got.Digest(), want.Digest())
		}
	}
	if other := train(t, d, Params{Trees: 15, Seed: 43}); other.Digest() == want.Digest() {
		t.Error("another seed gives the same forest")
	}
}

func TestMissingValuesAreLearned(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, badWhenMissing := range []bool{true, false} {
		d := Data{Columns: []Column{{Name: "informative when absent"}, {Name: "noise"}}}
		for range 2000 {
			x := []float64{r.NormFloat64(), r.NormFloat64()}
			bad := r.IntN(10) == 0
			if r.IntN(3) == 0 {
				x[0] = math.NaN()
				bad = !bad
			}
			d.X, d.Y = append(d.X, x), append(d.Y, bad == badWhenMissing)
		}
		f := train(t, d, Params{Trees: 30})
		present, absent := f.Score([]float64{0, 0}), f.Score([]float64{math.NaN(), 0})
		if badWhenMissing != (absent > present) || math.Abs(absent-present) < 0.5 {
			t.Errorf("bad when missing %v: score %.3f present, %.3f absent", badWhenMissing, present, absent)
		}
	}
}

// A missing value that training never saw goes the way of most rows: the score stays near the base rate, not at an end.
func TestUnseenMissingValueIsUnremarkable(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 3))
	d := Data{Columns: []Column{{Name: "x"}}}
	for range 3000 {
		x := r.Float64()
		d.X, d.Y = append(d.X, []float64{x}), append(d.Y, x < 0.1)
	}
	f := train(t, d, Params{Trees: 20})
	if p := f.Raw([]float64{math.NaN()}); p > 0.2 {
		t.Errorf("vote %.3f for a missing value where one row in ten is bad", p)
	}
}

func TestCategoriesAreUseful(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	as := func(categorical bool) Data {
		r = rand.New(rand.NewPCG(2, 2))
		d := Data{Columns: []Column{{Name: "purpose"}}}
		if categorical {
			d.Columns[0] = Column{Name: "purpose", Categorical: true, Categories: 200}
		}
		for range 8000 {
			c := r.IntN(200)
			rate := 0.1
			if c*7919%200 < 100 { // scattered over the codes: a number line can't part them
				rate = 0.7
			}
			d.X, d.Y = append(d.X, []float64{float64(c)}), append(d.Y, r.Float64() < rate)
		}
		return d
	}
	p := Params{Trees: 20, Depth: 3, Seed: 5}
	set, line := train(t, as(true), p), train(t, as(false), p)
	if s, l := set.Training().OutOfBagAUC, line.Training().OutOfBagAUC; s < 0.78 || s < l+0.1 {
		t.Errorf("out-of-bag AUC %.3f as categories, %.3f as numbers", s, l)
	}
	for _, unknown := range []float64{200, -1, 3.5, math.Inf(1), 1e18} {
		if got, want := set.Raw([]float64{unknown}), set.Raw([]float64{math.NaN()}); got != want {
			t.Errorf("category %v votes %v, a missing one %v", unknown, got, want)
		}
	}
}

func TestMoreCategoriesThanCodes(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 2))
	d := Data{Columns: []Column{{Name: "town", Categorical: true, Categories: 1000}}}
	for range 20_000 {
		c := r.IntN(1000)
		d.X, d.Y = append(d.X, []float64{float64(c)}), append(d.Y, r.IntN(1000) < c*37%1000)
	}
	f := train(t, d, Params{Trees: 10})
	if low, high := f.Score([]float64{0}), f.Score([]float64{27}); high < low+0.3 { // 27*37 = 999
		t.Errorf("score %.3f of the safest town, %.3f of the riskiest", low, high)
	}
}

func TestOddSamples(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	numeric := func(n int) (c []Column) {
		for i := range n {
			c = append(c, Column{Name: string(rune('a' + i))})
		}
		return c
	}
	for name, d := range map[string]Data{
		"two rows":         {Columns: numeric(1), X: [][]float64{{1}, {2}}, Y: []bool{false, true}},
		"constant columns": {Columns: numeric(3), X: [][]float64{{1, 2, 3}, {1, 2, 3}, {1, 2, 3}}, Y: []bool{false, true, true}},
		"all missing":      {Columns: numeric(1), X: [][]float64{{nan}, {nan}}, Y: []bool{false, true}},
		"infinite":         {Columns: numeric(1), X: [][]float64{{inf}, {-inf}, {inf}, {-inf}, {0}}, Y: []bool{true, false, true, false, false}},
		"huge":             {Columns: numeric(1), X: [][]float64{{1e300}, {-1e300}, {math.MaxFloat32}}, Y: []bool{true, false, false}},
		"no known category": {
			Columns: []Column{{Name: "a", Categorical: true, Categories: 1}},
			X:       [][]float64{{7}, {nan}},
			Y:       []bool{true, false},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := train(t, d, Params{Trees: 8, MinLeaf: 1})
			for _, x := range d.X {
				if p := f.Score(x); !(p > 0 && p < 1) {
					t.Errorf("Score(%v) = %v, want a probability", x, p)
				}
			}
			roundTrip(t, f)
		})
	}
	t.Run("a constant column hides no other", func(t *testing.T) {
		d := syntheticRows(1000, 3)
		d.Columns = append(d.Columns, Column{Name: "k0"}, Column{Name: "k1"}, Column{Name: "k2"}, Column{Name: "k3"})
		for i := range d.X {
			d.X[i] = append(d.X[i], 1, 2, 3, 4)
		}
		if auc := train(t, d, Params{Mtry: 1, Trees: 20}).Training().OutOfBagAUC; auc < 0.85 {
			t.Errorf("out-of-bag AUC %.3f with four constant columns", auc)
		}
	})
	t.Run("infinite values are learned", func(t *testing.T) {
		var d Data
		d.Columns = numeric(1)
		for i := range 300 {
			d.X = append(d.X, []float64{[]float64{inf, -inf, 5}[i%3]})
			d.Y = append(d.Y, i%3 == 0)
		}
		f := train(t, d, Params{Trees: 10})
		if f.Raw([]float64{inf}) < 0.99 || f.Raw([]float64{-inf}) > 0.01 || f.Raw([]float64{5}) > 0.01 {
			t.Errorf("votes %v %v %v", f.Raw([]float64{inf}), f.Raw([]float64{-inf}), f.Raw([]float64{5}))
		}
	})
}

func TestRefusedSamples(t *testing.T) {
	one := []Column{{Name: "a"}}
	x, y := [][]float64{{1}, {2}}, []bool{true, false}
	for name, c := range map[string]struct {
		d    Data
		p    Params
		want string
	}{
		"no columns":      {d: Data{X: x, Y: y}, want: "0 columns"},
		"no rows":         {d: Data{Columns: one}, want: "no rows"},
		"outcomes":        {d: Data{Columns: one, X: x, Y: y[:1]}, want: "2 rows but 1 outcomes"},
		"ragged":          {d: Data{Columns: one, X: [][]float64{{1}, {1, 2}}, Y: y}, want: "row 1 has 2 values for 1 columns"},
		"unnamed":         {d: Data{Columns: []Column{{}}, X: x, Y: y}, want: "column 0"},
		"twice":           {d: Data{Columns: []Column{{Name: "a"}, {Name: "a"}}, X: x, Y: y}, want: `"a" stands twice`},
		"categories":      {d: Data{Columns: []Column{{Name: "a", Categorical: true}}, X: x, Y: y}, want: "0 categories"},
		"numeric has any": {d: Data{Columns: []Column{{Name: "a", Categories: 3}}, X: x, Y: y}, want: "numeric"},
		"trees":           {d: Data{Columns: one, X: x, Y: y}, p: Params{Trees: -1}, want: "trees is -1"},
		"depth":           {d: Data{Columns: one, X: x, Y: y}, p: Params{Depth: 16}, want: "depth is 16"},
		"mtry":            {d: Data{Columns: one, X: x, Y: y}, p: Params{Mtry: 2}, want: "mtry is 2"},
		"bins":            {d: Data{Columns: one, X: x, Y: y}, p: Params{Bins: 257}, want: "bins is 257"},
	} {
		_, err := Train(t.Context(), c.d, c.p, nil)
		var refused *DataError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want a DataError with %q", name, err, c.want)
		}
	}
	for _, bad := range []bool{true, false} {
		_, err := Train(t.Context(), Data{Columns: one, X: x, Y: []bool{bad, bad}}, Params{}, nil)
		if !errors.Is(err, ErrSingleClass) || !strings.Contains(err.Error(), "all 2 rows are") {
			t.Errorf("one outcome: error %v", err)
		}
	}
}

func TestProgressAndCancel(t *testing.T) {
	d := mixed(500, 4, 1)
	var seen []int
	if _, err := Train(t.Context(), d, Params{Trees: 9, Workers: 3}, func(done, total int) {
		if total != 9 {
			t.Errorf("total %d, want 9", total)
		}
		seen = append(seen, done)
	}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(seen, []int{1, 2, 3, 4, 5, 6, 7, 8, 9}) {
		t.Errorf("progress %v", seen)
	}
	reason := errors.New("operator changed his mind")
	ctx, cancel := context.WithCancelCause(t.Context())
	_, err := Train(ctx, d, Params{Trees: 1000, Workers: 2}, func(done, _ int) {
		if done == 3 {
			cancel(reason)
		}
		if done > 100 {
			t.Fatal("goes on after the cancel")
		}
	})
	if !errors.Is(err, reason) {
		t.Errorf("error %v, want the cause of the cancel", err)
	}
	if _, err := Train(ctx, d, Params{}, nil); !errors.Is(err, reason) {
		t.Errorf("already cancelled: error %v", err)
	}
}

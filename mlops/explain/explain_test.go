package explain_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"aura/mlops/explain"
	"aura/mlops/forest"
)

// sample draws rows whose outcome depends on the first two columns only, the first one twice as much.
func sample(rows, columns int) forest.Data {
	r := rand.New(rand.NewPCG(5, 5))
	var d forest.Data
	for j := range columns {
		d.Columns = append(d.Columns, forest.Column{Name: fmt.Sprintf("c%d", j)})
	}
	for range rows {
		x := make([]float64, columns)
		for j := range x {
			x[j] = r.NormFloat64()
		}
		d.X = append(d.X, x)
		d.Y = append(d.Y, 2*x[0]-x[1]+r.NormFloat64()/2 > 1)
	}
	return d
}

func train(t testing.TB, d forest.Data, p forest.Params) *forest.Forest {
	t.Helper()
	f, err := forest.Train(t.Context(), d, p, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestTopNamesWhatDroveTheScore(t *testing.T) {
	f := train(t, sample(2000, 5), forest.Params{Seed: 3, Trees: 40})
	e := explain.New(f)
	x := []float64{2, -2, 0, 0, 0}
	top := e.Top(x, 4, nil)
	if len(top) < 2 || top[0].Feature != 0 || top[1].Feature != 1 {
		t.Fatalf("Top(%v) = %v, want column 0 before column 1", x, top)
	}
	for i, c := range top {
		if c.Value <= 0 || i > 0 && c.Value > top[i-1].Value {
			t.Errorf("Top = %v: not positive and falling at %d", top, i)
		}
	}
	for _, c := range e.Top([]float64{-2, 2, 0, 0, 0}, 4, nil) {
		if c.Feature < 2 {
			t.Errorf("column %d lowers the risk of a safe row, yet it is named with %g", c.Feature, c.Value)
		}
	}
}

func TestContributionsAddUpToTheVote(t *testing.T) {
	for _, columns := range []int{3, 23, 128, 129, 300} { // both node formats, and beyond the stack buffer
		t.Run(fmt.Sprint(columns), func(t *testing.T) {
			d := sample(600, columns)
			for i := range d.X {
				if i%7 == 0 {
					d.X[i][0] = math.NaN()
				}
			}
			f := train(t, d, forest.Params{Seed: 3, Trees: 20})
			e := explain.New(f)
			moved, all := make([]int32, columns), make([]float64, columns)
			for _, x := range d.X {
				sum := int64(f.Attribute(x, moved))
				for _, v := range moved {
					sum += int64(v)
				}
				if got, want := float64(sum)/f.Scale(), f.Raw(x); got != want {
					t.Fatalf("contributions sum to %v, the vote is %v", got, want)
				}
				e.All(x, all)
				want := slices.Clone(all)
				slices.SortFunc(want, func(a, b float64) int { return int(math.Copysign(1, b-a)) })
				for i, c := range e.Top(x, 4, nil) {
					if c.Value != want[i] || all[c.Feature] != c.Value {
						t.Fatalf("Top[%d] = %v, want value %v", i, c, want[i])
					}
				}
			}
		})
	}
}

// Columns a and b are copies, so each of two trees of depth 1 names one of them, by chance; where their bootstraps hold
// equally many bad rows the contributions are equal, and column order decides.
func TestTiesComeInColumnOrder(t *testing.T) {
	wide := forest.Data{Columns: []forest.Column{{Name: "a"}, {Name: "b"}}}
	for _, x := range [][]float64{{0, 0}, {1, 1}} {
		for range 200 {
			wide.X, wide.Y = append(wide.X, x), append(wide.Y, x[0] > 0)
		}
	}
	for seed := range uint64(200) {
		f := train(t, wide, forest.Params{Seed: seed, Trees: 2, Depth: 1})
		top := explain.New(f).Top([]float64{1, 1}, 4, nil)
		if len(top) == 2 && top[0].Value == top[1].Value {
			if top[0].Feature != 0 || top[1].Feature != 1 {
				t.Fatalf("equal contributions out of order: %v", top)
			}
			return
		}
	}
	t.Fatal("no seed of 200 gave two equal contributions: the test shows nothing")
}

func TestTopDoesNotAllocate(t *testing.T) {
	d := sample(400, 23)
	e := explain.New(train(t, d, forest.Params{Seed: 1, Trees: 10}))
	dst := make([]explain.Contribution, 0, 4)
	if n := testing.AllocsPerRun(100, func() { e.Top(d.X[0], 4, dst) }); n != 0 {
		t.Errorf("Top allocates %v times", n)
	}
}

func BenchmarkExplain23(b *testing.B) {
	d := sample(10_000, 23)
	e := explain.New(train(b, d, forest.Params{Seed: 1}))
	dst := make([]explain.Contribution, 0, 4)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		e.Top(d.X[i%len(d.X)], 4, dst)
		i++
	}
}

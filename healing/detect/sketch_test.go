package detect

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestBinAgreesWithAPlainSearch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		distinct := rapid.IntRange(1, 60).Draw(t, "distinct")
		values := rapid.SliceOfN(rapid.Float64Range(-3, 3), distinct, distinct).Draw(t, "values")
		var reference []float64
		for i, v := range values {
			for range 1 + (i*7)%5 {
				reference = append(reference, v)
			}
		}
		c := buildColumn(Field{Name: "x"}, reference)
		for _, x := range append(append([]float64{math.Inf(1), math.Inf(-1), 0}, values...), c.Edges...) {
			want := 0
			for _, e := range c.Edges {
				if e < x {
					want++
				}
			}
			if got := c.Bin(x); got != want {
				t.Fatalf("bin of %g = %d, want %d of %v", x, got, want, c.Edges)
			}
		}
		if c.Bin(math.NaN()) != c.Bins() {
			t.Fatal("missing is not apart")
		}
		if int(c.Present()) != len(reference) {
			t.Fatal("the reference isn't counted whole")
		}
	})
}

func TestColumnsOfAnyKind(t *testing.T) {
	nan := math.NaN()
	for name, values := range map[string][]float64{
		"empty": {}, "all missing": {nan, nan}, "one": {5}, "constant": slices.Repeat([]float64{5}, 1000),
		"ties":     append(slices.Repeat([]float64{0}, 950), 1, 2, 3, 4, 5),
		"infinite": {math.Inf(-1), 0, math.Inf(1)}, "two values": {0, 1, 0, 1, 1},
	} {
		for _, categorical := range []bool{false, true} {
			c := buildColumn(Field{Name: name, Categorical: categorical}, values)
			a := NewAlternatives(c.Shares())
			var sum float64
			for j, w := range a.Weights {
				sum += w
				var mean float64
				for b, p := range c.Shares() {
					mean += p * a.Ratio[j][b]
					if !(a.Ratio[j][b] > 0) || math.IsInf(a.Ratio[j][b], 0) {
						t.Fatalf("%s (%v): ratio %g of %s", name, categorical, a.Ratio[j][b], a.Names[j])
					}
				}
				if math.Abs(mean-1) > 1e-9 {
					t.Errorf("%s: mean ratio of %s is %g: no martingale", name, a.Names[j], mean)
				}
			}
			if math.Abs(sum-1) > 1e-9 {
				t.Errorf("%s: weights sum to %g", name, sum)
			}
			for _, x := range []float64{nan, -1, 0, 5, 1e9, math.Inf(1)} {
				if b := c.Bin(x); b < 0 || b > c.Bins() || (b == c.Bins()) != math.IsNaN(x) {
					t.Errorf("%s: bin %d of %g", name, b, x)
				}
			}
		}
	}
}

func TestCategoriesThatAreNoSmallWholeNumbers(t *testing.T) {
	for _, codes := range [][]float64{{-2, -1, 0, 7}, {0.5, 1.5}, {0, 1e9}, {3}} {
		c := buildColumn(Field{Name: "x", Categorical: true}, codes)
		for i, code := range codes {
			if c.Bin(code) != i {
				t.Errorf("%v: bin of %g = %d", codes, code, c.Bin(code))
			}
		}
		for _, x := range []float64{-3, 0.25, 4, 1e300, math.Inf(-1)} {
			if c.Bin(x) != len(codes) {
				t.Errorf("%v: unseen %g in bin %d", codes, x, c.Bin(x))
			}
		}
	}
}

func TestReferenceJSON(t *testing.T) {
	s := newService(t, 70, 2000)
	raw, err := json.Marshal(s.ref)
	if err != nil {
		t.Fatal(err)
	}
	var again Reference
	if err := json.Unmarshal(raw, &again); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(s.ref, &again) {
		t.Error("a reference doesn't survive its JSON form")
	}
	for _, bad := range []string{
		`{"features":[{"name":"a","edges":[2,1],"counts":[1,1,1],"group":[0,1,2]}]}`,
		`{"features":[{"name":"a","edges":[1],"counts":[1],"group":[0]}]}`,
		`{"features":[{"name":"a","edges":[1],"counts":[1,1],"group":[0,5]}]}`,
		`{"features":[],"scores":{"1":null}}`,
		`{"features":[{"name":"a","edges":[` + strings.Repeat("1,", 40) + `1],"counts":[],"group":[]}]}`,
	} {
		if err := json.Unmarshal([]byte(bad), new(Reference)); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
	if _, err := BuildReference("x", serviceFields, nil); !errors.Is(err, ErrNoReference) {
		t.Errorf("no rows: %v", err)
	}
	if _, err := BuildReference("x", serviceFields, [][]float64{{1, 2}}); err == nil {
		t.Error("short rows were taken")
	}
}

// counts draws the counts of a lane.
func drawCounts(t *rapid.T, ref *Reference, label string) *Counts {
	seed := rapid.Uint64().Draw(t, label)
	r := rand.New(rand.NewPCG(seed, 18))
	c := &Counts{}
	sketch := NewSketch(ref)
	for range r.IntN(20) {
		row := normalRow(r)
		if r.IntN(4) == 0 {
			row[r.IntN(5)] = math.NaN()
		}
		sketch.Add(row)
		sketch.AddScore(1, r.Float64())
		k := Cohort{Accepted: at.Add(time.Duration(r.IntN(500)) * time.Millisecond), Mode: "MODEL", Version: 1 + r.IntN(2)}
		c.Decided(k, time.Duration(r.IntN(900))*time.Millisecond, 300*time.Millisecond, r.IntN(2) == 0)
		c.Outcome(k, r.IntN(2) == 0)
		c.Attempt([]string{"model", "feature"}[r.IntN(2)], []string{"i1", "i2"}[r.IntN(2)], 1, int64(r.IntN(2)))
	}
	c.Overdue = int64(r.IntN(5))
	if r.IntN(5) > 0 {
		c.Sketches = append(c.Sketches, sketch)
	}
	return c
}

func merged(t *rapid.T, all ...*Counts) *Counts {
	sum := &Counts{}
	for _, c := range all {
		if err := sum.Merge(c); err != nil {
			t.Fatal(err)
		}
	}
	return sum
}

func asJSON(t *rapid.T, v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestMergeIsAssociative(t *testing.T) {
	ref := newService(t, 71, 500).ref
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawCounts(t, ref, "a"), drawCounts(t, ref, "b"), drawCounts(t, ref, "c")
		before := asJSON(t, []*Counts{a, b, c})
		left := merged(t, merged(t, a, b), c)
		right := merged(t, a, merged(t, b, c))
		if x, y := asJSON(t, left), asJSON(t, right); x != y {
			t.Fatalf("(a+b)+c and a+(b+c) differ:\n%s\n%s", x, y)
		}
		if after := asJSON(t, []*Counts{a, b, c}); after != before {
			t.Fatal("merging changed what was merged")
		}
		if got := merged(t, left, &Counts{}); asJSON(t, got) != asJSON(t, left) {
			t.Fatal("nothing added changes the sum")
		}
	})
}

func TestSketchesOfTwoReferencesDontMix(t *testing.T) {
	a, b := newService(t, 72, 500).ref, newService(t, 73, 700).ref
	b.ID = "other"
	x, y := NewSketch(a), NewSketch(b)
	if err := x.Merge(y); !errors.Is(err, ErrOtherReference) {
		t.Errorf("%v", err)
	}
	c := &Counts{Sketches: []*Sketch{x}}
	if err := c.Merge(&Counts{Sketches: []*Sketch{y}}); err != nil || len(c.Sketches) != 2 {
		t.Errorf("%v, %d sketches", err, len(c.Sketches))
	}
	broken := &Sketch{Reference: a.ID, Features: [][]uint32{{1}}}
	if err := x.Merge(broken); err == nil {
		t.Error("other columns were added up")
	}
}

func TestSketchCounts(t *testing.T) {
	ref := newService(t, 74, 5000).ref
	s := NewSketch(ref)
	s.Add([]float64{1e9, math.NaN(), 55_000, 1000, 17})
	s.Add([]float64{1, 2}) // too short: not counted
	s.AddScore(1, 2)
	s.AddScore(9, 0.5) // no reference
	f := s.Features
	if s.N != 1 || len(s.Rows) != 1 || len(s.Scores) != 1 {
		t.Fatalf("%+v", s)
	}
	last := func(i, back int) uint32 { return f[i][len(f[i])-back] }
	if last(0, 1) != 1 || last(0, 3) != 1 {
		t.Error("an outlier isn't in the last bin and outside")
	}
	if last(1, 2) != 1 || last(1, 1) != 0 {
		t.Error("a missing value isn't counted as missing alone")
	}
	if last(4, 1) != 1 || last(4, 3) != 1 {
		t.Error("an unseen category isn't in its bin and outside")
	}
	c := s.Clone()
	s.Reset()
	if s.N != 0 || last(0, 1) != 0 || c.N != 1 || c.Features[0][len(f[0])-1] != 1 {
		t.Error("reset and clone share")
	}
}

func TestLatencyHistogram(t *testing.T) {
	const slo = 300 * time.Millisecond
	if latencyBucket(slo, slo) == latencyBucket(slo+1, slo) {
		t.Error("the SLO is no edge")
	}
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, int64(200*time.Second)).Draw(t, "latency"))
		b := latencyBucket(d, slo)
		if b < 0 || b >= latencyBuckets {
			t.Fatalf("bucket %d", b)
		}
		if b < latencyBuckets-1 && d > bucketBound(b, slo)+1 || b > 0 && d <= bucketBound(b-1, slo)-1 {
			t.Fatalf("%v in bucket %d: (%v, %v]", d, b, bucketBound(b-1, slo), bucketBound(b, slo))
		}
	})
	var l Latency
	if l.Quantile(0.5) != 0 || l.Count() != 0 {
		t.Error("an empty histogram has a quantile")
	}
	for i := range 100 {
		l.Add(time.Duration(i+1)*10*time.Millisecond, slo)
	}
	if q := l.Quantile(0.5); q < 500*time.Millisecond || q > 625*time.Millisecond {
		t.Errorf("median %v", q)
	}
	// More is not known of 200 in flight than that they are late: no made-up figure stands for them.
	if q := l.quantile(0.5, 200); q <= slo || q > slo*5/4 {
		t.Errorf("median with 200 in flight: %v", q)
	}
}

func TestCellsAreBounded(t *testing.T) {
	var c Counts
	for i := range 5000 {
		c.Decided(Cohort{Accepted: at.Add(time.Duration(i) * time.Second), Mode: "MODEL"}, 1, 300, false)
		c.Outcome(Cohort{Accepted: at.Add(time.Duration(i) * time.Second), Mode: "MODEL"}, true)
	}
	var fast, n int64
	for _, d := range c.Decisions {
		fast += d.Fast
	}
	for _, o := range c.Outcomes {
		n += o.N
	}
	if len(c.Decisions) > maxCells+1 || len(c.Outcomes) > maxCells+1 || fast != 5000 || n != 5000 {
		t.Errorf("%d and %d cells, %d and %d counted", len(c.Decisions), len(c.Outcomes), fast, n)
	}
}

func TestValuesJSON(t *testing.T) {
	raw, err := json.Marshal(Values{1, math.NaN(), math.Inf(1)})
	if err != nil {
		t.Fatal(err)
	}
	var v Values
	if err := json.Unmarshal(raw, &v); err != nil || len(v) != 3 || v[0] != 1 || !math.IsNaN(v[1]) || v[2] != math.MaxFloat64 {
		t.Errorf("%v, %v", v, err)
	}
}

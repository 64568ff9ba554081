package forest

import (
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"

	"pgregory.net/rapid"
)

// The branch-free search must count the cuts below float32(v), whatever the values.
func TestNumericCodeCountsCutsBelow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Drawn from a seed: rapid's own slices are too short to fill 254 cuts.
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		finite := make([]float32, rapid.IntRange(0, 1500).Draw(t, "n"))
		scale := math.Pow(10, rapid.Float64Range(-40, 30).Draw(t, "scale")) // denormal numbers too
		for i := range finite {
			finite[i] = float32(r.NormFloat64()*scale) + 0
		}
		limit := rapid.IntRange(1, maxCuts).Draw(t, "limit")
		cuts := quantileCuts(finite, limit)
		if len(cuts) > limit {
			t.Fatalf("%d cuts, at most %d", len(cuts), limit)
		}
		for i, c := range cuts {
			if c != c || math.IsInf(float64(c), 1) || i > 0 && c <= cuts[i-1] {
				t.Fatalf("cuts %v don't rise at %d", cuts, i)
			}
		}
		if distinct := len(slices.Compact(slices.Clone(finite))); distinct > 2*limit && len(cuts) < limit/2 { // finite is sorted now
			t.Fatalf("%d cuts for %d distinct values, at most %d", len(cuts), distinct, limit)
		}
		b := newBinner(1)
		b.setCuts(0, cuts)
		for _, f := range finite {
			want := sort.Search(len(cuts), func(i int) bool { return cuts[i] >= f }) + 1
			if got := b.code(0, float64(f)); int(got) != want {
				t.Fatalf("code(%v) = %d, want %d of cuts %v", f, got, want, cuts)
			}
		}
		v := rapid.OneOf(rapid.Float64(), rapid.Map(rapid.SampledFrom(append(finite, 0, float32(math.Copysign(0, -1)), 1)), func(f float32) float64 { return float64(f) })).Draw(t, "v")
		want := sort.Search(len(cuts), func(i int) bool { return cuts[i] >= float32(v) }) + 1
		if v != v {
			want = missing
		}
		if got := b.code(0, v); int(got) != want {
			t.Fatalf("code(%v) = %d, want %d of cuts %v", v, got, want, cuts)
		}
	})
}

// With few distinct values each has a code of its own.
func TestFewValuesKeepApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float32Range(-1e30, 1e30), 1, 200).Draw(t, "values")
		for i := range values {
			values[i] += 0 // no -0
		}
		b := newBinner(1)
		b.setCuts(0, quantileCuts(values, maxCuts))
		code := map[uint8]float32{}
		for _, v := range values {
			c := b.code(0, float64(v))
			if other, ok := code[c]; ok && other != v {
				t.Fatalf("%v and %v share code %d", v, other, c)
			}
			code[c] = v
		}
	})
}

func TestQuantileCutsAreEven(t *testing.T) {
	values := make([]float32, 10_000)
	for i := range values {
		values[i] = float32(i) * float32(i)
	}
	b := newBinner(1)
	b.setCuts(0, quantileCuts(values, maxCuts))
	var n [256]int
	for _, v := range values {
		n[b.code(0, float64(v))]++
	}
	for code := 1; code <= 255; code++ {
		if n[code] < 38 || n[code] > 41 { // 10,000 / 255 = 39.2
			t.Errorf("code %d has %d rows of 10,000", code, n[code])
		}
	}
}

func TestMidpointIsFlooredFloat32(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.Float32Range(-math.MaxFloat32, math.MaxFloat32).Draw(t, "a")
		b := rapid.Float32Range(-math.MaxFloat32, math.MaxFloat32).Draw(t, "b")
		if a == b {
			return
		}
		a, b = min(a, b), max(a, b)
		c := midpoint(a, b)
		mid := (float64(a) + float64(b)) / 2
		if !(c >= a && c < b && float64(c) <= mid) || float64(math.Nextafter32(c, b)) <= mid {
			t.Fatalf("midpoint(%v, %v) = %v, the exact middle is %v", a, b, c, mid)
		}
	})
	inf := float32(math.Inf(1))
	if c := midpoint(-inf, 3); c != -inf {
		t.Errorf("midpoint(-Inf, 3) = %v", c)
	}
	if c := midpoint(3, inf); c != 3 {
		t.Errorf("midpoint(3, +Inf) = %v", c)
	}
	if c := midpoint(-inf, inf); c != -inf {
		t.Errorf("midpoint(-Inf, +Inf) = %v", c)
	}
}

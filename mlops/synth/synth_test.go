package synth

import (
	"math"
	"slices"
	"testing"

	"aura/mlops/schema"
)

func TestRowsFitTheBuiltinSchema(t *testing.T) {
	s := schema.Builtin()
	if !slices.Equal(s.Names(), names[:]) {
		t.Fatalf("columns %v, built-in schema has %v", names, s.Names())
	}
	g := New(3)
	for range 2000 {
		r, _ := g.Next()
		raw, err := r.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.ParseRecord(raw); err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
	}
}

// The figures that every later claim rests on: the frozen threshold is the 60th percentile, and the best possible model
// has the reference's AUC and accuracy (0.933, 0.853).
func TestPopulation(t *testing.T) {
	const n = 100_000
	g := New(1)
	bad, right, score := 0, 0, 0.0
	for range n {
		v, defaulted := g.Values(nil)
		score += v[creditScore] / n
		if defaulted {
			bad++
		}
		if (Probability(v) > 0.5) == defaulted {
			right++
		}
	}
	for _, c := range []struct {
		what            string
		got, want, near float64
	}{
		{"bad rate", float64(bad) / n, 0.40, 0.005},
		{"accuracy of the best possible model", float64(right) / n, 0.853, 0.005},
		{"mean credit score", score, 700, 1.5},
	} {
		if math.Abs(c.got-c.want) > c.near {
			t.Errorf("%s is %.4f, want %.3f +- %.3f", c.what, c.got, c.want, c.near)
		}
	}
}

func TestSameSeedSameRows(t *testing.T) {
	a, b, other := New(7), New(7), New(8)
	same := true
	for range 100 {
		va, da := a.Values(nil)
		vb, db := b.Values(nil)
		vo, _ := other.Values(nil)
		if !slices.Equal(va, vb) || da != db {
			t.Fatalf("same seed, different rows: %v %v", va, vb)
		}
		same = same && slices.Equal(va, vo)
	}
	if same {
		t.Error("another seed gives the same rows")
	}
}

// The drift of the reference's demo: the mean score falls from 700 to 550, the bad rate rises from .40 to .79, all other
// columns and the meaning of "bad" stay.
func TestShiftMovesOneFeatureOnly(t *testing.T) {
	const n = 20_000
	plain, shifted := New(5), New(5)
	if err := shifted.Shift("credit_score", Shift{Add: -150}); err != nil {
		t.Fatal(err)
	}
	mean, bad := 0.0, 0
	for range n {
		p, _ := plain.Values(nil)
		s, defaulted := shifted.Values(nil)
		if !slices.Equal(p[1:], s[1:]) {
			t.Fatalf("other columns changed: %v, %v", p, s)
		}
		if want := max(300, p[0]-150); s[0] != want {
			t.Fatalf("score %v shifted to %v, want %v", p[0], s[0], want)
		}
		mean += s[0] / n
		if defaulted {
			bad++
		}
	}
	if rate := float64(bad) / n; math.Abs(mean-552) > 4 || math.Abs(rate-0.79) > 0.01 {
		t.Errorf("mean %.1f, bad rate %.3f, want 552 and .79", mean, rate)
	}
	if err := shifted.Shift("credit_score", Shift{}); err != nil {
		t.Fatal(err)
	}
	p, _ := plain.Values(nil)
	if s, _ := shifted.Values(nil); !slices.Equal(p, s) {
		t.Errorf("after taking the shift back: %v, want %v", s, p)
	}
	for _, err := range []error{shifted.Shift("nope", Shift{}), shifted.Shift("income", Shift{Add: math.NaN()})} {
		if err == nil {
			t.Error("a bad shift was accepted")
		}
	}
}

func BenchmarkValues(b *testing.B) {
	b.ReportAllocs()
	g := New(1)
	var v schema.Vector
	for b.Loop() {
		v, _ = g.Values(v[:0])
	}
}

package detect

import (
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"slices"
	"testing"
	"time"
)

// at is a fixed time: nothing in this package reads a clock.
var at = time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)

// vectors reads a file of reference values; the test is skipped only where the file is absent.
func vectors(t *testing.T, name string, into any) {
	t.Helper()
	raw, err := os.ReadFile("../../../shared/vectors/" + name)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("reference vectors %s are not here", name)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// near fails unless got is within 1e-9 of want, absolute or relative.
func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.IsNaN(got) || math.Abs(got-want) > 1e-9*max(1, math.Abs(want)) {
		t.Errorf("%s = %.15g, want %.15g", what, got, want)
	}
}

// nearRelative is near for ratios and statistics, which may be tiny or huge.
func nearRelative(t *testing.T, what string, i int, got, want float64) {
	t.Helper()
	if math.IsNaN(got) || math.Abs(got-want) > 1e-9*math.Abs(want)+1e-300 {
		t.Errorf("%s[%d] = %.15g, want %.15g", what, i, got, want)
	}
}

func TestPSIAndKSVectors(t *testing.T) {
	var file struct {
		Cases []struct {
			Name, Kind      string
			Reference       json.RawMessage
			Current         json.RawMessage
			Edges           []float64
			EdgesFrom       string  `json:"edges_from"`
			ReferenceCounts []int64 `json:"reference_counts"`
			CurrentCounts   []int64 `json:"current_counts"`
			Expected        struct {
				Floor    *float64 `json:"psi_floor_1e4"`
				Jeffreys *float64 `json:"psi_jeffreys"`
				Over     *bool    `json:"psi_over_0_2"`
				JS       *float64 `json:"js_distance_base2"`
				KS       *float64 `json:"ks_statistic"`
				KSP      *float64 `json:"ks_p_kolmogorov"`
			}
		}
	}
	vectors(t, "psi_ks_vectors.json", &file)
	if len(file.Cases) != 20 {
		t.Fatalf("%d cases, want 20", len(file.Cases))
	}
	for _, c := range file.Cases {
		t.Run(c.Name, func(t *testing.T) {
			e := c.Expected
			if c.Kind == "numeric" {
				var reference, current Values
				if err := errors.Join(json.Unmarshal(c.Reference, &reference), json.Unmarshal(c.Current, &current)); err != nil {
					t.Fatal(err)
				}
				if i := slices.Index([]byte(c.EdgesFrom), '/'); i > 0 && c.EdgesFrom != "given" {
					bins := 0
					for _, d := range c.EdgesFrom[i+1:] {
						if d < '0' || d > '9' {
							break
						}
						bins = bins*10 + int(d-'0')
					}
					if got := QuantileEdges(presentSorted(reference), bins); !slices.Equal(got, c.Edges) {
						t.Errorf("edges %v, want %v", got, c.Edges)
					}
				}
				if got := BinCounts(reference, c.Edges); !slices.Equal(got, c.ReferenceCounts) {
					t.Errorf("reference counts %v, want %v", got, c.ReferenceCounts)
				}
				if got := BinCounts(current, c.Edges); !slices.Equal(got, c.CurrentCounts) {
					t.Errorf("current counts %v, want %v", got, c.CurrentCounts)
				}
				if e.KS != nil {
					d, m, n := KS(reference, current)
					near(t, "KS", d, *e.KS)
					near(t, "KS p", KSP(d, m, n), *e.KSP)
				}
			}
			near(t, "PSI", PSI(c.ReferenceCounts, c.CurrentCounts), *e.Floor)
			near(t, "PSI Jeffreys", PSIJeffreys(c.ReferenceCounts, c.CurrentCounts), *e.Jeffreys)
			near(t, "JS", JS(c.ReferenceCounts, c.CurrentCounts), *e.JS)
		})
	}
}

func TestSectionKVectors(t *testing.T) {
	var file struct {
		Cases []struct {
			Name        string
			Categorical bool
			Values      []float64 `json:"reference_values"`
			Counts      []int     `json:"reference_counts"`
			Edges       []float64
			Shares      []float64
			Names       []string `json:"alternatives"`
			Weights     []float64
			Ratio       [][]float64 `json:"likelihood_ratio"`
			Stream      []float64
			Bins        []int     `json:"bin_index"`
			Statistic   []float64 `json:"statistic"`
			Batches     []float64 `json:"statistic_batches_of_5"`
			Alarm       map[string]*int
			AlarmIndex  map[string]*int `json:"alarm_index"`
			AlarmBatch  map[string]*int `json:"alarm_batch"`
		}
	}
	vectors(t, "section_k_vectors.json", &file)
	if len(file.Cases) != 3 {
		t.Fatalf("%d cases, want 3", len(file.Cases))
	}
	for _, c := range file.Cases {
		t.Run(c.Name, func(t *testing.T) {
			var reference []float64
			for i, v := range c.Values {
				for range c.Counts[i] {
					reference = append(reference, v)
				}
			}
			column := buildColumn(Field{Name: c.Name, Categorical: c.Categorical}, reference)
			if !slices.Equal(column.Edges, c.Edges) {
				t.Fatalf("edges %v, want %v", column.Edges, c.Edges)
			}
			shares := column.Shares()
			for b, want := range c.Shares {
				nearRelative(t, "share", b, shares[b], want)
			}
			a := NewAlternatives(shares)
			if !slices.Equal(a.Names, c.Names) {
				t.Fatalf("alternatives %v, want %v", a.Names, c.Names)
			}
			for j := range c.Ratio {
				near(t, "weight", a.Weights[j], c.Weights[j])
				for b, want := range c.Ratio[j] {
					nearRelative(t, a.Names[j], b, a.Ratio[j][b], want)
				}
			}
			for i, x := range c.Stream {
				if got := column.Bin(x); got != c.Bins[i] {
					t.Errorf("bin of %g = %d, want %d", x, got, c.Bins[i])
				}
			}
			run(t, a, c.Bins, 1, c.Statistic, c.AlarmIndex)
			run(t, a, c.Bins, 5, c.Batches, c.AlarmBatch)
		})
	}
}

// run steps a detector in slots of n events and compares each statistic, and when it first reaches each threshold.
func run(t *testing.T, a *Alternatives, bins []int, n int, want []float64, alarms map[string]*int) {
	t.Helper()
	d := NewESR(len(a.Ratio), math.MaxFloat64)
	first := map[string]int{}
	for slot, chunk := range slices.Collect(slices.Chunk(bins, n)) {
		if len(chunk) < n {
			break
		}
		counts := make([]uint32, len(a.Ratio[0]))
		for _, b := range chunk {
			counts[b]++
		}
		d.Step(a, counts, at)
		got := d.Statistic(a)
		nearRelative(t, "statistic", slot, got, want[slot])
		for name, threshold := range map[string]float64{"1e+04": 1e4, "1e+06": 1e6, "1e+12": 1e12} {
			if _, ok := first[name]; !ok && got >= threshold {
				first[name] = slot
			}
		}
	}
	for name, index := range alarms {
		got, ok := first[name]
		if (index != nil) != ok || ok && got != *index {
			t.Errorf("slots of %d, threshold %s: alarm %v at %d, want %v", n, name, ok, got, index)
		}
	}
}

func TestSequentialVectors(t *testing.T) {
	var file struct {
		Bernoulli struct {
			Errors       []int
			P0           float64
			Alternatives []float64
			R            []float64
			Alarm4       int `json:"alarm_index_1e4"`
			Alarm6       int `json:"alarm_index_1e6"`
		} `json:"bernoulli_esr"`
		Binned struct {
			Ratio   [][]float64 `json:"lr_per_bin"`
			Bins    []int       `json:"bin_index"`
			R       []float64
			Alarm6  int `json:"alarm_index_1e6"`
			Alarm12 int `json:"alarm_index_1e12"`
		} `json:"binned_esr"`
		SPRT struct {
			Correct   []int
			Broken    float64 `json:"p_broken"`
			Recovered float64 `json:"p_recovered"`
			LLR       []float64
			Accept    float64 `json:"accept_recovered_at"`
			Index     int
		} `json:"sprt_recovery"`
	}
	vectors(t, "sequential_vectors.json", &file)
	t.Run("bernoulli", func(t *testing.T) {
		v := file.Bernoulli
		run(t, NewBernoulli(v.P0, v.Alternatives), v.Errors, 1, v.R, map[string]*int{"1e+04": &v.Alarm4, "1e+06": &v.Alarm6})
	})
	t.Run("binned", func(t *testing.T) {
		v := file.Binned
		a := &Alternatives{}
		for _, ratio := range v.Ratio {
			log := make([]float64, len(ratio))
			for b, l := range ratio {
				log[b] = math.Log(l)
			}
			a.Ratio, a.Log = append(a.Ratio, ratio), append(a.Log, log)
			a.Weights = append(a.Weights, 1/float64(len(v.Ratio)))
		}
		run(t, a, v.Bins, 1, v.R, map[string]*int{"1e+06": &v.Alarm6, "1e+12": &v.Alarm12})
	})
	t.Run("sprt", func(t *testing.T) {
		v := file.SPRT
		s := NewSPRT(1-v.Broken, 1-v.Recovered)
		accepted := -1
		for i, correct := range v.Correct {
			s.Step(1, int64(1-correct))
			near(t, "llr", s.LLR, v.LLR[i])
			if accepted < 0 && s.LLR >= v.Accept {
				accepted = i
			}
		}
		if accepted != v.Index {
			t.Errorf("accepted at %d, want %d", accepted, v.Index)
		}
	})
}

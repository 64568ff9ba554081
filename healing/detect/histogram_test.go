package detect

import (
	"math"
	"slices"
	"testing"
	"time"
)

// A histogram has the reference's bins for both sides, sums to one, and moves with the data.
func TestHistograms(t *testing.T) {
	rows := make([][]float64, 1000)
	for i := range rows {
		rows[i] = []float64{float64(i), float64(i % 3)}
	}
	r, err := BuildReference("r", []Field{{Name: "amount"}, {Name: "region", Categorical: true}}, rows)
	if err != nil {
		t.Fatal(err)
	}
	m, err := NewMonitor(DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	if err := m.SetReference(r); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)
	for i := range 600 {
		s := NewSketch(r)
		s.Add([]float64{950, 7})
		s.Add([]float64{math.NaN(), 1})
		now := at.Add(time.Duration(i) * 100 * time.Millisecond)
		m.Step(now, Slot{At: now, OwnBeat: now, StoreBeat: now, Counts: Counts{Sketches: []*Sketch{s}}})
	}
	got := m.Histograms()
	amount, region := got["amount"], got["region"]
	for name, h := range got {
		if len(h.Bins) != len(h.Reference) || len(h.Bins) != len(h.Now) || h.N == 0 {
			t.Fatalf("%s: %+v", name, h)
		}
		for _, shares := range [][]float64{h.Reference, h.Now} {
			sum := 0.0
			for _, v := range shares {
				sum += v
			}
			if math.Abs(sum-1) > 1e-9 {
				t.Errorf("%s: shares sum to %v", name, sum)
			}
		}
	}
	n := len(amount.Bins)
	if amount.Bins[n-1] != "missing" || amount.Now[n-1] != .5 || amount.Reference[n-1] != 0 || amount.Now[n-2] != .5 || amount.Bins[0] != "up to 99.9" {
		t.Errorf("amount: %+v", amount)
	}
	if want := []string{"0", "1", "2", "never seen"}; !slices.Equal(region.Bins, want) || region.Now[3] != .5 || region.Now[1] != .5 {
		t.Errorf("region: %+v", region)
	}
}

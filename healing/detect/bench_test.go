package detect

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// wide returns a reference of n features, a fifth of them categorical, and rows of the same distribution.
func wide(tb testing.TB, n int) (*Reference, [][]float64) {
	tb.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	fields := make([]Field, n)
	for i := range fields {
		fields[i] = Field{Name: fmt.Sprintf("f%02d", i), Categorical: i%5 == 4}
	}
	rows := make([][]float64, 12_000)
	for j := range rows {
		rows[j] = make([]float64, n)
		for i := range rows[j] {
			rows[j][i] = math.Round(r.NormFloat64()*80 + 700)
			if fields[i].Categorical {
				rows[j][i] = float64(r.IntN(6))
			}
		}
	}
	ref, err := BuildReference("wide", fields, rows)
	if err != nil {
		tb.Fatal(err)
	}
	return ref, rows
}

// BenchmarkSketch is the whole of monitoring's work for one decision on the data path: 20 features and a score.
func BenchmarkSketch(b *testing.B) {
	ref, rows := wide(b, 20)
	scores := make([]float64, len(rows))
	r := rand.New(rand.NewPCG(3, 4))
	for i := range scores {
		scores[i] = r.Float64()
	}
	ref.SetScores(1, scores)
	s := NewSketch(ref)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		s.Add(rows[i])
		s.AddScore(1, scores[i])
		if i++; i == len(rows) {
			i = 0
		}
	}
}

// BenchmarkMonitorStep is one slot of 100 ms at 5,000 decisions a second: divide by 500 for the cost a decision.
func BenchmarkMonitorStep(b *testing.B) {
	ref, rows := wide(b, 20)
	m, err := NewMonitor(DefaultConfig())
	if err != nil {
		b.Fatal(err)
	}
	if err := m.SetReference(ref); err != nil {
		b.Fatal(err)
	}
	s := NewSketch(ref)
	for _, row := range rows[:500] {
		s.Add(row)
	}
	now := at
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(100 * time.Millisecond)
		slot := Slot{At: now, OwnBeat: now}
		slot.Sketches = []*Sketch{s}
		m.Step(now, slot)
	}
}

func BenchmarkSignals(b *testing.B) {
	ref, rows := wide(b, 20)
	m, _ := NewMonitor(DefaultConfig())
	if err := m.SetReference(ref); err != nil {
		b.Fatal(err)
	}
	s := NewSketch(ref)
	for _, row := range rows[:500] {
		s.Add(row)
	}
	slot := Slot{At: at, OwnBeat: at}
	slot.Sketches = []*Sketch{s}
	m.Step(at, slot)
	b.ReportAllocs()
	for b.Loop() {
		m.Signals(at)
	}
}

func BenchmarkCheckpoint(b *testing.B) {
	ref, rows := wide(b, 20)
	m, _ := NewMonitor(DefaultConfig())
	if err := m.SetReference(ref); err != nil {
		b.Fatal(err)
	}
	now := at
	for k := range 20 {
		s := NewSketch(ref)
		for _, row := range rows[k*30 : k*30+30] {
			s.Add(row)
		}
		now = now.Add(100 * time.Millisecond)
		slot := Slot{At: now, OwnBeat: now}
		slot.Sketches = []*Sketch{s}
		m.Step(now, slot)
	}
	size := 0
	b.ReportAllocs()
	for b.Loop() {
		raw, err := m.MarshalJSON()
		if err != nil {
			b.Fatal(err)
		}
		size = len(raw)
	}
	b.ReportMetric(float64(size), "bytes")
}

package tally

import (
	"sync"
	"testing"
	"time"

	"aura/healing/detect"
)

func TestCountsOfManyLanesAreTakenOnce(t *testing.T) {
	var c Collector
	if got := c.Take(); got != nil {
		t.Fatalf("nothing was counted, got %+v", got)
	}
	k := detect.Cohort{Accepted: time.Unix(100, 0), Mode: "MODEL", Version: 1}
	var lanes sync.WaitGroup
	for range 8 {
		lanes.Go(func() {
			for range 1000 {
				c.Add(func(counts *detect.Counts) { counts.Outcome(k, true) })
			}
		})
	}
	var sum int64
	done := make(chan struct{})
	go func() { lanes.Wait(); close(done) }()
	for open := true; open; {
		select {
		case <-done:
			open = false
		default:
		}
		if got := c.Take(); got != nil {
			sum += got.Outcomes[0].N
		}
	}
	if sum != 8000 {
		t.Errorf("%d of 8000 outcomes were taken", sum)
	}
}

func TestALanesSketchMayBeUsedAgain(t *testing.T) {
	r, err := detect.BuildReference("r", []detect.Field{{Name: "x"}}, [][]float64{{1}, {2}, {3}, {4}})
	if err != nil {
		t.Fatal(err)
	}
	var c Collector
	lane := detect.NewSketch(r)
	lane.Add([]float64{2})
	if err := c.Merge(lane); err != nil {
		t.Fatal(err)
	}
	lane.Reset()
	lane.Add([]float64{3})
	if err := c.Merge(lane); err != nil {
		t.Fatal(err)
	}
	if got := c.Take().Sketches[0].N; got != 2 {
		t.Errorf("%d rows, want 2", got)
	}
}

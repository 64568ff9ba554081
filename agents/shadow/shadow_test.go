package shadow

import (
	"strconv"
	"testing"
)

func TestTheOldestScoreGoesFirst(t *testing.T) {
	s := New(3)
	for i := range 5 {
		s.Put(strconv.Itoa(i), Score{Probability: float64(i) / 10, Version: 1})
	}
	s.Put("4", Score{Probability: .9, Version: 2}) // again: replaced, not kept twice
	for id, want := range map[string]bool{"0": false, "1": false, "2": true, "3": true, "4": true} {
		if _, ok := s.Get(id); ok != want {
			t.Errorf("score of %s known: %t, want %t", id, ok, want)
		}
	}
	if got, _ := s.Get("4"); got.Version != 2 {
		t.Errorf("4 has version %d, want the newest score's 2", got.Version)
	}
}

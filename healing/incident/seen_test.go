package incident

import (
	"testing"
	"time"
)

// TestWhatWasDetectedStays: a signal that is well again says nothing of what was detected.
func TestWhatWasDetectedStays(t *testing.T) {
	s := opened(t, BusDown, nil).is(Escalated, StatusOpen)
	for range 17 {
		s.wait(time.Second)
		well := s.signal(BusDown, Healthy)
		well.Value = 4e-6
		s.step(Event{Type: EvSignal, Signal: &well})
	}
	s.is(Cancelled, StatusResolved)
	if s.in.Signal.Value != 4e-6 || s.in.Seen == nil || s.in.Seen.Value != 2000 || s.in.Seen.Threshold != 300 {
		t.Errorf("seen %+v, now %v", s.in.Seen, s.in.Signal.Value)
	}
}

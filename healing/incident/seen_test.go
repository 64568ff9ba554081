package incident

import (
	"testing"
	"time"
)

// TestWhatWasDetectedStays: a signal that is well again says nothing of what was detected.
func TestWhatWasDetectedStays(t *testing.T) {
	s := &script{t: t, now: t0}
	bad := s.signal(BusDown, Confirmed)
	bad.Words = "no beat for 1.6 s"
	var err error
	if s.in, _, err = Open(Start{ID: "i1", Signal: bad}, s.now); err != nil {
		t.Fatal(err)
	}
	s.is(Escalated, StatusOpen)
	for range 17 {
		s.wait(time.Second)
		well := s.signal(BusDown, Healthy)
		well.Value, well.Words = 4e-6, "a beat just now"
		s.step(Event{Type: EvSignal, Signal: &well})
	}
	s.is(Cancelled, StatusResolved)
	if s.in.Signal.Value != 4e-6 || s.in.Seen == nil || s.in.Seen.Value != 2000 || s.in.Seen.Threshold != 300 {
		t.Errorf("seen %+v, now %v", s.in.Seen, s.in.Signal.Value)
	}
	if s.in.Seen.N != 100 || s.in.Seen.Words != "no beat for 1.6 s" || s.in.Timeline[1].Text != "signal confirmed: no beat for 1.6 s" {
		t.Errorf("seen %+v, told as %+v", s.in.Seen, s.in.Timeline[1])
	}
}

// TestTheOnsetIsNotAfterTheFirstAlarm: a detector's estimate may change until the alarm is confirmed.
func TestTheOnsetIsNotAfterTheFirstAlarm(t *testing.T) {
	for name, test := range map[string]struct{ estimate, want time.Duration }{
		"earlier": {-4 * time.Second, -4 * time.Second}, "later": {300 * time.Millisecond, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := &script{t: t, now: t0}
			first := s.signal(LatencySLOBreach, Suspect)
			first.OnsetAt = t0
			var err error
			if s.in, _, err = Open(Start{ID: "i1", Signal: first}, s.now); err != nil {
				t.Fatal(err)
			}
			s.wait(time.Second)
			bad := s.signal(LatencySLOBreach, Confirmed)
			bad.OnsetAt = t0.Add(test.estimate)
			s.step(Event{Type: EvSignal, Signal: &bad})
			if got := s.in.OnsetAt.Sub(t0); got != test.want {
				t.Errorf("onset %v after the first alarm, want %v", got, test.want)
			}
		})
	}
}

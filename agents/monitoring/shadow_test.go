package monitoring

import (
	"testing"
	"time"

	"aura/healing/detect"
)

// The model beside safe mode is healthy only where nothing that was tried fails or is held up: answers in time alone show
// what a fault of some events left alone.
func TestShadowCountsWhatDoesNotComeBack(t *testing.T) {
	const slo = 300 * time.Millisecond
	for name, c := range map[string]struct {
		harm func(*detect.Slot)
		want detect.State
	}{
		"all in time":       {func(*detect.Slot) {}, detect.Healthy},
		"some fail":         {func(s *detect.Slot) { s.Attempt("model", "i1", 2, 1) }, detect.Confirmed},
		"others fail":       {func(s *detect.Slot) { s.Attempt("decision", "i1", 2, 1) }, detect.Healthy},
		"one is held up":    {func(s *detect.Slot) { s.Beats = []detect.Beat{{Agent: "model", HandlerAge: 400 * time.Millisecond}} }, detect.Confirmed},
		"one is at work":    {func(s *detect.Slot) { s.Beats = []detect.Beat{{Agent: "model", HandlerAge: 200 * time.Millisecond}} }, detect.Healthy},
		"another is late":   {func(s *detect.Slot) { s.Beats = []detect.Beat{{Agent: "feature", HandlerAge: time.Second}} }, detect.Healthy},
		"none comes at all": {func(s *detect.Slot) { s.Decisions = nil }, detect.Unknown},
	} {
		v := &shadowView{}
		now := time.Unix(1_700_000_000, 0)
		for range 40 {
			now = now.Add(100 * time.Millisecond)
			s := detect.Slot{Desired: detect.Desired{Mode: detect.ModeSafe}}
			s.Decided(detect.Cohort{Accepted: now, Mode: detect.ModeSafe, Shadow: true}, 5*time.Millisecond, slo, false)
			c.harm(&s)
			v.step(now, s, slo)
		}
		if r := v.report(now); r.State != c.want {
			t.Errorf("%s: %s (%s), want %s", name, r.State, r.Reason, c.want)
		}
	}
}

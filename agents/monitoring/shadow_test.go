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

// A service that decides one application in three seconds leaves safe mode as well, only later: eight answers in a row tell
// it, and what fails once is in the way of the eight after it. Silence tells nothing.
func TestShadowOfLittleTraffic(t *testing.T) {
	const slo = 300 * time.Millisecond
	begun := time.Unix(1_700_000_000, 0)
	for name, c := range map[string]struct {
		every      time.Duration // an answer
		late, last time.Duration // the answer that is late, and the last one; 0: none
		first      time.Duration // that it is called healthy
		in         time.Duration // at the end
		want       detect.State
	}{
		"five a second":         {every: 200 * time.Millisecond, first: 1600 * time.Millisecond, in: 10 * time.Second, want: detect.Healthy},
		"two a second":          {every: 500 * time.Millisecond, first: 4 * time.Second, in: 10 * time.Second, want: detect.Healthy},
		"one a second":          {every: time.Second, first: 8 * time.Second, in: 20 * time.Second, want: detect.Healthy},
		"twenty a minute":       {every: 3 * time.Second, first: 24 * time.Second, in: time.Minute, want: detect.Healthy},
		"ten a minute":          {every: 6 * time.Second, in: 5 * time.Minute, want: detect.Unknown},
		"one is late":           {every: 3 * time.Second, late: 6 * time.Second, first: 30 * time.Second, in: time.Minute, want: detect.Healthy},
		"late, and too few yet": {every: 3 * time.Second, late: 6 * time.Second, in: 29 * time.Second, want: detect.Confirmed},
		"silence after many":    {every: 200 * time.Millisecond, last: 4 * time.Second, first: 1600 * time.Millisecond, in: 9 * time.Second, want: detect.Unknown},
		"silence after few":     {every: 3 * time.Second, last: 24 * time.Second, first: 24 * time.Second, in: 31 * time.Second, want: detect.Unknown},
	} {
		v, healthy := &shadowView{}, time.Duration(0)
		for at := 100 * time.Millisecond; at <= c.in; at += 100 * time.Millisecond {
			now := begun.Add(at)
			s := detect.Slot{Desired: detect.Desired{Mode: detect.ModeSafe}}
			if at%c.every == 0 && (c.last == 0 || at <= c.last) {
				took := 5 * time.Millisecond
				if at == c.late {
					took = time.Second
				}
				s.Decided(detect.Cohort{Accepted: now, Mode: detect.ModeSafe, Shadow: true}, took, slo, false)
			}
			v.step(now, s, slo)
			if healthy == 0 && v.report(now).State == detect.Healthy {
				healthy = at
			}
		}
		now := begun.Add(c.in)
		if r := v.report(now); r.State != c.want || healthy < c.first || healthy > c.first+2*time.Second {
			t.Errorf("%s: %s (%s), want %s; healthy after %v, want %v", name, r.State, r.Reason, c.want, healthy, c.first)
		}
		if most := int(shadowLongest/time.Second) + 2; len(v.seconds) > most {
			t.Errorf("%s: %d seconds are kept", name, len(v.seconds))
		}
	}
}

package detect

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// verify steps a verification along the service until it is decided or the limit is over.
func (s *service) verify(v *Verification, limit time.Duration) (Verdict, time.Duration) {
	s.t.Helper()
	from := s.now
	for s.now.Sub(from) < limit {
		slot := s.slot()
		s.m.Step(s.now, slot)
		v.Step(s.now, slot)
		// Its JSON form is its state.
		raw, err := json.Marshal(v)
		if err != nil {
			s.t.Fatal(err)
		}
		var again Verification
		if err := json.Unmarshal(raw, &again); err != nil {
			s.t.Fatal(err)
		}
		*v = again
		v.Heed(s.m.Signals(s.now))
		if r := v.Verdict(s.now); r.Finding != Pending {
			return r, s.now.Sub(from)
		}
	}
	return v.Verdict(s.now), s.now.Sub(from)
}

func newVerification(t *testing.T, k Kind, target string, since time.Time, d Desired, o VerifyOptions) *Verification {
	t.Helper()
	v, err := NewVerification(k, target, since, DefaultConfig(), d, o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVerifyLatency(t *testing.T) {
	s := newService(t, 40, 1000)
	s.run(time.Second)
	v := newVerification(t, LatencyBreach, TargetService, s.now, s.desired, VerifyOptions{})
	r, took := s.verify(v, 5*time.Second)
	if r.Finding != Cured || r.N < 12 || took > 2*time.Second || r.High > 0.5 {
		t.Errorf("healthy traffic: %+v after %v", r, took)
	}
	s.latency = func(*rand.Rand) time.Duration { return time.Second }
	v = newVerification(t, LatencyBreach, TargetService, s.now, s.desired, VerifyOptions{})
	if r, took = s.verify(v, 5*time.Second); r.Finding != Broken || took > 3*time.Second {
		t.Errorf("still slow: %+v after %v", r, took)
	}
	// A relapse within the dwell is no cure.
	s.latency = func(*rand.Rand) time.Duration { return time.Millisecond }
	v = newVerification(t, LatencyBreach, TargetService, s.now, s.desired, VerifyOptions{Dwell: 3 * time.Second})
	if r, _ = s.verify(v, time.Second); r.Finding != Pending {
		t.Errorf("before the dwell is over: %+v", r)
	}
	s.latency = func(*rand.Rand) time.Duration { return time.Second }
	if r, _ = s.verify(v, 5*time.Second); r.Finding != Broken {
		t.Errorf("relapsed within the dwell: %+v", r)
	}
}

// TestAStallIsOneEvent: an action is not found to have failed by samples that one stall made late, however many they are; by
// those of seconds it is, and soon, however few they are.
func TestAStallIsOneEvent(t *testing.T) {
	type second struct{ n, bad int64 }
	fine := second{50, 0}
	for name, c := range map[string]struct {
		seconds []second // the first after the action
		repeat  second   // those after them
		want    Finding
		after   int // in the seconds from the action on, at the latest
	}{
		"a stall of half a second at once": {[]second{{9, 6}}, fine, Cured, 4},
		"a stall that makes 40 late":       {[]second{{50, 40}}, fine, Cured, 8},
		"a stall after a good second":      {[]second{{4, 0}, {50, 30}}, fine, Cured, 8},
		"two stalls apart":                 {[]second{{50, 25}, fine, {50, 25}}, fine, Cured, 12},
		"the usual bad one meanwhile":      {[]second{{50, 40}, {50, 1}, {50, 1}}, second{50, 1}, Cured, 8},
		"still late":                       {nil, second{50, 50}, Broken, 3},
		"half of them late":                {nil, second{50, 25}, Broken, 3},
		"still late at five a second":      {nil, second{5, 5}, Broken, 3},
		"still late at one a second":       {nil, second{1, 1}, Broken, 4},
		"late again within the dwell":      {[]second{fine}, second{50, 50}, Broken, 4},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
			v := newVerification(t, LatencyBreach, TargetService, now, Desired{}, VerifyOptions{Dwell: 2 * time.Second})
			const slots = 10
			for i := range c.after * slots {
				s := c.repeat
				if i/slots < len(c.seconds) {
					s = c.seconds[i/slots]
				}
				k := int64(i % slots)
				n, bad := s.n*(k+1)/slots-s.n*k/slots, s.bad*(k+1)/slots-s.bad*k/slots
				slot := Slot{}
				for j := range n {
					took := time.Millisecond
					if j < bad {
						took = time.Second
					}
					slot.Decided(Cohort{Accepted: now}, took, 300*time.Millisecond, false)
				}
				now = now.Add(time.Second / slots)
				v.Step(now, slot)
				if r := v.Verdict(now); r.Finding != Pending {
					if r.Finding != c.want {
						t.Errorf("after %d slots: %+v", i+1, r)
					}
					return
				}
			}
			t.Errorf("undecided: %+v", v.Verdict(now))
		})
	}
}

// TestVerifyNeedsDataFromAfterTheAction: neither silence nor what was accepted before the action is success.
func TestVerifyNeedsDataFromAfterTheAction(t *testing.T) {
	s := newService(t, 41, 1000)
	s.run(time.Second)
	old := s.now.Add(-time.Second)
	s.touch = func(slot *Slot, _ time.Time) {
		for i := range slot.Decisions {
			slot.Decisions[i].Accepted = old
		}
		slot.Decided(Cohort{Mode: "MODEL", Version: 1}, time.Millisecond, 300*time.Millisecond, false) // unknown acceptance
		for i := range slot.Outcomes {
			slot.Outcomes[i].Accepted = old
		}
	}
	for _, k := range []Kind{LatencyBreach, PerfDrop} {
		v := newVerification(t, k, "", s.now, s.desired, VerifyOptions{})
		if r, _ := s.verify(v, 20*time.Second); r.Finding != Pending || r.N != 0 {
			t.Errorf("%s on old data: %+v", k, r)
		}
	}
	s.touch, s.perSlot, s.labels = nil, 0, 0
	v := newVerification(t, LatencyBreach, TargetService, s.now, s.desired, VerifyOptions{})
	if r, _ := s.verify(v, time.Minute); r.Finding != Pending {
		t.Errorf("silence: %+v", r)
	}
	// Traffic that stops within the dwell doesn't let it pass either.
	s.perSlot = 20
	v = newVerification(t, LatencyBreach, TargetService, s.now, s.desired, VerifyOptions{})
	s.verify(v, step)
	if v.CuredAt.IsZero() {
		t.Fatal("20 fast ones don't decide")
	}
	s.perSlot = 0
	if r, _ := s.verify(v, time.Minute); r.Finding != Pending {
		t.Errorf("silence in the dwell: %+v", r)
	}
}

func TestVerifyAccuracy(t *testing.T) {
	for _, c := range []struct {
		accuracy float64
		want     Finding
	}{{0.92, Cured}, {0.6, Broken}, {0.75, Broken}} {
		right, longest := 0, time.Duration(0)
		for seed := range uint64(10) {
			s := newService(t, 50+seed, 1000)
			s.accuracy = c.accuracy
			v := newVerification(t, PerfDrop, TargetModel, s.now, s.desired, VerifyOptions{Version: 1})
			r, took := s.verify(v, 60*time.Second)
			if r.Finding == c.want {
				right++
			}
			longest = max(longest, took)
		}
		t.Logf("accuracy %g: %s in %d of 10, at most after %v", c.accuracy, c.want, right, longest)
		if right < 10 {
			t.Errorf("accuracy %g: %s in %d of 10", c.accuracy, c.want, right)
		}
	}
	s := newService(t, 60, 1000)
	v := newVerification(t, PerfDrop, TargetModel, s.now, s.desired, VerifyOptions{Version: 2})
	if r, _ := s.verify(v, 20*time.Second); r.N != 0 {
		t.Errorf("outcomes of another version count: %+v", r)
	}
}

func TestVerifyAgent(t *testing.T) {
	s := newService(t, 61, 1000)
	s.run(time.Second)
	s.life = 2
	v := newVerification(t, AgentDown, "model", s.now, s.desired, VerifyOptions{Incarnation: 2})
	if r, _ := s.verify(v, 3*time.Second); r.Finding != Pending {
		t.Errorf("the old life beats: %+v", r)
	}
	s.life = 3
	if r, took := s.verify(v, 3*time.Second); r.Finding != Cured || took > 1500*time.Millisecond {
		t.Errorf("the new life works: %+v after %v", r, took)
	}
	// Alive but stuck is no cure, failing neither.
	s.change(func(b *Beat) bool { b.Watermark = 5; return true })
	v = newVerification(t, AgentDown, "model", s.now, s.desired, VerifyOptions{})
	if r, _ := s.verify(v, 10*time.Second); r.Finding != Pending {
		t.Errorf("stuck: %+v", r)
	}
	s = newService(t, 62, 1000)
	s.touch = func(slot *Slot, _ time.Time) { slot.Attempt("model", "i1", 5, 5) }
	v = newVerification(t, AgentDown, "model", s.now, s.desired, VerifyOptions{})
	if r, _ := s.verify(v, 10*time.Second); r.Finding != Broken {
		t.Errorf("failing: %+v", r)
	}
	// Beats with gaps are not on time.
	s = newService(t, 63, 1000)
	n := 0
	s.change(func(*Beat) bool { n++; return n%8 == 0 })
	v = newVerification(t, AgentDown, "model", s.now, s.desired, VerifyOptions{})
	if r, _ := s.verify(v, 10*time.Second); r.Finding != Pending {
		t.Errorf("a beat every 800 ms: %+v", r)
	}
}

// TestVerifyANewLifeThatDies: a restart that ends in another crash or hang has failed at once, also where the verification
// begins after the notice of it. The death that was restarted, one from before the restart, or another agent's, says nothing.
func TestVerifyANewLifeThatDies(t *testing.T) {
	die := func(s *service, agent, state string) {
		beats := s.beats
		s.beats = func(now time.Time) []Beat {
			all := beats(now)
			for i := range all {
				if all[i].Agent == agent {
					all[i].State, all[i].Cause = state, "no forest"
				}
			}
			return all
		}
	}
	for name, c := range map[string]struct {
		before  int64 // the life that is dead before the restart
		agent   string
		state   string
		late    bool // the verification begins after the notice
		want    Finding
		because string
	}{
		"crash":                {1, "model", AgentCrashed, false, Broken, "its new life crashed again: no forest"},
		"crash, heard before":  {1, "model", AgentCrashed, true, Broken, "its new life crashed again: no forest"},
		"hang":                 {1, "model", AgentHung, false, Broken, "its new life hung again: no forest"},
		"quarantine":           {1, "model", AgentQuarantined, true, Broken, "its new life ended in quarantine: no forest"},
		"another agent":        {1, "feature", AgentCrashed, false, Cured, ""},
		"a life died before":   {2, "model", AgentRunning, false, Cured, ""},
		"its first life alone": {1, "model", AgentRunning, false, Cured, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t, 61, 1000)
			beats := s.beats
			s.life = c.before
			die(s, "model", AgentCrashed)
			s.run(time.Second)
			restarted := s.now
			s.beats, s.life = beats, c.before+1
			die(s, c.agent, c.state)
			if c.late {
				s.run(step)
			}
			v := newVerification(t, AgentDown, "model", restarted, s.desired, VerifyOptions{Incarnation: 1})
			r, took := s.verify(v, 3*time.Second)
			if r.Finding != c.want || c.because != "" && (r.Reason != c.because || took > step) {
				t.Errorf("%+v after %v", r, took)
			}
		})
	}
}

func TestVerifyShadow(t *testing.T) {
	s := newService(t, 64, 1000)
	s.desired.Mode, s.perSlot, s.labels = ModeSafe, 5, 0
	latency := 10 * time.Millisecond
	s.touch = func(slot *Slot, now time.Time) {
		if now.UnixMilli()%200 == 0 {
			slot.Decided(Cohort{Accepted: now, Mode: ModeSafe, Version: 1, Shadow: true}, latency, 300*time.Millisecond, false)
		}
	}
	v := newVerification(t, LatencyBreach, "model", s.now, s.desired, VerifyOptions{Shadow: true})
	if r, took := s.verify(v, 15*time.Second); r.Finding != Cured || took > 6*time.Second {
		t.Errorf("the trickle is fast: %+v after %v", r, took)
	}
	latency = 2 * time.Second
	v = newVerification(t, LatencyBreach, "model", s.now, s.desired, VerifyOptions{Shadow: true})
	if r, _ := s.verify(v, 15*time.Second); r.Finding != Broken {
		t.Errorf("the trickle is slow: %+v", r)
	}
	s.want(LatencyBreach, TargetService, Healthy) // shadows don't count for the service
}

func TestVerifyDrift(t *testing.T) {
	s := newService(t, 65, 12_000)
	drifted := func(r *rand.Rand) []float64 { v := normalRow(r); v[0] = max(v[0]-150, 300); return v }
	s.row = drifted
	var rows [][]float64
	for range 1000 {
		rows = append(rows, drifted(s.r))
	}
	adopted, err := BuildReference("ref-2", serviceFields, rows)
	if err != nil {
		t.Fatal(err)
	}
	rule := DefaultConfig().Drift
	check := func(r *Reference) Verdict {
		c := NewDriftCheck(r, s.now)
		s.ref = r
		for range 99 {
			if err := c.Step(s.now, s.slot()); err != nil {
				t.Fatal(err)
			}
		}
		if v := c.Verdict(s.now, r, rule, 1, "credit_score", nil); v.Finding != Pending {
			t.Errorf("decided on %d rows: %+v", c.Sketch.N, v)
		}
		for range 2 {
			if err := c.Step(s.now, s.slot()); err != nil {
				t.Fatal(err)
			}
		}
		return c.Verdict(s.now, r, rule, 1, "credit_score", nil)
	}
	if v := check(s.ref); v.Finding != Broken || v.Value < 1 {
		t.Errorf("against the old reference: %+v", v)
	}
	old := s.m.Reference()
	if v := check(adopted); v.Finding != Cured || v.Value >= 0.1 {
		t.Errorf("against the new reference: %+v", v)
	}
	// The return to the kept one is recognised by it.
	rows = rows[:0]
	for range 500 {
		rows = append(rows, normalRow(s.r))
	}
	if ok, worst := old.Matches(rows, 500, 0.1); !ok {
		t.Errorf("the old population isn't recognised: %+v", worst)
	}
	if ok, worst := adopted.Matches(rows, 500, 0.1); ok {
		t.Errorf("the old population passes for the new one: %+v", worst)
	}
	if ok, _ := old.Matches(rows[:499], 500, 0.1); ok {
		t.Error("499 rows suffice")
	}
}

func TestVerificationRefusesWhatItCannotTest(t *testing.T) {
	if _, err := NewVerification(DataDrift, "income", at, DefaultConfig(), Desired{}, VerifyOptions{}); err == nil {
		t.Error("drift by rates")
	}
	if _, err := NewVerification(LatencyBreach, "", at, DefaultConfig(), Desired{}, VerifyOptions{Broken: 0.1, Healthy: 0.2}); err == nil {
		t.Error("healthier than healthy")
	}
}

// TestSPRTErrors: a broken service is called healthy, and a healthy one broken, at most as often as asked.
func TestSPRTErrors(t *testing.T) {
	const runs = 20_000
	wrong := func(rate float64, bad func(s *SPRT) bool) int {
		n := 0
		for run := range runs {
			r := rand.New(rand.NewPCG(uint64(run), 17))
			s := NewSPRT(0.25, 0.08)
			for !s.Accepts(0.01) && !s.Rejects(0.01) {
				k := int64(0)
				if r.Float64() < rate {
					k = 1
				}
				s.Step(1, k)
			}
			if bad(&s) {
				n++
			}
		}
		return n
	}
	limit := int(0.01*runs + 3*math.Sqrt(0.01*runs))
	if n := wrong(0.25, func(s *SPRT) bool { return s.Accepts(0.01) }); n > limit || n == 0 {
		t.Errorf("broken called healthy in %d of %d, at most %d", n, runs, limit)
	}
	if n := wrong(0.08, func(s *SPRT) bool { return s.Rejects(0.01) }); n > limit || n == 0 {
		t.Errorf("healthy called broken in %d of %d, at most %d", n, runs, limit)
	}
}

package detect

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func TestHealthyServiceIsQuiet(t *testing.T) {
	s := newService(t, 1, 12_000)
	for range 600 {
		s.run(step)
		s.quiet()
	}
	for _, g := range s.m.Signals(s.now) {
		if g.State != Healthy {
			t.Errorf("%s is %s after a minute of healthy traffic: %+v", g.Fingerprint(), g.State, g)
		}
	}
}

func TestNoTrafficIsUnknownNeverHealthy(t *testing.T) {
	s := newService(t, 2, 12_000)
	s.run(time.Minute)
	s.perSlot, s.labels = 0, 0
	s.run(5 * time.Minute)
	s.want(LatencyBreach, TargetService, Unknown)
	s.want(DataDrift, "income", Unknown)
	s.want(DataDrift, TargetScore, Unknown)
	s.want(AgentDown, "model", Healthy)
	s.run(6 * time.Minute)
	s.want(PerfDrop, TargetModel, Unknown)
}

func TestLatencySpike(t *testing.T) {
	for _, delay := range []time.Duration{400 * time.Millisecond, 2 * time.Second, 10 * time.Second} {
		s := newService(t, 3, 12_000)
		s.run(10 * time.Second)
		s.want(LatencyBreach, TargetService, Healthy)
		// In flight: slow at once, at the SLO; the decision itself comes later and isn't counted again.
		onset := s.now
		s.perSlot = 0
		s.touch = func(slot *Slot, now time.Time) {
			k := Cohort{Accepted: now.Add(-300 * time.Millisecond), Mode: "MODEL", Version: 1}
			if !k.Accepted.Before(onset) {
				for range 5 {
					slot.Overtime(k)
				}
			}
			k.Accepted = now.Add(-delay)
			if !k.Accepted.Before(onset) {
				for range 5 {
					slot.Decided(k, delay, 300*time.Millisecond, true)
				}
			}
		}
		suspect := s.until(LatencyBreach, TargetService, Suspect, 3*time.Second)
		confirmed := suspect + s.until(LatencyBreach, TargetService, Confirmed, 3*time.Second)
		t.Logf("delay %v: suspect after %v, confirmed after %v", delay, suspect, confirmed)
		if confirmed > 2*time.Second {
			t.Errorf("delay %v: confirmed after %v, want at most 2 s", delay, confirmed)
		}
		if g := s.signal(LatencyBreach, TargetService); g.Value <= 300 || g.Threshold != 300 {
			t.Errorf("value %v, threshold %v", g.Value, g.Threshold)
		}
		s.touch, s.perSlot = nil, 5
		if back := s.until(LatencyBreach, TargetService, Healthy, 5*time.Second); back > 3*time.Second {
			t.Errorf("healthy again after %v", back)
		}
	}
}

// TestLatencyStall: a stall shorter than the dwell is never confirmed, nor is a share of slow ones below a half.
func TestLatencyStall(t *testing.T) {
	s := newService(t, 4, 12_000)
	s.run(5 * time.Second)
	for range 20 {
		s.perSlot, s.overdue = 0, 30 // 600 ms without a decision
		for range 6 {
			s.run(step)
			if s.signal(LatencyBreach, TargetService).State == Confirmed {
				t.Fatal("confirmed within a stall")
			}
		}
		s.perSlot, s.overdue = 5, 0
		s.run(4 * time.Second)
	}
	s.latency = func(r *rand.Rand) time.Duration {
		if r.Float64() < 0.2 {
			return time.Second
		}
		return time.Millisecond
	}
	for range 100 {
		s.run(step)
		if s.signal(LatencyBreach, TargetService).State == Confirmed {
			t.Fatal("confirmed with a fifth slow: the median is fast")
		}
	}
}

func TestLatencyWaitsForSlowOrHung(t *testing.T) {
	s := newService(t, 5, 12_000)
	s.run(10 * time.Second)
	beats := s.beats
	onset := s.now
	s.perSlot = 0
	s.touch = func(slot *Slot, now time.Time) {
		k := Cohort{Accepted: now.Add(-300 * time.Millisecond), Mode: "MODEL", Version: 1}
		if !k.Accepted.Before(onset) {
			for range 5 {
				slot.Overtime(k)
				s.overdue++
			}
		}
		slot.Overdue = s.overdue
	}
	s.beats = func(now time.Time) []Beat {
		all := beats(now)
		for i := range all {
			if all[i].Agent == "model" {
				all[i].HandlerAge, all[i].Deadline = now.Sub(onset), time.Second
			}
		}
		return all
	}
	s.run(1900 * time.Millisecond)
	if g := s.signal(LatencyBreach, TargetService); g.State != Suspect || g.Evidence["held"] == nil {
		t.Fatalf("while the handler is past its deadline: %+v", g)
	}
	held := s.beats
	s.beats = func(now time.Time) []Beat {
		all := held(now)
		for i := range all {
			if all[i].Agent == "model" {
				all[i].State, all[i].Cause = AgentHung, "handler did not return"
			}
		}
		return all
	}
	s.run(step)
	s.want(AgentDown, "model", Confirmed)
	causes := Rank(s.m.Signals(s.now), Scene{Now: s.now, Mode: "MODEL", Path: DefaultPath})
	if causes[0].Signal.Kind != AgentDown || causes[0].Of != "" {
		t.Fatalf("first cause %+v", causes[0])
	}
	for _, c := range causes[1:] {
		if c.Of != "AGENT_DOWN:model" {
			t.Errorf("%s is a cause of its own: %s", c.Signal.Fingerprint(), c.Reason)
		}
	}
}

func TestPerfDrop(t *testing.T) {
	for _, to := range []float64{0.6, 0.7} {
		s := newService(t, 6, 12_000)
		s.run(20 * time.Second)
		s.want(PerfDrop, TargetModel, Healthy)
		s.accuracy = to
		took := s.until(PerfDrop, TargetModel, Confirmed, 15*time.Second)
		t.Logf("accuracy .92 -> %g at 50 labels a second: confirmed after %v", to, took)
		if took > 8*time.Second {
			t.Errorf("accuracy %g confirmed after %v", to, took)
		}
		s.accuracy = 0.92
		s.until(PerfDrop, TargetModel, Healthy, 60*time.Second)
	}
}

// TestPerfFloorOfHardData: a model validated at .76 is no incident at .76, and one at .60 is.
func TestPerfFloorOfHardData(t *testing.T) {
	s := newService(t, 7, 12_000)
	s.desired.Validated, s.desired.ValidatedN, s.accuracy = 0.76, 300, 0.76
	for range 100 {
		s.run(time.Second)
		s.quiet()
	}
	if g := s.signal(PerfDrop, TargetModel); math.Abs(g.Threshold-0.71) > 1e-9 {
		t.Errorf("floor %g, want 0.71", g.Threshold)
	}
	s.accuracy = 0.60
	s.until(PerfDrop, TargetModel, Confirmed, 60*time.Second)
}

func TestPerfInSafeMode(t *testing.T) {
	s := newService(t, 8, 12_000)
	s.run(20 * time.Second)
	s.desired.Mode = ModeSafe
	s.run(step)
	s.want(PerfDrop, TargetModel, Unknown)
	// Rules that decide badly say nothing of the model.
	s.accuracy = 0.3
	s.run(30 * time.Second)
	s.want(PerfDrop, TargetModel, Unknown)
	s.want(DataDrift, TargetScore, Unknown)
	s.shadow, s.accuracy = true, 0.92
	s.until(PerfDrop, TargetModel, Healthy, 20*time.Second)
	s.accuracy = 0.5
	s.until(PerfDrop, TargetModel, Confirmed, 20*time.Second)
}

func TestAnotherChampionStartsAnew(t *testing.T) {
	s := newService(t, 9, 12_000)
	s.run(20 * time.Second)
	s.accuracy = 0.6
	s.until(PerfDrop, TargetModel, Confirmed, 15*time.Second)
	s.desired.Champion = 2
	s.run(step)
	s.want(PerfDrop, TargetModel, Unknown)
	// Late outcomes of the old champion don't count.
	s.touch = func(slot *Slot, now time.Time) {
		slot.Outcomes = []Outcomes{{Cohort{now.Add(-time.Minute), "MODEL", 1, false}, 50, 10}}
	}
	s.run(20 * time.Second)
	s.want(PerfDrop, TargetModel, Unknown)
}

func TestDrift(t *testing.T) {
	s := newService(t, 10, 12_000)
	s.run(30 * time.Second)
	s.quiet()
	s.row = func(r *rand.Rand) []float64 {
		v := normalRow(r)
		v[0] = min(max(math.Round(r.NormFloat64()*80+550), 300), 850)
		return v
	}
	onset := s.now
	suspect := s.until(DataDrift, "credit_score", Suspect, 5*time.Second)
	took := suspect + s.until(DataDrift, "credit_score", Confirmed, 20*time.Second)
	t.Logf("700 -> 550 at 50 a second: suspect after %v, confirmed after %v", suspect, took)
	if suspect > time.Second || took > 8*time.Second {
		t.Errorf("suspect after %v, confirmed after %v", suspect, took)
	}
	g := s.signal(DataDrift, "credit_score")
	if off := g.Onset.Sub(onset).Abs(); off > 500*time.Millisecond {
		t.Errorf("onset estimated %v off", off)
	}
	if g.Bug != nil {
		t.Errorf("a drifted population is called a data bug: %v", g.Bug)
	}
	s.want(DataDrift, "income", Healthy)
	// Hysteresis: back to the old population, it clears once PSI is below 0.1 and the detector has come down.
	s.row = normalRow
	back := s.until(DataDrift, "credit_score", Healthy, 60*time.Second)
	t.Logf("healthy again after %v", back)
	if g := s.signal(DataDrift, "credit_score"); g.Evidence["psi_corrected"].(float64) >= 0.1 || g.Recovered.IsZero() {
		t.Errorf("cleared at PSI %g measured, recovered %v", g.Value, g.Recovered)
	}
}

// TestDriftHysteresis: between clear and confirm the state stays what it was.
func TestDriftHysteresis(t *testing.T) {
	rule := DefaultConfig().Drift
	steps := []struct {
		lower, corrected float64
		n                int64
		alarmed, checked bool
		want             State
	}{
		{0.00, 0.01, 499, false, true, Unknown},
		{0.00, 0.01, 500, false, true, Healthy},
		{0.15, 0.18, 500, false, true, Healthy},
		{0.15, 0.18, 500, true, true, Suspect},
		{0.30, 0.35, 499, true, true, Suspect},
		{0.30, 0.35, 500, true, false, Suspect}, // data bugs were not looked for yet
		{0.30, 0.35, 500, true, true, Confirmed},
		{0.15, 0.18, 500, true, true, Confirmed},
		{0.05, 0.11, 500, false, true, Confirmed},
		{0.02, 0.09, 500, true, true, Suspect},
		{0.02, 0.09, 500, false, true, Healthy},
		{0.15, 0.18, 500, false, true, Healthy},
	}
	d := &drift{Last: at}
	for i, c := range steps {
		d.PSI = PSIEstimate{Value: c.corrected, Corrected: c.corrected, Lower: c.lower, N: c.n}
		d.Alarmed = c.alarmed
		d.judge(at, rule, c.checked)
		if d.State != c.want {
			t.Errorf("step %d: %s, want %s", i, d.State, c.want)
		}
	}
	d.judge(at.Add(rule.Stale+1), rule, true)
	if d.State != Unknown {
		t.Errorf("without data: %s", d.State)
	}
}

func TestScoreDriftFollowsFeature(t *testing.T) {
	s := newService(t, 11, 12_000)
	s.run(30 * time.Second)
	s.row = func(r *rand.Rand) []float64 { v := normalRow(r); v[2] *= 0.5; v[3] *= 1.7; return v }
	s.score = func(r *rand.Rand) float64 { return math.Sqrt(r.Float64()) }
	s.run(20 * time.Second)
	causes := Rank(s.m.Signals(s.now), Scene{Now: s.now, Mode: "MODEL", Path: DefaultPath})
	own := 0
	for _, c := range causes {
		if c.Of == "" {
			own++
		}
	}
	if own != 1 || len(causes) < 3 || causes[0].Signal.State != Confirmed {
		t.Errorf("%d causes of %d signals: %+v", own, len(causes), causes)
	}
}

func TestSmallReferenceIsWarming(t *testing.T) {
	s := newService(t, 12, 2_000)
	s.run(20 * time.Second)
	s.want(DataDrift, "income", Warming)
	s.row = func(r *rand.Rand) []float64 { v := normalRow(r); v[2] *= 2.5; return v }
	// The rule still works.
	s.until(DataDrift, "income", Confirmed, 20*time.Second)
}

func TestMissingAndUnseenValues(t *testing.T) {
	s := newService(t, 13, 12_000)
	s.run(20 * time.Second)
	s.row = func(r *rand.Rand) []float64 {
		v := normalRow(r)
		if r.Float64() < 0.3 {
			v[1] = math.NaN()
		}
		if r.Float64() < 0.3 {
			v[4] = 9
		}
		return v
	}
	s.until(DataDrift, "debt_ratio", Confirmed, 20*time.Second)
	if g := s.signal(DataDrift, "debt_ratio"); g.Bug == nil || g.Bug.Kind != BugMissing {
		t.Errorf("missing values aren't named: %+v", g)
	}
	s.until(DataDrift, "purpose", Confirmed, 20*time.Second)
	// A column that is missing altogether.
	s = newService(t, 14, 12_000)
	s.run(20 * time.Second)
	s.row = func(r *rand.Rand) []float64 { v := normalRow(r); v[1] = math.NaN(); return v }
	s.until(DataDrift, "debt_ratio", Confirmed, 20*time.Second)
	s.run(20 * time.Second)
	s.want(DataDrift, "debt_ratio", Confirmed)
}

// TestRestart: after a verified healing old data says nothing, and a healing that didn't hold is seen.
func TestRestart(t *testing.T) {
	s := newService(t, 16, 12_000)
	s.run(20 * time.Second)
	s.row = func(r *rand.Rand) []float64 { v := normalRow(r); v[0] -= 150; return v }
	s.until(DataDrift, "credit_score", Confirmed, 20*time.Second)
	s.m.Restart(s.now, DataDrift, "credit_score")
	s.m.Restart(s.now, PerfDrop, TargetModel)
	s.m.Restart(s.now, LatencyBreach, TargetService)
	s.run(step)
	if g := s.signal(DataDrift, "credit_score"); g.State == Confirmed || g.N > 5 {
		t.Errorf("old rows still count: %+v", g)
	}
	s.want(PerfDrop, TargetModel, Unknown)
	if took := s.until(DataDrift, "credit_score", Suspect, 5*time.Second); took > 500*time.Millisecond {
		t.Errorf("with a head start the relapse was seen after %v", took)
	}
	s.until(DataDrift, "credit_score", Confirmed, 20*time.Second)
}

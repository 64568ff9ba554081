package detect

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// champion is a model in charge as outcomes show it, 50 a second.
type champion struct {
	r       *rand.Rand
	m       *Monitor
	now     time.Time
	desired Desired
}

func newChampion(t *testing.T, seed uint64, validated float64) *champion {
	t.Helper()
	m, err := NewMonitor(DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	m.threshold = 2.6e11 // as with five features and a score
	c := &champion{r: rand.New(rand.NewPCG(seed, 5)), m: m, now: at, desired: Desired{Mode: "MODEL", Champion: 1, Validated: validated, ValidatedN: 2000}}
	c.step(validated, nil)
	return c
}

// step is a slot of five outcomes.
func (c *champion) step(accuracy float64, v *Verification) {
	c.now = c.now.Add(step)
	s := Slot{At: c.now, Desired: c.desired, OwnBeat: c.now}
	for range 5 {
		s.Outcome(Cohort{Accepted: c.now.Add(time.Second), Mode: "MODEL", Version: c.desired.Champion}, c.r.Float64() < accuracy)
	}
	c.m.Step(c.now, s)
	if v != nil {
		v.Step(c.now, s)
	}
}

// confirm steps until PERF_DROP is confirmed; it returns the outcomes that took, and the incident's sample.
func (c *champion) confirm(t *testing.T, accuracy float64) (outcomes int, was Sample) {
	t.Helper()
	for outcomes = 0; outcomes < 6000; outcomes += 5 {
		c.step(accuracy, nil)
		if c.m.state.Perf.State == Confirmed {
			s := c.m.perfSignal(c.now)
			return outcomes + 5, Sample{s.Evidence[EvidenceOutcomes].(int64), s.Evidence[EvidenceWrong].(int64)}
		}
	}
	t.Fatal("never confirmed")
	return 0, was
}

// verify steps a verification to its end, at most the two minutes that the playbook gives a rollback.
func (c *champion) verify(t *testing.T, accuracy float64, was Sample) (f Finding, outcomes int) {
	t.Helper()
	v, err := NewVerification(PerfDrop, TargetModel, c.now, DefaultConfig(), c.desired, VerifyOptions{Was: was})
	if err != nil {
		t.Fatal(err)
	}
	for ; outcomes < 6000; outcomes += 5 {
		c.step(accuracy, v)
		if v.CuredAt.IsZero() && !v.Fell {
			continue
		}
		if r := v.Verdict(c.now); r.Finding != Pending {
			return r.Finding, outcomes + 5
		}
	}
	return Pending, outcomes
}

func percentile(n []int, p float64) int {
	slices.Sort(n)
	return n[min(int(p*float64(len(n))), len(n)-1)]
}

// TestVerifyPerf simulates what DESIGN §5 asks for, from the first bad outcome of a new champion to the verified rollback,
// and how often a rollback that didn't help, or only half, passes for one that did.
func TestVerifyPerf(t *testing.T) {
	const runs = 100
	for _, c := range []struct {
		validated, bad float64
		most           int // outcomes from the first bad one to the verdict, p95, at 50 a second: 15 or 20 s, less the dwell and 2 s to act
	}{{0.92, 0.60, 600}, {0.92, 0.70, 850}, {0.845, 0.60, 600}, {0.845, 0.62, 650}, {0.845, 0.70, 900}} {
		floor := min(0.8, c.validated-0.05)
		passed := func(accuracy float64) (cured, broken float64, detection, total []int) {
			for seed := range uint64(runs) {
				w := newChampion(t, seed, c.validated)
				w.desired.Champion = 2 // promoted, and bad
				d, was := w.confirm(t, c.bad)
				w.desired.Champion = 1
				f, n := w.verify(t, accuracy, was)
				switch f {
				case Cured:
					cured += 1. / runs
					total = append(total, d+n-5*int(time.Second/step)) // the dwell is no outcome
				case Broken:
					broken += 1. / runs
				}
				detection = append(detection, d)
			}
			return cured, broken, detection, total
		}
		cured, broken, detection, total := passed(c.validated)
		t.Logf("%.3f to %.2f: confirmed after %d outcomes (p95 %d), verified after %d in all (p95 %d); healthy verified in %.1f %%, broken in %.1f %%",
			c.validated, c.bad, percentile(detection, .5), percentile(detection, .95), percentile(total, .5), percentile(total, .95), 100*cured, 100*broken)
		if cured < 0.98 || percentile(total, .95) > c.most {
			t.Errorf("%.3f to %.2f: verified in %.3f, p95 %d outcomes, want %d", c.validated, c.bad, cured, percentile(total, .95), c.most)
		}
		for _, after := range []struct{ accuracy, most float64 }{{c.bad, 0.01}, {(c.bad + floor) / 2, 0.1}, {floor - 0.05, 0.12}, {floor, 0.75}} {
			cured, broken, _, _ := passed(after.accuracy)
			t.Logf("   then at %.3f: verified in %.1f %%, broken in %.1f %%", after.accuracy, 100*cured, 100*broken)
			if limit := after.most + 2*math.Sqrt(after.most*(1-after.most)/runs); cured > limit {
				t.Errorf("%.3f to %.2f, then %.3f: verified in %.3f, want at most %.3f", c.validated, c.bad, after.accuracy, cured, limit)
			}
		}
	}
}

// TestVerifyPerfOfACandidateThatWasFlattered: its hold-out was small, and it is three points less good than it looked there: it
// is above its floor, and no verification may end otherwise.
func TestVerifyPerfOfACandidateThatWasFlattered(t *testing.T) {
	const runs = 40
	healthy, broken := 0, 0
	for seed := range uint64(runs) {
		w := newChampion(t, seed, 0.82)
		switch f, _ := w.verify(t, 0.797, Sample{N: 60, Bad: 17}); f {
		case Cured:
			healthy++
		case Broken:
			broken++
		}
	}
	t.Logf("healthy %d, broken %d of %d", healthy, broken, runs)
	if broken > 1 || healthy < runs*9/10 {
		t.Errorf("healthy %d, broken %d of %d", healthy, broken, runs)
	}
}

// TestHeadStartKeepsItsPromise: P(false alarm within t) <= (head + t) / A at a change of the champion.
func TestHeadStartKeepsItsPromise(t *testing.T) {
	const runs, events, threshold, head = 20_000, 100, 1e4, 100.
	a := NewBernoulli(0.16, RatesAbove(0.16))
	alarms := 0
	for run := range runs {
		r := rand.New(rand.NewPCG(uint64(run), 23))
		d := NewESR(len(a.Ratio), 1e4*threshold)
		d.Restart(head, at)
		for range events {
			c := []uint32{1, 0}
			if r.Float64() < 0.16 {
				c = []uint32{0, 1}
			}
			if d.Step(a, c, at); d.Statistic(a) >= threshold {
				alarms++
				break
			}
		}
	}
	limit := (head + events) / threshold
	t.Logf("%d alarms in %d runs, bound %.0f", alarms, runs, limit*runs)
	if float64(alarms) > limit*runs+3*math.Sqrt(limit*runs) || alarms == 0 {
		t.Errorf("%d alarms in %d runs, bound %.0f", alarms, runs, limit*runs)
	}
}

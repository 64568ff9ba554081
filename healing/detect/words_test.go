package detect

import (
	"encoding/json"
	"math/rand/v2"
	"regexp"
	"testing"
	"time"
)

// TestEachKindSaysWhatWasSeen: what a service's signals say when they are confirmed, here and after their way over the bus.
func TestEachKindSaysWhatWasSeen(t *testing.T) {
	dies := func(state, cause string) func(*service) {
		return func(s *service) { s.change(func(b *Beat) bool { b.State, b.Cause = state, cause; return true }) }
	}
	feature := func(change func(r *rand.Rand, x float64) float64) func(*service) {
		return func(s *service) {
			s.row = func(r *rand.Rand) []float64 { row := normalRow(r); row[2] = change(r, row[2]); return row }
		}
	}
	for name, test := range map[string]struct {
		kind   Kind
		target string
		breaks func(s *service)
		want   string
	}{
		"slow": {LatencyBreach, TargetService, func(s *service) {
			s.latency = func(*rand.Rand) time.Duration { return 2 * time.Second }
		}, `^a median of \d{3,4} ms against 300 ms, \d+ of \d+ decisions late$`},
		"waiting": {
			LatencyBreach, TargetService, func(s *service) { s.perSlot, s.overdue = 0, 40 },
			`^a median of \d{3,5} ms against 300 ms, 40 of \d+ decisions late, 40 not made yet$`,
		},
		"worse": {PerfDrop, TargetModel, func(s *service) { s.accuracy = 0.5 }, `^an accuracy of 0\.[4-8]\d\d against a floor of 0\.800, on \d+ outcomes$`},
		"drift": {
			DataDrift, "income", feature(func(_ *rand.Rand, x float64) float64 { return x + 30_000 }),
			`^a PSI of \d+\.\d{3} against 0\.2, on \d{3,} values of income$`,
		},
		"score": {
			DataDrift, TargetScore, func(s *service) { s.score = func(r *rand.Rand) float64 { return r.Float64() / 4 } },
			`^a PSI of \d+\.\d{3} against 0\.2, on \d{3,} scores of the model$`,
		},
		"unit": {
			DataDrift, "income", feature(func(_ *rand.Rand, x float64) float64 { return x / 1000 }),
			`^a data bug, income: \d+ % of values look divided by 1000: a PSI of \d+\.\d{3} against 0\.2, on \d{3,} values of income$`,
		},
		"stuck": {
			DataDrift, "income", feature(func(*rand.Rand, float64) float64 { return 61_234 }),
			`^a data bug, income: \d+ % of values are stuck at 61234: a PSI of \d+\.\d{3} against 0\.2, on \d{3,} values of income$`,
		},
		"crash":       {AgentDown, "model", dies(AgentCrashed, "panic: no forest"), `^the model agent has crashed: panic: no forest$`},
		"quarantined": {AgentDown, "model", dies(AgentQuarantined, "3 abandoned lives still run"), `^the model agent is quarantined: 3 abandoned lives still run$`},
		"hang": {AgentDown, "model", func(s *service) {
			s.change(func(b *Beat) bool {
				b.State, b.Cause, b.HandlerAge, b.Deadline = AgentHung, "handler did not return (features)", 2400*time.Millisecond, 2*time.Second
				return true
			})
		}, `^the model agent hangs: handler did not return \(features\), since 2\.4 s against a deadline of 2000 ms$`},
		"missing": {AgentDown, "model", func(s *service) { s.change(func(*Beat) bool { return false }) }, `^no beat of the model agent for 1\.6 s against 1\.5 s$`},
		"failing": {AgentDown, "model", func(s *service) {
			s.touch = func(slot *Slot, _ time.Time) { slot.Attempt("model", "i1", 2, 2) }
		}, `^\d+ of \d+ attempts of the model agent failed in 2s, more than 50 %$`},
		"mute": {BusDown, "", func(s *service) { s.mute = true }, `^monitoring doesn't hear its own beat for 1\.6 s against 1\.5 s$`},
		"store": {BusDown, "", func(s *service) {
			last := s.now
			s.store = func(time.Time) time.Time { return last }
		}, `^the store doesn't answer for 3\.1 s against 3 s$`},
		"full": {BusDown, "", func(s *service) {
			last := s.now
			s.store = func(time.Time) time.Time { return last }
			s.touch = func(slot *Slot, _ time.Time) { slot.StoreCode = "disk_full" }
		}, `^the store can't be written \(disk_full\) for 3\.1 s against 3 s$`},
		"paused": {BusDown, "", func(s *service) { s.now = s.now.Add(20 * time.Second) }, `^monitoring itself paused for 20\.1s against \S+s$`},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t, 31, 12_000)
			s.store = func(now time.Time) time.Time { return now }
			s.run(3 * time.Second)
			test.breaks(s)
			s.until(test.kind, test.target, Confirmed, time.Minute)
			g := s.signal(test.kind, test.target)
			raw, err := json.Marshal(g)
			if err != nil {
				t.Fatal(err)
			}
			var back Signal
			if err := json.Unmarshal(raw, &back); err != nil {
				t.Fatal(err)
			}
			for _, got := range []string{g.Words(), back.Words()} {
				if !regexp.MustCompile(test.want).MatchString(got) {
					t.Errorf("%q, want %s", got, test.want)
				}
			}
		})
	}
}

// TestTheCauseOutlivesTheLife: the next life may beat in the very slot of the notice.
func TestTheCauseOutlivesTheLife(t *testing.T) {
	s := newService(t, 32, 1000)
	s.run(time.Second)
	s.touch = func(slot *Slot, now time.Time) {
		dead := Beat{Agent: "model", Instance: "i1", Incarnation: 1, State: AgentCrashed, At: now, Cause: "panic: no forest"}
		next := dead
		next.Incarnation, next.State, next.Cause = 2, AgentRunning, ""
		slot.Beats = append(slot.Beats, dead, next)
	}
	s.run(step)
	if got := s.signal(AgentDown, "model").Words(); got != "the model agent has crashed: panic: no forest" {
		t.Errorf("%q", got)
	}
}

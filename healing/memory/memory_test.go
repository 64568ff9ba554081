package memory

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var t0 = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const kind = "LATENCY_SLO_BREACH"

var ladder = []string{"ENABLE_SAFE_MODE", "RESTART_AGENT", "ROLLBACK_MODEL"}

func outcome(action string, n int, held bool, at time.Time) Outcome {
	return Outcome{Kind: kind, Class: "c", Action: action, ActionID: fmt.Sprintf("%s-%d", action, n), Held: held, Seconds: 3, At: at}
}

func actions(ranking []Position) (out []string) {
	for _, p := range ranking {
		out = append(out, p.Action)
	}
	return out
}

func TestFreshDataGivesTheConfiguredOrder(t *testing.T) {
	r := Rank(ladder, nil, kind, "c", t0)
	if !slices.Equal(actions(r), ladder) || !strings.Contains(Explain(r), "configured order") {
		t.Errorf("%+v", r)
	}
	for _, p := range r {
		if !strings.Contains(p.Reason, "no outcomes yet") {
			t.Errorf("%+v", p)
		}
	}
}

// TestTwentyEqualFaults: the first rung never holds, the second always does, a failed try costs 20 s and a good one 4 s.
func TestTwentyEqualFaults(t *testing.T) {
	var outcomes []Outcome
	var took []float64
	var first []string
	for n := range 20 {
		now := t0.Add(time.Duration(n) * time.Hour)
		seconds := 0.0
		for i, p := range Rank(ladder, outcomes, kind, "c", now) {
			if i == 0 {
				first = append(first, p.Action)
			}
			held := p.Action == "RESTART_AGENT"
			if seconds += 20; held {
				seconds -= 16
			}
			outcomes = append(outcomes, outcome(p.Action, n, held, now))
			if held {
				break
			}
		}
		took = append(took, seconds)
	}
	for n, action := range first {
		if want := map[bool]string{true: "ENABLE_SAFE_MODE", false: "RESTART_AGENT"}[n < 6]; action != want {
			t.Errorf("fault %d starts with %s, want %s", n+1, action, want)
		}
	}
	if a, b := median(took[:10]), median(took[10:]); b >= 0.7*a {
		t.Errorf("median of the first ten %v s, of the second ten %v s", a, b)
	}
	r := Rank(ladder, outcomes, kind, "c", t0.Add(20*time.Hour))
	if why := r[0].Reason; !strings.Contains(why, "moved up from position 2: held") || !strings.Contains(why, "ENABLE_SAFE_MODE held 0 of") {
		t.Errorf("reason %q", why)
	}
	if other := Rank(ladder, outcomes, "PERF_DROP", "c", t0.Add(20*time.Hour)); !slices.Equal(actions(other), ladder) {
		t.Error("another kind learned from it")
	}
	if other := Rank(ladder, outcomes, kind, "d", t0.Add(20*time.Hour)); !slices.Equal(actions(other), ladder) {
		t.Error("another class learned from it")
	}
	if later := Rank(ladder, outcomes, kind, "c", t0.Add(200*24*time.Hour)); !slices.Equal(actions(later), ladder) {
		t.Error("it is remembered for ever")
	}
}

func median(x []float64) float64 {
	s := slices.Clone(x)
	sort.Float64s(s)
	return (s[len(s)/2-1] + s[len(s)/2]) / 2
}

func TestARungMovesOverOneWithoutOutcomes(t *testing.T) {
	var outcomes []Outcome
	for n := range 8 {
		outcomes = append(outcomes, outcome(ladder[0], n, false, t0), outcome(ladder[2], n, true, t0))
	}
	if got := actions(Rank(ladder, outcomes, kind, "", t0)); !slices.Equal(got, []string{ladder[2], ladder[0], ladder[1]}) {
		t.Errorf("%v", got)
	}
}

func TestSelfRecoveryEarnsNoCredit(t *testing.T) {
	var outcomes []Outcome
	for n := range 20 {
		failed := outcome(ladder[0], n, false, t0)
		ended := outcome(ladder[1], n, true, t0)
		ended.SelfRecovered = true
		outcomes = append(outcomes, failed, ended, Outcome{Kind: kind, Class: "c", SelfRecovered: true, At: t0})
	}
	r := Rank(ladder, outcomes, kind, "c", t0)
	if !slices.Equal(actions(r), ladder) || r[1].Tried != 0 {
		t.Errorf("%+v", r)
	}
}

// TestPoison: a thousand hostile records change no set of actions, and twenty honest ones outvote them.
func TestPoison(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	var outcomes []Outcome
	for n := range 1000 {
		bad := outcome(ladder[r.IntN(3)], n, r.IntN(2) == 0, t0.Add(time.Duration(r.IntN(1e6))*time.Second))
		switch r.IntN(6) {
		case 0:
			bad.Action = "DROP_TABLES"
		case 1:
			bad.Seconds = math.NaN()
		case 2:
			bad.ActionID = ""
		case 3:
			bad.Action, bad.Held, bad.At = ladder[2], true, t0.Add(-time.Minute)
		}
		outcomes = append(outcomes, bad)
	}
	got := actions(Rank(ladder, outcomes, kind, "c", t0))
	slices.Sort(got)
	want := slices.Sorted(slices.Values(ladder))
	if !slices.Equal(got, want) {
		t.Fatalf("actions %v", got)
	}
	for n := range MaxOutcomes {
		outcomes = append(outcomes, outcome(ladder[0], 2000+n, true, t0), outcome(ladder[2], 2000+n, false, t0))
	}
	if got := actions(Rank(ladder, outcomes, kind, "c", t0)); got[0] != ladder[0] {
		t.Errorf("after %d honest outcomes: %v", MaxOutcomes, got)
	}
	same := make([]Outcome, 1000)
	for i := range same {
		same[i] = outcome(ladder[2], 1, true, t0)
	}
	if r := Rank(ladder, same, kind, "c", t0); r[2].Tried != 1 {
		t.Errorf("one action counted %v times", r[2].Tried)
	}
}

func TestRankIsAPermutationWhateverTheOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		outcomes := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Outcome {
			o := outcome(rapid.SampledFrom(ladder).Draw(t, "action"), rapid.IntRange(0, 60).Draw(t, "n"), rapid.Bool().Draw(t, "held"),
				t0.Add(-time.Duration(rapid.IntRange(-10, 1e6).Draw(t, "age"))*time.Second))
			o.SelfRecovered = rapid.IntRange(0, 9).Draw(t, "self") == 0
			return o
		}), 0, 120).Draw(t, "outcomes")
		a := Rank(ladder, outcomes, kind, "c", t0)
		b := Rank(ladder, rapid.Permutation(outcomes).Draw(t, "shuffled"), kind, "c", t0)
		for i := range a {
			if a[i] != b[i] {
				t.Fatalf("%+v and %+v", a, b)
			}
			if a[i].Reason == "" || a[i].Lower > a[i].Upper {
				t.Fatalf("%+v", a[i])
			}
		}
		if got := slices.Sorted(slices.Values(actions(a))); !slices.Equal(got, slices.Sorted(slices.Values(ladder))) {
			t.Fatalf("%v", got)
		}
	})
}

package gate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"aura/mlops/dataset"
	"aura/mlops/registry"
	"aura/mlops/schema"
	"aura/mlops/synth"
	"aura/mlops/train"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var epoch = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// population draws labelled rows, 20 ms apart, each outcome known 5 s after.
func population(n int, seed uint64, shifts map[string]synth.Shift, label func(v schema.Vector, bad bool, r *rand.Rand) bool) []LabelledRow {
	g, r := synth.New(seed), rand.New(rand.NewPCG(seed, 9))
	for f, s := range shifts {
		if err := g.Shift(f, s); err != nil {
			panic(err)
		}
	}
	rows := make([]LabelledRow, n)
	for i := range rows {
		v, bad := g.Values(nil)
		if label != nil {
			bad = label(v, bad, r)
		}
		at := epoch.Add(time.Duration(i) * 20 * time.Millisecond)
		rows[i] = LabelledRow{Values: v, Bad: bad, AcceptedAt: at, ObservedAt: at.Add(5 * time.Second)}
	}
	return rows
}

func noise(share float64) func(schema.Vector, bool, *rand.Rand) bool {
	return func(_ schema.Vector, bad bool, r *rand.Rand) bool { return bad != (r.Float64() < share) }
}

// concept is another world: the score counts less, the loan and the job more.
func concept(v schema.Vector, _ bool, r *rand.Rand) bool {
	risk := 0.15*(850-v[0])/550 + 0.15*v[1]/100 + 0.45*min(v[3]/v[2], 3)/3 + 0.25*(1-min(v[4], 40)/40)
	return risk+synth.Noise*r.NormFloat64() > 0.385
}

var score550 = map[string]synth.Shift{"credit_score": {Add: -150}}

// made is the champion of these tests and the rows it was trained on, once for all of them.
var made = sync.OnceValues(func() (*train.Result, []dataset.Row) {
	old := dataset.Synthetic(10_000, 1)
	res, err := train.Fit(context.Background(), schema.Builtin(), old, train.Options{Seed: 1})
	if err != nil {
		panic(err)
	}
	return res, old
})

func champion(t testing.TB) (*registry.Model, []dataset.Row) {
	t.Helper()
	res, old := made()
	return res.Model, old
}

func retrain(t testing.TB, m *registry.Model, rows []LabelledRow, old []dataset.Row, o Options) *Outcome {
	t.Helper()
	out, err := Retrain(t.Context(), schema.Builtin(), m, rows, old, o)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func show(out *Outcome) string {
	raw, err := json.MarshalIndent(out, "", " ")
	return fmt.Sprintf("%s %v", raw, err)
}

func check(t *testing.T, checks []Check, part string) Check {
	t.Helper()
	for _, c := range checks {
		if strings.Contains(c.Name, part) {
			return c
		}
	}
	t.Fatalf("no check %q among %+v", part, checks)
	return Check{}
}

// TestTheChampionIsNotKeptTooSoon: candidates of few rows can't challenge it, and that they don't proves nothing.
func TestTheChampionIsNotKeptTooSoon(t *testing.T) {
	m, old := champion(t)
	o := Options{Seed: 3, Trees: 50}
	sure := 0
	for seed := uint64(0); seed < 8 && sure < 2; seed++ {
		out := retrain(t, m, population(900, seed, nil, nil), old, o)
		v := out.Verdict
		if v.Code != Undecided {
			continue // PROMOTE by luck
		}
		if equal := check(t, v.Checks, "may gain"); equal.OK && check(t, v.Checks, "accuracy of the champion").OK && check(t, v.Checks, "surely gains").OK {
			sure++
			if v.NeedRows != 1000 || !strings.Contains(v.Reason, "900 labelled rows") {
				t.Errorf("%d rows are needed: %s", v.NeedRows, v.Reason)
			}
			out = retrain(t, m, population(900, seed, nil, nil), old, Options{Seed: 3, Trees: 50, Limits: Limits{KeptRows: 900}})
			if out.Verdict.Code != Kept {
				t.Errorf("with as many as are needed: %s", show(out))
			}
		}
	}
	if sure == 0 {
		t.Error("no sample was sure but for its size")
	}
}

// TestFewRowsOfANewWorld may not let a candidate explain it yet. Where one ranks better than the champion, more of them are waited
// for before anybody calls the outcomes wrong.
func TestFewRowsOfANewWorld(t *testing.T) {
	m, old := champion(t)
	o := Options{Seed: 3, Trees: 50}
	few := population(500, 100, nil, concept)
	for _, c := range []struct {
		name string
		rows []LabelledRow
		kept int
		want Code
		need int
	}{
		{"few", few, 0, Undecided, 1000},
		{"as many as tell", few, 500, Labels, 0},
		{"more of the same world", population(1000, 100, nil, concept), 0, Promote, 0},
		{"few that are wrong", population(500, 8, nil, noise(0.4)), 0, Labels, 1000},
		{"many that are wrong", population(1000, 7, nil, noise(0.4)), 0, Labels, 0},
	} {
		o.Limits.KeptRows = c.kept
		if v := retrain(t, m, c.rows, old, o).Verdict; v.Code != c.want || v.NeedRows != c.need {
			t.Errorf("%s: %s, %d rows are needed; want %s, %d: %s", c.name, v.Code, v.NeedRows, c.want, c.need, v.Reason)
		}
	}
}

func TestVerdicts(t *testing.T) {
	m, old := champion(t)
	for _, c := range []struct {
		name string
		rows []LabelledRow
		want Code
	}{
		{"no change", population(1000, 7, nil, nil), Kept},
		{"another population, the champion decides it as well", population(3000, 7, score550, nil), Kept},
		{"another population, the champion decides it worse", population(3000, 7, map[string]synth.Shift{"debt_ratio": {Scale: 1.8}}, nil), Promote},
		{"another world", population(1000, 7, nil, concept), Promote},
		{"40 % of outcomes are wrong", population(1000, 7, nil, noise(0.4)), Labels},
		{"40 % of outcomes are wrong, in another population", population(2000, 7, score550, noise(0.4)), Labels},
		{"20 % of outcomes are wrong", population(1000, 7, nil, noise(0.2)), Labels},
		{"all outcomes are inverted", population(1000, 7, nil, noise(1)), Labels},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := retrain(t, m, c.rows, old, Options{Seed: 3, Trees: 50})
			v := out.Verdict
			if v.Code != c.want || v.Promote != (c.want == Promote) || v.KeepChampion != (c.want == Kept) || v.Reason == "" {
				t.Fatalf("want %s: %s", c.want, show(out))
			}
			if (out.Candidate != nil) != v.Promote {
				t.Errorf("candidate %v with verdict %s", out.Candidate, v.Code)
			}
			if v.Promote && (out.Candidate.Metrics.HoldoutAUC < out.Champion.Holdout.AUC || out.Candidate.Check() != nil) {
				t.Errorf("promoted %+v over %+v", out.Candidate.Metrics, out.Champion.Holdout)
			}
			if len(out.Scores) != 3 || out.Trained.Rows+out.Held.Rows != len(c.rows) || !out.Held.From.After(out.Trained.To) {
				t.Errorf("%d candidates, trained %+v, held %+v", len(out.Scores), out.Trained, out.Held)
			}
			t.Log(v.Code, v.Reason)
		})
	}
}

// What is promoted after a drift must decide the new population as well as a model that knows it: measured on rows that
// nobody has seen, against the best that any model can do.
func TestPromotedModelIsBetterInTruth(t *testing.T) {
	m, old := champion(t)
	out := retrain(t, m, population(2000, 7, nil, concept), old, Options{Seed: 3})
	fresh := population(5000, 99, nil, concept)
	var was, is []float64
	var bad []bool
	for _, row := range fresh {
		x := schema.Builtin().Vector(row.Values)
		was, is, bad = append(was, m.Score(x)), append(is, out.Candidate.Score(x)), append(bad, row.Bad)
	}
	before, after := figures(was, bad), figures(is, bad)
	t.Logf("champion %+v, promoted %+v", before, after)
	if after.AUC < before.AUC+0.06 || after.Accuracy < before.Accuracy+0.06 || after.ECE > 0.06 {
		t.Errorf("champion %+v, promoted %+v", before, after)
	}
}

// moved is a world in which only the rate of defaults is another one: who ranked before whom still does.
func moved(threshold float64) func(schema.Vector, bool, *rand.Rand) bool {
	return func(v schema.Vector, _ bool, r *rand.Rand) bool {
		return synth.Risk(v)+synth.Noise*r.NormFloat64() > threshold
	}
}

// Where only the rate of defaults has changed, the champion ranks as well as ever and decides badly. A candidate of few rows, that
// ranks a little worse and decides far better, isn't held up for it; of those that pass, the one is taken that decides best.
func TestOnlyTheRateOfDefaultsHasChanged(t *testing.T) {
	m, old := champion(t)
	for _, c := range []struct {
		threshold float64
		rows      int
		seed      uint64
	}{{0.25, 1000, 7}, {0.25, 2000, 7}, {0.25, 2000, 8}, {0.30, 5000, 7}, {0.48, 2000, 7}} {
		out := retrain(t, m, population(c.rows, c.seed, nil, moved(c.threshold)), old, Options{Seed: 3, Trees: 40})
		if out.Verdict.Code != Promote {
			t.Errorf("%+v: %s", c, show(out))
			continue
		}
		nearest := 1.0
		for _, s := range out.Scores {
			nearest = min(nearest, s.Holdout.Brier)
		}
		got := out.Candidate.Metrics
		if got.Accuracy < 0.83 || got.Brier > nearest+0.005 {
			t.Errorf("%+v: accuracy %.3f, Brier %.3f (the best %.3f): %s", c, got.Accuracy, got.Brier, nearest, out.Verdict.Reason)
		}
		if !strings.Contains(out.Verdict.Reason, fmt.Sprintf("Brier score %.3f against", got.Brier)) {
			t.Errorf("%s", out.Verdict.Reason)
		}
	}
}

// A worse order is outweighed by better decisions only: by no more than half of what they surely gain, and only where the champion
// fails.
func TestWhatMayBeLostInOrder(t *testing.T) {
	sure := func(v float64) difference { return difference{v, 0.001} }
	for _, c := range []struct {
		champion, candidate float64 // accuracy
		brier, gain         difference
		want                float64
	}{
		{0.61, 0.86, sure(0.2), sure(0.25), 0.05},
		{0.72, 0.80, sure(0.05), sure(0.062), 0.03},
		{0.72, 0.80, sure(0.05), difference{0.062, 0.03}, 0.01},
		{0.72, 0.80, difference{0.05, 0.03}, sure(0.08), 0.01},
		{0.80, 0.88, sure(0.05), sure(0.08), 0.01},
		{0.61, 0.78, sure(0.2), sure(0.17), 0.01},
	} {
		o := &Outcome{Champion: Score{Holdout: Figures{Accuracy: c.champion}}}
		k := &contender{score: Score{Holdout: Figures{Accuracy: c.candidate}}}
		trial := trial{contest: &contest{floor: 0.795, out: o, o: Options{Limits: DefaultLimits()}}, k: k, brier: c.brier, accuracy: c.gain, z: 2}
		if got := trial.margin(); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%+v: %.4f", c, got)
		}
	}
}

// Under a shift of the population the original rows are still true: a candidate that forgets them may not pass. In
// another world they are not, and a sure gain outweighs them.
func TestForgettingBindsWhileTheOldRowsAreTrue(t *testing.T) {
	m, old := champion(t)
	shifted := retrain(t, m, population(2000, 7, score550, nil), old, Options{Seed: 3})
	if c := check(t, shifted.Scores[0].Checks, "forgetting"); c.OK || c.Info != "" || c.Value < 0.03 {
		t.Errorf("window only, after a shift: %+v", c)
	}
	if c := check(t, shifted.Scores[1].Checks, "forgetting"); !c.OK {
		t.Errorf("old+window, after a shift: %+v", c)
	}
	other := retrain(t, m, population(2000, 7, nil, concept), old, Options{Seed: 3})
	if c := check(t, other.Scores[0].Checks, "forgetting"); c.OK || c.Info == "" {
		t.Errorf("window only, in another world: %+v", c)
	}
}

func TestRefusedData(t *testing.T) {
	m, old := champion(t)
	rows := population(1000, 7, nil, nil)
	oneSided := population(3000, 7, nil, nil)
	oneSided = slices.DeleteFunc(oneSided, func(r LabelledRow) bool { return r.Bad })[:1000]
	for i := range 49 {
		oneSided[i*20].Bad = true
	}
	late := population(1000, 7, nil, nil) // the rarer outcome stands before the hold-out only
	for i := 700; i < len(late); i++ {
		late[i].Bad = true
	}
	// From where the feed breaks on nobody defaults, or everybody does.
	broken := func(from int, bad bool) []LabelledRow {
		rows := population(2000, 7, nil, nil)
		for i := from; i < len(rows); i++ {
			rows[i].Bad = bad
		}
		return rows
	}
	leaking := population(1000, 7, nil, nil)
	for i := range leaking {
		if leaking[i].Values[4] = 1; leaking[i].Bad {
			leaking[i].Values[4] = 30
		}
	}
	for name, c := range map[string]struct {
		rows []LabelledRow
		o    Options
		want Code
		say  string
	}{
		"unit error":         {rows, Options{Bugs: []Bug{{"income", "70 % of values look multiplied by 0.001"}}}, BrokenFeed, "income: 70 %"},
		"none":               {nil, Options{}, TooFew, "0 labelled rows"},
		"499 rows":           {rows[:499], Options{}, TooFew, "499 labelled rows"},
		"49 defaults":        {oneSided, Options{}, TooFew, "49 of the rarer outcome"},
		"one-sided hold-out": {late, Options{}, TooFew, "only 0 rows of one outcome"},
		"observed too late":  {rows, Options{Cut: epoch.Add(5*time.Second + 400*20*time.Millisecond)}, TooFew, "400 labelled rows"},
		"nobody defaults":    {broken(0, false), Options{}, Labels, "0 of the newest 2000 outcomes default, where the champion expects 794:"},
		"everybody does":     {broken(0, true), Options{}, Labels, "0 of the newest 2000 outcomes are paid back, where the champion expects 1206:"},
		"nobody any more":    {broken(1000, false), Options{}, Labels, "0 of the newest 600 outcomes default"},
		"rarer, few":         {population(500, 7, nil, moved(0.48)), Options{}, TooFew, "39 of the rarer outcome"}, // a quarter: that may be true
		"nobody, few":        {broken(0, false)[:200], Options{}, TooFew, "0 of the rarer outcome"},
		"leak":               {leaking, Options{}, Leak, "employment_years alone tells"},
	} {
		out := retrain(t, m, c.rows, old, c.o)
		if v := out.Verdict; v.Code != c.want || v.Promote || v.KeepChampion || !strings.Contains(v.Reason, c.say) || out.Candidate != nil || len(out.Scores) != 0 {
			t.Errorf("%s: %s", name, show(out))
		}
	}
	if _, err := Retrain(t.Context(), schema.Builtin(), m, []LabelledRow{{Values: schema.Vector{1}}}, old, Options{}); err == nil {
		t.Error("a row of another schema is accepted")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Retrain(ctx, schema.Builtin(), m, rows, old, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// The hold-out is the newest by acceptance, whatever the order in which rows come, and no candidate has learned from it:
// with outcomes that turn round exactly there, every candidate must be wrong about it.
func TestHoldoutIsNewestAndUnseen(t *testing.T) {
	m, old := champion(t)
	rows := population(1000, 7, nil, nil)
	for i := 700; i < len(rows); i++ {
		rows[i].Bad = !rows[i].Bad
	}
	shuffled := slices.Clone(rows)
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	a, b := retrain(t, m, rows, old, Options{Seed: 3, Trees: 30, Workers: 1}), retrain(t, m, shuffled, old, Options{Seed: 3, Trees: 30, Workers: 3})
	if show(a) != show(b) {
		t.Error("the order of rows or the number of workers changes the outcome")
	}
	for _, s := range a.Scores {
		if s.Holdout.AUC > 0.2 {
			t.Errorf("%s has AUC %.3f on outcomes that turned round in the hold-out: it has seen them", s.Name, s.Holdout.AUC)
		}
	}
	if other := retrain(t, m, rows, old, Options{Seed: 4, Trees: 30}); other.Scores[0].Digest == a.Scores[0].Digest {
		t.Error("another seed gives the same candidates")
	}
}

// Without the champion's sample there is one candidate, and forgetting is said not to be measured.
func TestWithoutOldRows(t *testing.T) {
	m, _ := champion(t)
	out := retrain(t, m, population(3000, 7, nil, concept), nil, Options{Seed: 3})
	if out.Verdict.Code != Promote || len(out.Scores) != 1 || out.Best != "window" {
		t.Errorf("%s", show(out))
	}
	if c := check(t, out.Scores[0].Checks, "forgetting"); !strings.Contains(c.Name, "not measured") {
		t.Errorf("%+v", c)
	}
}

// A champion that is really worse loses to a candidate trained on outcomes.
func TestBadChampionIsReplaced(t *testing.T) {
	old := dataset.Synthetic(4000, 1)
	res, err := train.Worse(t.Context(), schema.Builtin(), old, train.Options{Seed: 1, Trees: 50})
	if err != nil {
		t.Fatal(err)
	}
	out := retrain(t, res.Model, population(2000, 7, nil, nil), old, Options{Seed: 3, Trees: 50})
	if out.Verdict.Code != Promote || out.Champion.Holdout.Accuracy > 0.68 || out.Candidate.Metrics.Accuracy < 0.8 {
		t.Errorf("%s", show(out))
	}
}

func BenchmarkRetrain(b *testing.B) {
	m, old := champion(b)
	rows := population(5000, 7, score550, nil)
	for b.Loop() {
		retrain(b, m, rows, old, Options{Seed: 3, Workers: 1})
	}
}

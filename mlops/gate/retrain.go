package gate

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"aura/mlops/dataset"
	"aura/mlops/forest"
	"aura/mlops/registry"
	"aura/mlops/schema"
	"aura/mlops/train"
)

const (
	minHoldout   = 150
	oldWeight    = 0.1
	goldenShare  = 5 // one old row in this many is golden
	maxGolden    = 4000
	championName = "champion"
	twinName     = "golden twin"
)

// contest is one retraining.
type contest struct {
	schema   *schema.Schema
	champion *registry.Model
	o        Options
	floor    float64

	fit, held   []LabelledRow // by acceptance
	old, golden []dataset.Row
	vectors     []schema.Vector // of held
	bad         []bool          // of held
	goldenX     []schema.Vector
	goldenBad   []bool
	out         *Outcome
}

// contender is a model in the contest with its probabilities on the hold-out and on the golden rows.
type contender struct {
	model     *registry.Model
	p, golden []float64
	gain      difference // AUC over the champion's
	brier     difference // Brier score under the champion's
	score     Score
}

// Retrain fits candidates on the rows whose outcome was observed before the cut and judges them against the champion: window
// only, old + window, and old at a weight of 0.1 + window. old is the champion's training sample, or nil: then there is
// one candidate, and forgetting can't be measured. A refusal to learn is a verdict, not an error; an error means that
// rows don't fit the schema, or ctx has ended.
func Retrain(ctx context.Context, s *schema.Schema, champion *registry.Model, rows []LabelledRow, old []dataset.Row, o Options) (*Outcome, error) {
	c, err := newContest(s, champion, rows, o)
	if err != nil {
		return nil, err
	}
	if !c.admit(rows) {
		return c.out, nil
	}
	if !c.soundFeed(slices.Concat(c.fit, c.held), old) {
		return c.out, nil
	}
	c.divideOld(old)
	c.measureChampion()
	candidates, err := c.candidates(ctx)
	if err != nil {
		return nil, err
	}
	return c.out, c.judge(candidates)
}

func newContest(s *schema.Schema, champion *registry.Model, rows []LabelledRow, o Options) (*contest, error) {
	o.Limits = o.Limits.withDefaults()
	c := &contest{schema: s, champion: champion, o: o, floor: o.Floor, out: &Outcome{}}
	if c.floor == 0 {
		c.floor = 0.80
		if a := champion.Metrics.Accuracy; a > 0 {
			c.floor = min(c.floor, a-0.05)
		}
	}
	for i := range rows {
		if len(rows[i].Values) != len(s.Features) {
			return nil, fmt.Errorf("gate: row %d has %d values, schema %s has %d features", i, len(rows[i].Values), s.Name, len(s.Features))
		}
	}
	c.out.Floor = c.floor
	return c, nil
}

// divideOld keeps some rows of the original population aside.
func (c *contest) divideOld(old []dataset.Row) {
	if len(old) < minHoldout*goldenShare {
		return
	}
	shuffled := slices.Clone(old)
	_ = dataset.Arrange(shuffled, dataset.Shuffle, c.o.Seed) // the order is a known one
	n := min(len(shuffled)/goldenShare, maxGolden)
	c.golden, c.old = shuffled[:n], shuffled[n:]
	for _, row := range c.golden {
		c.goldenX, c.goldenBad = append(c.goldenX, c.schema.Vector(row.Values)), append(c.goldenBad, row.Bad)
	}
}

// measureChampion scores the hold-out with the champion. Of the golden rows it can't be asked: it was trained on them.
func (c *contest) measureChampion() {
	for _, row := range c.held {
		c.vectors = append(c.vectors, c.schema.Vector(row.Values))
		c.bad = append(c.bad, row.Bad)
	}
	c.out.Champion = Score{Name: championName, Digest: c.champion.Digest, Rows: c.champion.Window.Rows, Holdout: figures(c.scores(c.champion, c.vectors), c.bad)}
}

func (c *contest) scores(m *registry.Model, x []schema.Vector) []float64 {
	p := make([]float64, len(x))
	for i := range x {
		p[i] = m.Score(x[i])
	}
	return p
}

// candidates fits them all, and a twin of the champion that has not seen the golden rows: forgetting is measured against
// that one, since in-sample scores of the champion itself would flatter it.
func (c *contest) candidates(ctx context.Context) ([]contender, error) {
	window := make([]dataset.Row, len(c.fit))
	for i, row := range c.fit {
		window[i] = dataset.Row{Values: row.Values, Bad: row.Bad}
	}
	type recipe struct {
		name   string
		old    []dataset.Row
		weight float64
	}
	recipes := []recipe{{name: "window"}}
	if c.old != nil {
		recipes = append(recipes, recipe{"old+window", c.old, 1}, recipe{"old x 0.1 + window", c.old, oldWeight})
		twin, err := c.train(ctx, twinName, c.old, nil)
		if err != nil {
			return nil, err
		}
		c.out.Champion.Golden = figures(twin.golden, c.goldenBad)
	}
	var out []contender
	for _, r := range recipes {
		var weights []float64
		if r.weight != 0 && r.weight != 1 {
			weights = slices.Repeat([]float64{r.weight}, len(r.old))
			weights = append(weights, slices.Repeat([]float64{1}, len(window))...)
		}
		k, err := c.train(ctx, r.name, slices.Concat(r.old, window), weights)
		if err != nil {
			return nil, err
		}
		out = append(out, k)
	}
	return out, nil
}

// train fits one model and measures it.
func (c *contest) train(ctx context.Context, name string, rows []dataset.Row, weights []float64) (contender, error) {
	data, err := train.Matrix(c.schema, rows)
	if err != nil {
		return contender{}, fmt.Errorf("gate: %s: %w", name, err)
	}
	data.Weights = weights
	f, err := forest.Train(ctx, data, forest.Params{Trees: c.o.Trees, Depth: c.o.Depth, Seed: c.o.Seed, Workers: c.o.Workers}, nil)
	if err != nil {
		return contender{}, fmt.Errorf("gate: train %s: %w", name, err)
	}
	p := make([]float64, len(c.vectors))
	for i, x := range c.vectors {
		p[i] = f.Score(x)
	}
	held := figures(p, c.bad)
	window := c.out.Trained
	window.Rows = len(rows)
	m, err := registry.NewModel(c.schema, f, registry.Info{
		Metrics: registry.Metrics{HoldoutAUC: held.AUC, Brier: held.Brier, Accuracy: held.Accuracy, LogLoss: forest.LogLoss(p, c.bad), Rows: held.Rows},
		Window:  window, Seed: c.o.Seed, DataDigest: data.Digest(),
	})
	if err != nil {
		return contender{}, fmt.Errorf("gate: %s: %w", name, err)
	}
	k := contender{model: m, p: p, golden: c.scores(m, c.goldenX)}
	k.score = Score{Name: name, Rows: len(rows), Digest: m.Digest, Holdout: held}
	if len(c.golden) > 0 {
		k.score.Golden = figures(k.golden, c.goldenBad)
	}
	return k, nil
}

// byAcceptance sorts rows, oldest first; equal times by outcome time, so that the order is the same for the same rows.
func byAcceptance(rows []LabelledRow) {
	slices.SortStableFunc(rows, func(a, b LabelledRow) int {
		return cmp.Or(a.AcceptedAt.Compare(b.AcceptedAt), a.ObservedAt.Compare(b.ObservedAt))
	})
}

func windowOf(rows []LabelledRow) registry.Window {
	if len(rows) == 0 {
		return registry.Window{}
	}
	return registry.Window{From: rows[0].AcceptedAt, To: rows[len(rows)-1].AcceptedAt, Rows: len(rows)}
}

func finite(x float64) float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return 0
	}
	return x
}

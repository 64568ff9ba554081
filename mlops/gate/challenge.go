package gate

import (
	"slices"

	"aura/mlops/registry"
	"aura/mlops/schema"
)

// Challenge judges one model that was made elsewhere against the champion, on rows that it was not trained on: all of them are
// the hold-out, and nothing is fitted. Forgetting can't be measured. If the champion was trained on them, that is in its favour. As
// with Retrain, a refusal is a verdict, and an error means that rows don't fit the schema.
func Challenge(s *schema.Schema, champion, challenger *registry.Model, name string, rows []LabelledRow, o Options) (*Outcome, error) {
	c, err := newContest(s, champion, rows, o)
	if err != nil {
		return nil, err
	}
	c.held = slices.Clone(rows)
	byAcceptance(c.held)
	c.held = c.held[max(0, len(c.held)-c.o.Limits.MaxRows):]
	c.out.Held = windowOf(c.held)
	if !c.enough(c.held) || !c.noLeak(c.held) {
		return c.out, nil
	}
	c.measureChampion()
	k := contender{model: challenger, p: c.scores(challenger, c.vectors)}
	k.score = Score{Name: name, Digest: challenger.Digest, Rows: challenger.Window.Rows, Holdout: figures(k.p, c.bad)}
	return c.out, c.judge([]contender{k})
}

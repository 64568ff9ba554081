package app

import (
	"context"
	"fmt"

	"aura/agents/fault"
	agentsource "aura/agents/source"
	"aura/app/drill"
	"aura/mlops/dataset"
	"aura/mlops/forest"
	"aura/mlops/gate"
	"aura/mlops/registry"
	"aura/mlops/synth"
	"aura/mlops/train"
)

const (
	// rivalRows are judged on; as many as the first model had train the rival.
	rivalRows = 5000
	// rivalSeed draws applicants that nobody has seen.
	rivalSeed = 0x41ba1
)

// Rival implements drill.System: the simulator's population under the faults is drawn anew, a model is trained on it as the
// first one was on its own, and both are judged on further applicants.
func (s *drillSystem) Rival(ctx context.Context, faults []fault.Fault) (*drill.Rival, error) {
	if s.cfg.Source.File != "" || !simulates(s.cfg) {
		return nil, nil
	}
	rows, err := s.population(s.cfg.Training.Rows+rivalRows, faults)
	if err != nil {
		return nil, err
	}
	learn, judge := rows[:s.cfg.Training.Rows], rows[s.cfg.Training.Rows:]
	champion, err := s.Registry.Load(ctx, s.View.Current().Champion)
	if err != nil {
		return nil, err
	}
	o := trainOptions(s.cfg)
	trained, err := train.Fit(ctx, s.Schema, learn, o)
	if err != nil {
		return nil, fmt.Errorf("a model of the population that came: %w", err)
	}
	out := &drill.Rival{Rows: len(judge), Limit: gate.DefaultLimits().Kept}
	out.Champion, out.ChampionAccuracy = judged(champion, judge)
	out.Trained, out.TrainedAccuracy = judged(trained.Model, judge)
	return out, nil
}

// population draws applicants as the simulator does under the faults, from a stream of its own.
func (s *drillSystem) population(n int, faults []fault.Fault) ([]dataset.Row, error) {
	again := fault.New(fault.Options{Seed: s.cfg.Seed, Data: sourceData(s.cfg, nil, s.Schema)})
	defer again.Close()
	for _, f := range faults {
		if f.Target != fault.Source {
			continue
		}
		if _, err := again.Inject(f); err != nil {
			return nil, err
		}
	}
	next := agentsource.Simulator(synth.New(simulatorSeed(s.cfg.Seed)^rivalSeed), again)
	rows := make([]dataset.Row, n)
	for i := range rows {
		a, err := next()
		if err != nil {
			return nil, err
		}
		values, err := s.Schema.Encode(a.Record)
		if err != nil {
			return nil, err
		}
		rows[i] = dataset.Row{Values: values, Bad: a.Defaulted}
	}
	return rows, nil
}

// judged returns a model's area under the curve and accuracy on rows.
func judged(m *registry.Model, rows []dataset.Row) (auc, accuracy float64) {
	p, bad := make([]float64, len(rows)), make([]bool, len(rows))
	for i, r := range rows {
		p[i], bad[i] = m.Score(m.Schema().Vector(r.Values)), r.Bad
	}
	return forest.AUC(p, bad), forest.Accuracy(p, bad, .5)
}

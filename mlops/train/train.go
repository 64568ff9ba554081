// Package train turns labelled rows into a model and honest figures about it.
//
// It owns the recipe: cross-validation (if asked for), a stratified hold-out, and the final fit. The figures are measured on
// rows that the measured forest had not seen; the model that is returned is then fitted to *all* rows with the same
// parameters, so it has seen the hold-out, and its figures are those of its siblings. It imports
// mlops/{schema,dataset,forest,registry}.
//
// Fit blocks for the time of its fits and uses Options.Workers goroutines, all of which have ended when it returns. The same
// rows in the same order, seed and options give the same bytes for any number of workers. Tests use dataset.Synthetic.
package train

import (
	"context"
	"errors"
	"fmt"
	"time"

	"aura/mlops/dataset"
	"aura/mlops/forest"
	"aura/mlops/registry"
	"aura/mlops/schema"
)

const (
	// Folds of the cross-validation.
	Folds = 5
	// holdout is one part in this many.
	holdout = 5
	// MinPerOutcome is how many rows of each outcome training needs; with fewer no figure would mean anything.
	MinPerOutcome = 10
)

// Options of a training run. The zero value is the default: 100 trees of depth 10, no cross-validation, seed 0.
type Options struct {
	Seed    uint64 // of the folds and the trees
	Trees   int    // default 100
	Depth   int    // default 10
	MinLeaf int    // default 5
	Workers int    // goroutines; default GOMAXPROCS; never changes the result
	// Weights, if not nil, says how much each row counts in a fit (see forest.Data); figures count all rows alike.
	Weights []float64
	CV      bool // 5-fold cross-validation: five fits more
	// From and To say when the rows were observed, if that is known.
	From, To time.Time
	// Progress, if not nil, is told how many trees of all fits are done. It is called by several goroutines, one at a
	// time, and must not block.
	Progress func(done, total int)
}

// Result of a training run. Its JSON form has the figures and not the model. Figures that were not measured are absent.
type Result struct {
	Model *registry.Model `json:"-"`
	// Unseen is, for each row, the calibrated score by those trees of Model that had not drawn it: a sample of the scores that
	// Model gives when it meets such rows for the first time (its own scores of them are too sure). NaN where every tree had
	// drawn the row.
	Unseen     []float64 `json:"-"`
	CVAUC      float64   `json:"cv_auc,omitempty"`
	HoldoutAUC float64   `json:"holdout_auc"`
	Brier      float64   `json:"brier"`
	Accuracy   float64   `json:"accuracy"` // share on the right side of probability 0.5
	LogLoss    float64   `json:"log_loss"` // nats
	Rows       int       `json:"rows"`
	Bad        int       `json:"bad"`
	Seed       uint64    `json:"seed"`
	Digest     string    `json:"digest"`
}

// Fit trains a model on rows of schema s. Rows that can't be trained on (too few, one outcome only) are a
// *forest.DataError; ctx ends it early with its error.
func Fit(ctx context.Context, s *schema.Schema, rows []dataset.Row, o Options) (*Result, error) {
	data, err := Matrix(s, rows)
	if err != nil {
		return nil, err
	}
	data.Weights = o.Weights
	r := &run{data: data, progress: o.Progress, params: forest.Params{
		Trees: o.Trees, Depth: o.Depth, MinLeaf: o.MinLeaf, Seed: o.Seed, Workers: o.Workers,
	}}
	r.total = 2
	if o.CV {
		r.total += Folds
	}
	res := &Result{Rows: len(rows), Bad: count(data.Y), Seed: o.Seed}
	if o.CV {
		if res.CVAUC, err = r.crossValidate(ctx, deal(data.Y, Folds, o.Seed)); err != nil {
			return nil, err
		}
	}
	// Other draws than the folds', so that the hold-out is no fold again.
	held, err := r.measure(ctx, deal(data.Y, holdout, o.Seed+1), 0)
	if err != nil {
		return nil, err
	}
	res.HoldoutAUC, res.Brier = forest.AUC(held.p, held.bad), forest.Brier(held.p, held.bad)
	res.Accuracy, res.LogLoss = forest.Accuracy(held.p, held.bad, 0.5), forest.LogLoss(held.p, held.bad)
	final, unseen, err := r.fit(ctx, data)
	if err != nil {
		return nil, err
	}
	res.Unseen = unseen
	res.Model, err = registry.NewModel(s, final, registry.Info{
		Metrics: registry.Metrics{CVAUC: res.CVAUC, HoldoutAUC: res.HoldoutAUC, Brier: res.Brier, Accuracy: res.Accuracy, LogLoss: res.LogLoss, Rows: len(held.p)},
		Window:  registry.Window{From: o.From, To: o.To, Rows: len(rows)}, Seed: o.Seed, DataDigest: data.Digest(),
	})
	if err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	res.Digest = res.Model.Digest
	return res, nil
}

// Matrix makes the model's inputs of rows, one slice of memory for all. Rows of fewer than MinPerOutcome of an outcome are a
// *forest.DataError.
func Matrix(s *schema.Schema, rows []dataset.Row) (forest.Data, error) {
	width := len(s.Inputs())
	d := forest.Data{Columns: registry.Columns(s), X: make([][]float64, len(rows)), Y: make([]bool, len(rows))}
	flat := make(schema.Vector, 0, len(rows)*width)
	for i := range rows {
		if len(rows[i].Values) != len(s.Features) {
			return forest.Data{}, fmt.Errorf("train: row %d has %d values, schema %s has %d features", i, len(rows[i].Values), s.Name, len(s.Features))
		}
		from := len(flat)
		flat = s.AppendVector(flat, rows[i].Values)
		d.X[i], d.Y[i] = flat[from:len(flat):len(flat)], rows[i].Bad
	}
	bad := count(d.Y)
	if good := len(rows) - bad; bad < MinPerOutcome || good < MinPerOutcome {
		return forest.Data{}, &forest.DataError{Problem: fmt.Sprintf("%d good and %d bad rows; training needs at least %d of each", good, bad, MinPerOutcome)}
	}
	return d, nil
}

func count(y []bool) (bad int) {
	for _, b := range y {
		if b {
			bad++
		}
	}
	return bad
}

// run is one training run: several fits of the same parameters.
type run struct {
	data        forest.Data
	params      forest.Params
	progress    func(done, total int)
	done, total int // fits
}

func (r *run) fit(ctx context.Context, d forest.Data) (*forest.Forest, []float64, error) {
	var progress func(done, total int)
	if r.progress != nil {
		progress = func(done, total int) { r.progress(r.done*total+done, r.total*total) }
	}
	f, unseen, err := forest.TrainOutOfBag(ctx, d, r.params, progress)
	if err != nil {
		var refused *forest.DataError
		if errors.As(err, &refused) || ctx.Err() != nil {
			return nil, nil, err
		}
		return nil, nil, fmt.Errorf("train: %w", err)
	}
	r.done++
	return f, unseen, nil
}

// scored are the probabilities of rows that their forest had not seen.
type scored struct {
	p   []float64
	bad []bool
}

// measure fits without one part and scores that part.
func (r *run) measure(ctx context.Context, part []int, held int) (scored, error) {
	rest := forest.Data{Columns: r.data.Columns}
	var out []int
	for i, p := range part {
		if p == held {
			out = append(out, i)
			continue
		}
		rest.X, rest.Y = append(rest.X, r.data.X[i]), append(rest.Y, r.data.Y[i])
		if i < len(r.data.Weights) {
			rest.Weights = append(rest.Weights, r.data.Weights[i])
		}
	}
	f, _, err := r.fit(ctx, rest)
	if err != nil {
		return scored{}, err
	}
	s := scored{p: make([]float64, len(out)), bad: make([]bool, len(out))}
	for k, i := range out {
		s.p[k], s.bad[k] = f.Score(r.data.X[i]), r.data.Y[i]
	}
	return s, nil
}

// crossValidate returns the mean AUC over the folds.
func (r *run) crossValidate(ctx context.Context, part []int) (auc float64, err error) {
	for fold := range Folds {
		s, err := r.measure(ctx, part, fold)
		if err != nil {
			return 0, err
		}
		auc += forest.AUC(s.p, s.bad) / Folds
	}
	return auc, nil
}

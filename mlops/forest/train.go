package forest

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
)

// Train grows a forest on d and calibrates it on its out-of-bag votes. progress, if not nil, is called from this
// goroutine each time a tree is done, done rising from 1 to total. A cancelled ctx ends it soon with the context's cause.
// A sample that can't be learned from is a *DataError or satisfies errors.Is(err, ErrSingleClass).
// The same Data and Params (Workers apart) give the same forest, bit by bit.
func Train(ctx context.Context, d Data, p Params, progress func(done, total int)) (*Forest, error) {
	f, _, err := TrainOutOfBag(ctx, d, p, progress)
	return f, err
}

// TrainOutOfBag is Train that also returns, for each row, the calibrated score by those trees only that had not drawn the
// row: what the forest says of rows like these when it has not seen them. (Its Score of a row it was trained on is too
// sure.) NaN for a row that every tree had drawn. The model file doesn't hold them.
func TrainOutOfBag(ctx context.Context, d Data, p Params, progress func(done, total int)) (*Forest, []float64, error) {
	if err := d.check(); err != nil {
		return nil, nil, err
	}
	p = p.withDefaults(len(d.Columns))
	if err := p.check(len(d.Columns)); err != nil {
		return nil, nil, err
	}
	if p.Workers <= 0 {
		p.Workers = runtime.GOMAXPROCS(0)
	}
	bins, s, err := prepare(ctx, d, p)
	if err != nil {
		return nil, nil, fmt.Errorf("train forest: %w", err)
	}
	trees, v, err := growAll(ctx, s, progress)
	if err != nil {
		return nil, nil, fmt.Errorf("train forest: %w", err)
	}
	f := &Forest{columns: append([]Column(nil), d.Columns...), params: p, bins: bins}
	f.params.Workers = 0
	for _, t := range trees {
		f.addTree(t)
	}
	f.finish()
	var unseen []float64
	f.calibration, f.training, unseen = calibrate(v, d)
	if err := f.seal(); err != nil {
		return nil, nil, fmt.Errorf("train forest: %w", err)
	}
	return f, unseen, nil
}

// growAll runs the workers. Each takes the next tree's number, so a slow one takes fewer; the trees come back in order.
func growAll(ctx context.Context, s *sample, progress func(done, total int)) ([][]node, votes, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	total := s.p.Trees
	trees := make([][]node, total)
	growers := make([]*grower, min(s.p.Workers, total))
	done := make(chan struct{}, total)
	var next atomic.Int64
	var workers sync.WaitGroup
	for w := range growers {
		growers[w] = newGrower(s)
		workers.Go(func() {
			for t := int(next.Add(1)) - 1; t < total; t = int(next.Add(1)) - 1 {
				if ctx.Err() != nil {
					return
				}
				grown, err := growers[w].tree(ctx, t)
				if err != nil {
					return
				}
				trees[t] = compact(grown)
				done <- struct{}{}
			}
		})
	}
	defer workers.Wait() // also when progress panics
	defer cancel(nil)
	for i := range total {
		if ctx.Err() != nil { // both ready: select might go on for a while
			return nil, votes{}, context.Cause(ctx)
		}
		select {
		case <-done:
			if progress != nil {
				progress(i+1, total)
			}
		case <-ctx.Done():
			return nil, votes{}, context.Cause(ctx)
		}
	}
	v := growers[0].votes
	workers.Wait()
	for _, g := range growers[1:] {
		for i := range v.sum {
			v.sum[i] += g.votes.sum[i]
			v.trees[i] += g.votes.trees[i]
		}
	}
	return trees, v, nil
}

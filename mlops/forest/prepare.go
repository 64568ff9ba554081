package forest

import (
	"context"
	"sync"
	"sync/atomic"
)

// prepare finds each column's bins and codes the sample, column by column, on p.Workers goroutines.
func prepare(ctx context.Context, d Data, p Params) (binner, *sample, error) {
	bins := newBinner(len(d.Columns))
	s := &sample{codes: make([][]uint8, len(d.Columns)), bad: make([]uint8, len(d.Y)), p: p}
	for i, bad := range d.Y {
		if bad {
			s.bad[i] = 1
		}
	}
	if d.Weights != nil {
		s.upTo = make([]int, len(d.Y))
		sum := 0
		for i := range s.upTo {
			sum += d.units(i)
			s.upTo[i] = sum
		}
	}
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(p.Workers, len(d.Columns)) {
		workers.Go(func() {
			values := make([]float32, 0, len(d.X))
			for j := int(next.Add(1)) - 1; j < len(d.Columns) && ctx.Err() == nil; j = int(next.Add(1)) - 1 {
				bins.learn(d, j, values, p.Bins)
				s.codes[j] = bins.column(d, j)
			}
		})
	}
	workers.Wait()
	return bins, s, context.Cause(ctx)
}

// learn sets the bins of column j from the sample. values is scratch.
func (b *binner) learn(d Data, j int, values []float32, bins int) {
	if c := d.Columns[j]; c.Categorical {
		rows, bad := make([]int, c.Categories), make([]int, c.Categories)
		for i, row := range d.X {
			v := row[j]
			if v >= 0 && v < float64(c.Categories) && float64(int(v)) == v {
				rows[int(v)]++
				if d.Y[i] {
					bad[int(v)]++
				}
			}
		}
		b.table[j] = orderCategories(rows, bad, bins-1)
		return
	}
	values = values[:0]
	for _, row := range d.X {
		if v := row[j]; v == v {
			values = append(values, float32(v)+0)
		}
	}
	b.setCuts(j, quantileCuts(values, min(maxCuts, bins-2)))
}

// column codes column j of the sample.
func (b *binner) column(d Data, j int) []uint8 {
	codes := make([]uint8, len(d.X))
	for i, row := range d.X {
		codes[i] = b.code(j, row[j])
	}
	return codes
}

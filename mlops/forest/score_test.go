package forest

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// The walk over packed nodes must agree with the plain reading of a tree: float32 comparison, category sets, missing sides.
func TestWalkAgreesWithPlainTrees(t *testing.T) {
	for _, columns := range []int{1, 5, 23, narrowColumns, narrowColumns + 1, 300} {
		t.Run(fmt.Sprint(columns), func(t *testing.T) {
			d := mixed(800, columns, 3)
			f := train(t, d, Params{Trees: 13, Seed: 9})
			rows := slices.Clone(d.X)
			for _, odd := range []float64{math.Inf(1), math.Inf(-1), math.NaN(), -1, 0.5, 11, 12, 1e300, -1e300, 1e-320, math.Copysign(0, -1)} {
				rows = append(rows, slices.Repeat([]float64{odd}, columns))
			}
			for j, cuts := range f.bins.cuts { // rows that lie on the cut points and next to them
				for _, c := range cuts[:min(len(cuts), 40)] {
					for _, v := range []float64{float64(c), math.Nextafter(float64(c), math.Inf(1)), float64(math.Nextafter32(c, float32(math.Inf(1))))} {
						x := slices.Clone(d.X[0])
						x[j] = v
						rows = append(rows, x)
					}
				}
			}
			trees := make([][]Node, f.Trees())
			for tree := range trees {
				trees[tree] = f.Tree(tree)
			}
			known := make([][]int, columns)
			for j := range known {
				known[j] = f.KnownCategories(j)
			}
			for _, x := range rows {
				var want uint32
				for _, nodes := range trees {
					want += plainWalk(nodes, known, x)
				}
				if got := f.sum(x); got != want {
					t.Fatalf("sum(%v) = %d, the plain walk gives %d", x, got, want)
				}
				if p := f.Score(x); !(p > 0 && p < 1) {
					t.Fatalf("Score(%v) = %v, want a probability", x, p)
				}
			}
		})
	}
}

// plainWalk follows the documented meaning of Node, as an exporter would.
func plainWalk(nodes []Node, known [][]int, x []float64) uint32 {
	i := 0
	for !nodes[i].Leaf {
		n := nodes[i]
		v := x[n.Column]
		missing := math.IsNaN(v)
		if codes := known[n.Column]; codes != nil {
			missing = missing || !slices.ContainsFunc(codes, func(c int) bool { return float64(c) == v })
		}
		left := n.MissingLeft
		switch {
		case missing:
		case n.OnlyMissing:
			left = false
		case n.Categories != nil:
			left = slices.Contains(n.Categories, int(v))
		default:
			left = float32(v) <= n.Threshold
		}
		i = n.Right
		if left {
			i = n.Left
		}
	}
	return nodes[i].Value
}

func TestCalibrationImprovesOnRawVotes(t *testing.T) {
	f := train(t, syntheticRows(10_000, 7), Params{Seed: 1})
	fresh := syntheticRows(20_000, 99)
	raw, calibrated := make([]float64, len(fresh.X)), make([]float64, len(fresh.X))
	for i, x := range fresh.X {
		raw[i], calibrated[i] = f.Raw(x), f.Score(x)
	}
	if r, c := Brier(raw, fresh.Y), Brier(calibrated, fresh.Y); c >= r {
		t.Errorf("Brier %.5f calibrated, %.5f raw", c, r)
	}
	if r, c := AUC(raw, fresh.Y), AUC(calibrated, fresh.Y); math.Abs(r-c) > 1e-6 {
		t.Errorf("AUC %.6f calibrated, %.6f raw: the order changed", c, r)
	}
	if e := calibrationError(calibrated, fresh.Y); e > 0.015 {
		t.Errorf("calibration error %.4f", e)
	}
	if got, fresh := f.Training().OutOfBagBrier, Brier(calibrated, fresh.Y); math.Abs(got-fresh) > 0.005 {
		t.Errorf("out-of-bag Brier %.4f, on fresh rows %.4f", got, fresh)
	}
}

// calibrationError is the expected calibration error over ten even bins.
func calibrationError(p []float64, bad []bool) float64 {
	var n, sum, hits [10]float64
	for i, v := range p {
		b := min(int(v*10), 9)
		n[b]++
		sum[b] += v
		if bad[i] {
			hits[b]++
		}
	}
	total := 0.0
	for b := range n {
		total += math.Abs(sum[b]-hits[b]) / float64(len(p))
	}
	return total
}

func TestScoringDoesNotAllocate(t *testing.T) {
	for _, columns := range []int{5, 200} {
		d := mixed(300, columns, 1)
		f := train(t, d, Params{Trees: 10})
		moved := make([]int32, columns)
		if n := testing.AllocsPerRun(100, func() { f.Score(d.X[0]); f.Attribute(d.X[1], moved) }); n != 0 {
			t.Errorf("%d columns: %v allocations", columns, n)
		}
	}
}

func TestRowOfWrongWidthPanics(t *testing.T) {
	f := train(t, mixed(50, 3, 1), Params{Trees: 2})
	defer func() {
		if msg := fmt.Sprint(recover()); !strings.Contains(msg, "2 values for a model of 3 columns") {
			t.Errorf("panic %q", msg)
		}
	}()
	f.Score([]float64{1, 2})
}

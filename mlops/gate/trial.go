package gate

import (
	"fmt"
	"math"

	"aura/mlops/registry"
)

// trial is one candidate before the gate.
type trial struct {
	*contest
	k        *contender
	champion []float64  // its probabilities on the hold-out
	gain     difference // AUC over the champion's
	brier    difference // Brier score under the champion's
	accuracy difference // over the champion's
	z        float64
}

func (t *trial) add(name string, value, limit float64, ok bool) *Check {
	checks := &t.k.score.Checks
	*checks = append(*checks, Check{Name: name, Value: finite(value), Limit: limit, OK: ok})
	return &(*checks)[len(*checks)-1]
}

func (t *trial) passes() bool { return len(failed(t.k.score.Checks)) == 0 }

// overtaken says why likeness to the champion is no virtue here, or nothing. Forgetting and a change of scores weigh
// against a gain that is sure and larger, or against a champion that fails: then the relation of features to outcomes has
// changed, and the old rows tell of a world that has gone. Under a mere shift of the population neither holds, the old
// rows are still true, and both rules bind.
func (t *trial) overtaken() string {
	switch low := t.gain.low(t.z); {
	case low > t.o.Limits.Forgetting:
		return fmt.Sprintf("outweighed: the gain on the newest outcomes is %.3f AUC at least", low)
	case t.failing():
		return fmt.Sprintf("outweighed: the champion is below its floor (%.3f < %.3f)", t.out.Champion.Holdout.Accuracy, t.floor)
	}
	return ""
}

// nearer says that other scores than the champion's are welcome here, or nothing: where they are surely nearer to the
// outcomes, in rank and as probabilities.
func (t *trial) nearer() string {
	if t.gain.low(t.z) > 0 && t.brier.low(t.z) > 0 {
		return "outweighed: the scores are surely nearer to the outcomes than the champion's"
	}
	return t.overtaken()
}

// failing reports whether the champion is below its floor and the candidate isn't.
func (t *trial) failing() bool {
	return t.out.Champion.Holdout.Accuracy < t.floor && t.k.score.Holdout.Accuracy >= t.floor
}

// margin is the AUC that may be lost. Where the champion fails, and the candidate surely decides better and is surely nearer to
// the outcomes, its order need not be as good to a hair: a model of few rows of a world in which only the default rate has
// changed ranks a little worse than the champion of many. It may lose half of the accuracy that it surely gains.
func (t *trial) margin() float64 {
	l := t.o.Limits
	if !t.failing() || t.brier.low(t.z) <= 0 {
		return l.NotWorse
	}
	return max(l.NotWorse, min(l.Lost, t.accuracy.low(t.z)/2))
}

// run makes every check; none is left out because another failed.
func (t *trial) run() error {
	l, champion, held := t.o.Limits, t.out.Champion.Holdout, t.k.score.Holdout
	low := t.gain.low(t.z)
	margin := t.margin()
	t.add("AUC gain, lower bound: not worse", low, -margin, low > -margin)
	t.add("AUC gain, lower bound: better, or the champion below its floor", low, 0, low > 0 || t.failing())
	least := min(t.floor, champion.Accuracy)
	t.add("accuracy: above the floor, or the champion's", held.Accuracy, least, held.Accuracy >= least)
	brier := held.Brier/champion.Brier - 1
	t.add("Brier score against the champion's, relative", brier, l.Brier, brier <= l.Brier)
	t.calibration()
	t.segments()
	t.impact()
	psi := t.add("PSI of scores against the champion's", scorePSI(t.champion, t.k.p), l.ScorePSI, false)
	if psi.OK = psi.Value <= psi.Limit; !psi.OK {
		psi.Info = t.nearer()
	}
	t.forgetting()
	steps := t.k.model.Steps()
	t.add("nodes a score visits", float64(steps), float64(l.Steps), steps <= l.Steps)
	return t.roundTrip()
}

// calibration refuses a slope or an error that is shown to be outside the limits; what sampling alone explains passes.
func (t *trial) calibration() {
	l := t.o.Limits
	slope, se := calibrationSlope(t.k.p, t.bad)
	t.add("calibration slope, not too low", slope, l.SlopeLow, slope+z95*se >= l.SlopeLow)
	t.add("calibration slope, not too high", slope, l.SlopeHigh, slope-z95*se <= l.SlopeHigh)
	// Even right probabilities have an error of about this much in bins of this size.
	chance := 0.5 * math.Sqrt(calibrationBins/float64(len(t.bad)))
	limit := max(t.out.Champion.Holdout.ECE*(1+l.ECE), chance)
	t.add("calibration error", t.k.score.Holdout.ECE, limit, t.k.score.Holdout.ECE <= limit)
}

func (t *trial) forgetting() {
	if len(t.golden) == 0 {
		t.add("forgetting (no original rows: not measured)", 0, t.o.Limits.Forgetting, true)
		return
	}
	was, is := t.out.Champion.Golden, t.k.score.Golden
	lost := max(was.AUC-is.AUC, was.Accuracy-is.Accuracy)
	c := t.add(fmt.Sprintf("forgetting, AUC or accuracy on %d original rows", len(t.golden)), lost, t.o.Limits.Forgetting, lost <= t.o.Limits.Forgetting)
	if !c.OK {
		c.Info = t.overtaken()
	}
}

// roundTrip writes the model and reads it again: its scores must be the same to the bit.
func (t *trial) roundTrip() error {
	raw, err := t.k.model.Encode()
	if err != nil {
		return fmt.Errorf("gate: encode %s: %w", t.k.score.Name, err)
	}
	again, err := registry.DecodeModel(t.schema, raw)
	if err != nil {
		return fmt.Errorf("gate: decode %s: %w", t.k.score.Name, err)
	}
	different := 0
	for i, x := range t.vectors {
		if math.Float64bits(again.Score(x)) != math.Float64bits(t.k.p[i]) {
			different++
		}
	}
	t.add("scores that differ after save and load", float64(different), 0, different == 0)
	return nil
}

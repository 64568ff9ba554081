package gate

import (
	"fmt"
	"math"
)

// mirrored is the AUC under which the champion's order is the reverse of the outcomes'.
const mirrored = 0.35

// judge asks whether the outcomes can be believed, puts each candidate through the gate and gives the verdict.
func (c *contest) judge(candidates []contender) error {
	p := c.scores(c.champion, c.vectors)
	z := bound(len(candidates))
	best, passed := -1, -1
	for i := range candidates {
		k := &candidates[i]
		gain := aucDifference(k.p, p, c.bad)
		k.score.Gain, k.score.GainLow, k.score.GainHigh = gain.value, finite(gain.low(z)), finite(gain.high(z99))
		t := trial{contest: c, k: k, champion: p, gain: gain, brier: brierGain(k.p, p, c.bad), z: z}
		k.gain, k.brier = gain, t.brier
		if err := t.run(); err != nil {
			return err
		}
		if best < 0 || k.score.Gain > candidates[best].score.Gain {
			best = i
		}
		if t.passes() && (passed < 0 || k.score.GainLow > candidates[passed].score.GainLow) {
			passed = i
		}
		c.out.Scores = append(c.out.Scores, k.score)
	}
	credible := c.credible(p, candidates)
	if passed >= 0 && credible {
		best = passed
	}
	c.out.Best = candidates[best].score.Name
	c.out.Verdict.Checks = append(c.out.Verdict.Checks, candidates[best].score.Checks...)
	switch s := &candidates[best].score; {
	case !credible: // the verdict says why
	case passed >= 0:
		c.out.Candidate = candidates[best].model
		c.end(Promote, "%s is better on the newest %d outcomes: AUC %.3f against %.3f (by %.3f at least), accuracy %.3f against %.3f",
			s.Name, len(c.held), s.Holdout.AUC, c.out.Champion.Holdout.AUC, s.GainLow, s.Holdout.Accuracy, c.out.Champion.Holdout.Accuracy)
		if s.GainLow <= 0 {
			c.out.Verdict.Reason = fmt.Sprintf("the champion is below its floor (accuracy %.3f, floor %.3f on the newest %d outcomes), %s is above it (%.3f) and ranks no worse",
				c.out.Champion.Holdout.Accuracy, c.floor, len(c.held), s.Name, s.Holdout.Accuracy)
		}
	default:
		c.kept(candidates)
	}
	return nil
}

// credible compares the outcomes with what the champion expects of these very applications, were it calibrated. Where they
// fall short of it by far, either the world has changed, and then a candidate fits the outcomes as well as the champion
// used to; or the outcomes are wrong (noise, swapped labels), and then no model fits them: learning them would make
// the damage last.
func (c *contest) credible(p []float64, candidates []contender) bool {
	limit := c.o.Limits.Unexplained
	promised, auc := expectedAccuracy(p), expectedAUC(p)
	lack := func(p []float64) (worst float64) {
		n := float64(len(p))
		observed := accuracy(p, c.bad)
		rank := aucDifference(p, make([]float64, len(p)), c.bad) // against one score for all, whose AUC is 0.5
		sure := promised.value - observed - z95*math.Sqrt(promised.se*promised.se+observed*(1-observed)/n)
		return max(sure, auc-(rank.value+0.5)-z95*rank.se)
	}
	champion := lack(p)
	c.out.Verdict.Checks = append(c.out.Verdict.Checks, Check{
		Name: "outcomes lack of what the champion expects", Value: champion, Limit: limit, OK: champion <= limit, Info: "the world may have changed: a candidate must explain the outcomes then",
	})
	if a := c.out.Champion.Holdout.AUC; !c.check("AUC of the champion, outcomes not inverted", a, mirrored, a >= mirrored) {
		c.end(Labels, "outcomes are the reverse of what the champion expects (AUC %.3f): they, or those it was trained on, look inverted; a person must look at where outcomes come from", a)
		return false
	}
	if champion <= limit {
		return true
	}
	least := math.Inf(1)
	for i := range candidates {
		least = min(least, lack(candidates[i].p))
	}
	if c.check("outcomes lack of that, best candidate", least, limit, least <= limit) {
		return true
	}
	c.end(Labels, "outcomes contradict the champion (accuracy %.3f, it expects %.3f) and no candidate can explain them: they look wrong, and nothing is learned from them; a person must look at where outcomes come from",
		c.out.Champion.Holdout.Accuracy, promised.value)
	return false
}

// kept ends a contest that no candidate passed: is the champion shown to be as good?
func (c *contest) kept(candidates []contender) {
	gain, brier, acc, z := math.Inf(-1), math.Inf(-1), c.out.Champion.Holdout.Accuracy, bound(len(candidates))
	for i := range candidates {
		gain = max(gain, candidates[i].gain.high(z99)) // "none gains" is a claim about each: no correction for their number
		brier = max(brier, candidates[i].brier.low(z)/c.out.Champion.Holdout.Brier)
	}
	healthy := c.check("accuracy of the champion", acc, c.floor, acc >= c.floor)
	equal := c.check("AUC that a candidate may gain, upper bound", gain, c.o.Limits.Kept, gain < c.o.Limits.Kept)
	calibrated := c.check("Brier score that a candidate surely gains, relative", brier, c.o.Limits.Brier, brier <= c.o.Limits.Brier)
	have := len(c.fit) + len(c.held)
	if enough := c.check("labelled rows that tell whether the champion is as good", float64(have), float64(c.o.Limits.KeptRows), have >= c.o.Limits.KeptRows); enough && healthy && equal && calibrated {
		c.end(Kept, "the champion decides the newest %d outcomes as well as a model trained on them would: accuracy %.3f, AUC %.3f, no candidate can be better by %.3f",
			len(c.held), acc, c.out.Champion.Holdout.AUC, c.o.Limits.Kept)
		return
	}
	why := fmt.Sprintf("accuracy %.3f is below the floor %.3f", acc, c.floor)
	switch {
	case healthy && !calibrated:
		why = fmt.Sprintf("its Brier score can surely be better by %.0f %%", 100*brier)
	case healthy && equal:
		c.out.Verdict.NeedRows = c.o.Limits.KeptRows
		why = fmt.Sprintf("candidates of %d labelled rows are too weak to tell, %d are needed", have, c.o.Limits.KeptRows)
	case healthy:
		c.out.Verdict.NeedRows = c.need(candidates)
		why = fmt.Sprintf("%d outcomes leave room for a gain of %.3f AUC; some %d labelled rows would tell", len(c.held), gain, c.out.Verdict.NeedRows)
	}
	c.end(Undecided, "no candidate passes the gate, and the champion isn't shown to be as good either: %s", why)
}

// need estimates how many labelled rows would settle a contest that is open for lack of them: the bounds shrink with the
// root of their number.
func (c *contest) need(candidates []contender) int {
	have, most := float64(len(c.fit)+len(c.held)), 1.0
	for i := range candidates {
		g := candidates[i].gain
		keep, z := c.o.Limits.Kept-g.value, z99
		if keep <= 0 { // more likely better: until its lower bound is above 0
			keep, z = g.value, bound(len(candidates))
		}
		most = max(most, z*g.se/keep)
	}
	return int(min(have*most*most, float64(c.o.Limits.MaxRows)))
}

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
	var passed []int
	for i := range candidates {
		k := &candidates[i]
		gain := aucDifference(k.p, p, c.bad)
		k.score.Gain, k.score.GainLow, k.score.GainHigh = gain.value, finite(gain.low(z)), finite(gain.high(z99))
		t := trial{contest: c, k: k, champion: p, gain: gain, brier: brierGain(k.p, p, c.bad), accuracy: accuracyGain(k.p, p, c.bad), z: z}
		k.gain, k.brier = gain, t.brier
		if err := t.run(); err != nil {
			return err
		}
		if t.passes() {
			passed = append(passed, i)
		}
		c.out.Scores = append(c.out.Scores, k.score)
	}
	credible := c.credible(p, candidates)
	among := passed
	if len(passed) == 0 || !credible {
		among = nil
		for i := range candidates {
			among = append(among, i)
		}
	}
	best := c.nearest(candidates, among)
	c.out.Best = candidates[best].score.Name
	c.out.Verdict.Checks = append(c.out.Verdict.Checks, candidates[best].score.Checks...)
	switch {
	case !credible: // the verdict says why
	case len(passed) > 0:
		c.promote(&candidates[best], len(passed))
	default:
		c.kept(candidates)
	}
	return nil
}

// nearest finds, among some candidates, the one whose probabilities lie nearest to the outcomes (Brier score): they are what
// decisions rest on, and an order alone is not. Those that chance may have put behind it are as near; of them the one that
// ranks best.
func (c *contest) nearest(candidates []contender, among []int) int {
	first := among[0]
	for _, i := range among {
		if candidates[i].score.Holdout.Brier < candidates[first].score.Holdout.Brier {
			first = i
		}
	}
	best := first
	for _, i := range among {
		asNear := brierGain(candidates[first].p, candidates[i].p, c.bad).low(z95) <= 0
		if asNear && candidates[i].score.GainLow > candidates[best].score.GainLow {
			best = i
		}
	}
	return best
}

// promote says why a candidate is promoted, of so many that passed.
func (c *contest) promote(k *contender, passed int) {
	s, champion := &k.score, c.out.Champion.Holdout
	c.out.Candidate = k.model
	c.end(Promote, "%s is better on the newest %d outcomes: AUC %.3f against %.3f (by %.3f at least), Brier score %.3f against %.3f, accuracy %.3f against %.3f",
		s.Name, len(c.held), s.Holdout.AUC, champion.AUC, s.GainLow, s.Holdout.Brier, champion.Brier, s.Holdout.Accuracy, champion.Accuracy)
	if s.GainLow <= 0 {
		c.end(Promote, "the champion is below its floor (accuracy %.3f, floor %.3f on the newest %d outcomes), %s is above it (%.3f; Brier score %.3f against %.3f) and ranks no worse than that allows (AUC lower by %.3f at most)",
			champion.Accuracy, c.floor, len(c.held), s.Name, s.Holdout.Accuracy, s.Holdout.Brier, champion.Brier, max(0, -s.GainLow))
	}
	if passed > 1 {
		c.out.Verdict.Reason += fmt.Sprintf("; of the %d candidates that pass, its probabilities are nearest to the outcomes", passed)
	}
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
	c.contradict(candidates, promised.value)
	return false
}

// contradict ends a contest whose outcomes nobody can explain. Of few rows a candidate of a new world may not explain them yet,
// but then it most often ranks them better than the champion, by more than the standard error; where outcomes are wrong, one in six
// contests has such a candidate.
func (c *contest) contradict(candidates []contender, expects float64) {
	champion, have, enough := c.out.Champion.Holdout, len(c.fit)+len(c.held), c.o.Limits.KeptRows
	if have < enough {
		c.out.Verdict.NeedRows = enough
		for i := range candidates {
			if s := &candidates[i].score; candidates[i].gain.low(1) > 0 {
				c.end(Undecided, "outcomes contradict the champion (accuracy %.3f, it expects %.3f); %s ranks them better (AUC %.3f against %.3f) and can't explain them on %d labelled rows: %d would tell a changed world from wrong outcomes",
					champion.Accuracy, expects, s.Name, s.Holdout.AUC, champion.AUC, have, enough)
				return
			}
		}
	}
	c.end(Labels, "outcomes contradict the champion (accuracy %.3f, it expects %.3f) and no candidate can explain them: they look wrong, and nothing is learned from them; a person must look at where outcomes come from",
		champion.Accuracy, expects)
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
		rival := "a model trained on them would"
		if len(c.fit) == 0 {
			rival = candidates[0].score.Name
		}
		c.end(Kept, "the champion decides the newest %d outcomes as well as %s: accuracy %.3f, AUC %.3f, no candidate can be better by %.3f",
			len(c.held), rival, acc, c.out.Champion.Holdout.AUC, c.o.Limits.Kept)
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

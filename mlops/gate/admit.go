package gate

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"aura/mlops/forest"
)

// leakAUC is the AUC of a single input above which it must have been made from the outcome.
const leakAUC = 0.99

func (c *contest) end(code Code, format string, args ...any) {
	v := &c.out.Verdict
	v.Code, v.Promote, v.KeepChampion, v.Reason = code, code == Promote, code == Kept, fmt.Sprintf(format, args...)
}

func (c *contest) check(name string, value, limit float64, ok bool) bool {
	c.out.Verdict.Checks = append(c.out.Verdict.Checks, Check{Name: name, Value: finite(value), Limit: limit, OK: ok})
	return ok
}

// admit takes the rows that may be learned from and divides them by time; false if they may not, and the verdict says why.
func (c *contest) admit(rows []LabelledRow) bool {
	l := c.o.Limits
	if !c.check("bugs in the feed", float64(len(c.o.Bugs)), 0, len(c.o.Bugs) == 0) {
		var texts []string
		for _, b := range c.o.Bugs {
			texts = append(texts, b.Feature+": "+b.Text)
		}
		c.end(BrokenFeed, "the feed is broken (%s): a model trained on it would learn the defect; a person must mend the feed", strings.Join(texts, "; "))
		return false
	}
	rows = slices.Clone(rows)
	if !c.o.Cut.IsZero() {
		rows = slices.DeleteFunc(rows, func(r LabelledRow) bool { return !r.ObservedAt.Before(c.o.Cut) })
	}
	byAcceptance(rows)
	rows = rows[max(0, len(rows)-l.MaxRows):]
	if !c.enough(rows) {
		return false
	}
	held := max(minHoldout, int(math.Round(l.HoldoutShare*float64(len(rows)))))
	c.fit, c.held = rows[:len(rows)-held], rows[len(rows)-held:]
	c.out.Trained, c.out.Held = windowOf(c.fit), windowOf(c.held)
	if !c.bothSides() {
		return false
	}
	return c.noLeak(rows)
}

// enough sees to it that there are rows to judge by, of both outcomes.
func (c *contest) enough(rows []LabelledRow) bool {
	l, each := c.o.Limits, min(bads(rows), len(rows)-bads(rows))
	enough := c.check("labelled rows", float64(len(rows)), float64(l.MinRows), len(rows) >= l.MinRows)
	enough = c.check("rows of the rarer outcome", float64(each), float64(l.MinEach), each >= l.MinEach) && enough
	if !enough || len(rows) <= minHoldout {
		if !c.possible(rows) {
			return false
		}
		c.end(TooFew, "%d labelled rows, %d of the rarer outcome: %d and %d are needed to tell a better model from luck", len(rows), each, l.MinRows, l.MinEach)
		return false
	}
	return true
}

// bothSides sees to it that both parts have rows of both outcomes: a time-ordered cut may put all of one on one side.
func (c *contest) bothSides() bool {
	need := max(10, c.o.Limits.MinEach*len(c.held)/(2*(len(c.held)+len(c.fit))))
	least := len(c.held)
	for _, part := range [][]LabelledRow{c.fit, c.held} {
		least = min(least, bads(part), len(part)-bads(part))
	}
	if least < need && !c.possible(c.held) {
		return false
	}
	if !c.check("rows of the rarer outcome before and in the hold-out", float64(least), float64(need), least >= need) {
		c.end(TooFew, "before or in the hold-out there are only %d rows of one outcome, %d are needed", least, need)
		return false
	}
	return true
}

const (
	// trueRarity is how much rarer than the champion expects an outcome may have become in a world that is true. Half or a fifth
	// happens; what is nearly gone is a feed that doesn't tell it any more.
	trueRarity = 10
	// impossible is the chance, as its natural logarithm, under which a count of outcomes isn't believed: 1 in 10^9.
	impossible = -20.7
)

// possible refuses outcomes of which one kind has all but vanished: fewer rows of it than chance allows, even if it had become
// rarer than the champion expects of these very applications by trueRarity.
func (c *contest) possible(rows []LabelledRow) bool {
	var expected float64 // defaults
	for _, row := range rows {
		expected += c.champion.Score(c.schema.Vector(row.Values))
	}
	n, bad := float64(len(rows)), float64(bads(rows))
	for _, k := range []struct {
		name          string
		have, expects float64
	}{{"default", bad, expected}, {"are paid back", n - bad, n - expected}} {
		chance := rarerThan(k.have, k.expects/trueRarity)
		if c.check(fmt.Sprintf("chance that so few %s, as a power of 10", k.name), chance/math.Ln10, impossible/math.Ln10, chance >= impossible) {
			continue
		}
		c.end(Labels, "%.0f of the newest %.0f outcomes %s, where the champion expects %.0f: no true world is that different, the feed of outcomes looks broken; "+
			"nothing is learned from it, and a person must look at where outcomes come from", k.have, n, k.name, k.expects)
		return false
	}
	return true
}

// rarerThan is an upper bound of the chance, as its natural logarithm, of at most k events of independent ones of which mean are
// expected (Chernoff).
func rarerThan(k, mean float64) float64 {
	if k >= mean {
		return 0
	}
	bound := k - mean
	if k > 0 {
		bound += k * math.Log(mean/k)
	}
	return bound
}

// noLeak refuses rows where one input alone tells the outcome.
func (c *contest) noLeak(rows []LabelledRow) bool {
	worst, name := 0.0, ""
	outcome, values := make([]bool, len(rows)), make([]float64, len(rows))
	for i, row := range rows {
		outcome[i] = row.Bad
	}
	for _, in := range c.schema.Inputs() {
		for i, row := range rows {
			values[i] = row.Values[in.Feature]
			if math.IsNaN(values[i]) {
				values[i] = -math.MaxFloat64
			}
		}
		if auc := forest.AUC(values, outcome); max(auc, 1-auc) > worst {
			worst, name = max(auc, 1-auc), in.Name
		}
	}
	if !c.check("AUC of the strongest single input", worst, leakAUC, worst <= leakAUC) {
		c.end(Leak, "%s alone tells the outcome (AUC %.3f): it must have been made from it", name, worst)
		return false
	}
	return true
}

func bads(rows []LabelledRow) (n int) {
	for _, row := range rows {
		if row.Bad {
			n++
		}
	}
	return n
}

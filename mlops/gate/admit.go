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
	if !c.check("rows of the rarer outcome before and in the hold-out", float64(least), float64(need), least >= need) {
		c.end(TooFew, "before or in the hold-out there are only %d rows of one outcome, %d are needed", least, need)
		return false
	}
	return true
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

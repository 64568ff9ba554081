package gate

import (
	"math"
	"slices"

	"aura/mlops/schema"
)

const (
	segmentRows = 50 // of a segment that is judged
	segmentEach = 10 // of each outcome
	groupRows   = 30 // of a group whose approvals are counted
	quintiles   = 5
)

// groups divides the hold-out by one feature: quintiles of numbers, each category; missing values on their own.
func (c *contest) groups(feature int) [][]int {
	var present []float64
	for _, row := range c.held {
		if v := row.Values[feature]; !math.IsNaN(v) {
			present = append(present, v)
		}
	}
	slices.Sort(present)
	categorical := c.schema.Features[feature].Kind == schema.Categorical
	of := map[int][]int{}
	for i, row := range c.held {
		v := row.Values[feature]
		group := -1
		switch {
		case math.IsNaN(v):
		case categorical:
			group = int(v)
		default:
			below, _ := slices.BinarySearch(present, v)
			group = below * quintiles / len(present)
		}
		of[group] = append(of[group], i)
	}
	keys := make([]int, 0, len(of))
	for k := range of {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	out := make([][]int, len(keys))
	for i, k := range keys {
		out[i] = of[k]
	}
	return out
}

// segments finds the segment that loses most against the champion. It fails where that is more than the limit and more
// than chance, over as many segments as there are.
func (t *trial) segments() {
	type loss struct {
		difference
		name string
	}
	var all []loss
	for f := range t.schema.Features {
		for _, rows := range t.groups(f) {
			if d, ok := t.segment(rows); ok {
				all = append(all, loss{d, t.schema.Features[f].Name})
			}
		}
	}
	if len(all) == 0 {
		t.add("AUC lost in the worst segment (none is large enough)", 0, t.o.Limits.Segment, true)
		return
	}
	z, ok := bound(len(all)), true
	worst := all[0]
	for _, s := range all {
		if s.value < worst.value {
			worst = s
		}
		ok = ok && (s.value >= -t.o.Limits.Segment || s.high(z) >= 0)
	}
	t.add("AUC lost in the worst segment, by "+worst.name, -worst.value, t.o.Limits.Segment, ok)
}

func (t *trial) segment(rows []int) (difference, bool) {
	var k, champion []float64
	var bad []bool
	n := 0
	for _, i := range rows {
		k, champion, bad = append(k, t.k.p[i]), append(champion, t.champion[i]), append(bad, t.bad[i])
		if t.bad[i] {
			n++
		}
	}
	if len(rows) < segmentRows || n < segmentEach || len(rows)-n < segmentEach {
		return difference{}, false
	}
	return aucDifference(k, champion, bad), true
}

// impact compares the approvals of groups of each protected feature: the lowest rate over the highest (adverse impact
// ratio, a screen and no legal test). It passes above the limit, or where it isn't lower than the champion's by more
// than the drop allowed.
func (t *trial) impact() {
	for f := range t.schema.Features {
		if !t.schema.Features[f].Protected {
			continue
		}
		groups := t.groups(f)
		was, n := t.ratio(groups, t.champion)
		is, _ := t.ratio(groups, t.k.p)
		if n < 2 {
			continue
		}
		t.add("approvals of the least over the most approved group, by "+t.schema.Features[f].Name, is, t.o.Limits.AIR,
			is >= t.o.Limits.AIR || is >= was-t.o.Limits.AIRDrop)
	}
}

func (t *trial) ratio(groups [][]int, p []float64) (ratio float64, n int) {
	low, high := math.Inf(1), 0.0
	for _, rows := range groups {
		if len(rows) < groupRows {
			continue
		}
		approved := 0
		for _, i := range rows {
			if t.schema.Decide(p[i]) == schema.Approve {
				approved++
			}
		}
		rate := float64(approved) / float64(len(rows))
		low, high, n = min(low, rate), max(high, rate), n+1
	}
	if high == 0 {
		return 1, n
	}
	return low / high, n
}

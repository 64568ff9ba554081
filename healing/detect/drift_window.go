package detect

import "time"

// trim keeps the newest blocks that hold at least the rule's minimum; while SUSPECT, all since the onset (bounded).
func (d *drift) trim(least int64) {
	keep := least
	if d.Alarmed {
		keep = max(least, suspectMax)
	}
	var n int64
	for i := len(d.Blocks) - 1; i >= 0; i-- {
		if n >= least && (n >= keep || d.Blocks[i].From.Before(d.Onset)) {
			d.Blocks = append([]driftBlock(nil), d.Blocks[i+1:]...)
			return
		}
		counts := d.Blocks[i].Counts
		n += int64(sumCounts(counts[:len(counts)-2]))
		if len(d.Blocks)-i > suspectMax/blockRows+int(least)/blockRows {
			d.Blocks = append([]driftBlock(nil), d.Blocks[i:]...)
			return
		}
	}
}

// over reports whether the newest rows, all from after the onset, show no change any more: none that keeps R of its
// alternative at held or above.
func (d *drift) over(bets *columnBets, held float64) bool {
	bins := len(d.Blocks[0].Counts) - 2
	counts := make([]uint32, bins+2)
	for i := len(d.Blocks) - 1; i >= 0 && sumCounts(counts[:bins+1]) < overRows; i-- {
		if d.Blocks[i].From.Before(d.Onset) {
			return false
		}
		add(counts, d.Blocks[i].Counts)
	}
	present, missing := sumCounts(counts[:bins]), counts[bins]
	outside := min(counts[bins+1], present)
	return present+missing >= overRows && d.Values.Refuted(bets.values, counts[:bins], held) &&
		d.Missing.Refuted(bets.missing, []uint32{present, missing}, held) &&
		d.Outside.Refuted(bets.outside, []uint32{present - outside, outside}, held)
}

// estimate computes PSI of values, and of missing against present, over the window. While SUSPECT the whole window since
// the onset counts, else the newest rows that suffice.
func (d *drift) estimate(c *Column, rule DriftConfig, z float64) {
	bins := c.Bins()
	counts := make([]int64, bins+2)
	for _, b := range d.Blocks {
		for i, n := range b.Counts {
			counts[i] += int64(n)
		}
	}
	d.PSI = EstimatePSI(c.grouped(c.Counts), c.grouped(counts[:bins]), z)
	present := int64(total(counts[:bins]))
	d.Absent = EstimatePSI([]int64{c.Present(), c.Missing}, []int64{present, counts[bins]}, z)
}

// sample keeps the newest sampled rows.
func (m *Monitor) sample(now time.Time, rows []Values) {
	for _, r := range rows {
		if len(r) == len(m.reference.Features) {
			m.rows = append(m.rows, sampledRow{now, r})
		}
	}
	if extra := len(m.rows) - keepRows; extra > 0 {
		m.rows = append(m.rows[:0], m.rows[extra:]...)
	}
}

// since returns the sampled values of a feature after a time.
func (m *Monitor) since(index int, t time.Time) []float64 {
	var values []float64
	for _, r := range m.rows {
		if r.at.After(t) {
			values = append(values, r.values[index])
		}
	}
	return values
}

// nameBug looks for a data bug behind an active signal, once a second. Without an onset the newest rows are taken.
func (m *Monitor) nameBug(now time.Time, c *Column, index int, d *drift) {
	if index < 0 || !d.Alarmed && d.PSI.Lower <= m.config.Drift.Confirm && d.Absent.Lower <= m.config.Drift.Confirm {
		return
	}
	if now.Sub(d.Named) < nameEvery && now.Sub(d.Named) >= 0 {
		return
	}
	values := m.since(index, d.Onset)
	if newest := len(values) - 500; newest > 0 {
		values = values[newest:]
	}
	if len(values) < bugSample {
		return
	}
	d.Named = now
	if b := NameBug(c, values); b != nil || d.Bug == nil {
		d.Bug = b
	}
}

// checked reports whether data bugs were looked for since the onset; scores have none, and without samples nothing can.
func (m *Monitor) checked(index int, d *drift) bool {
	return index < 0 || len(m.rows) == 0 || !d.Named.IsZero() && !d.Named.Before(d.Onset)
}

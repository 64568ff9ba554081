package detect

import "time"

const (
	blockRows  = 50   // least rows of a block of the PSI window, so that checkpoints stay small
	suspectMax = 2000 // rows the window grows to while SUSPECT: a small drift needs more than 500 to be sure
	keepRows   = 1000 // sampled rows kept for naming data bugs
	overRows   = 1000 // newest rows that end an alarm if they show no change
	nameEvery  = time.Second
)

// drift is the state of one feature, or of the champion's scores.
type drift struct {
	track
	// Version is the model version of scores; 0 for a feature.
	Version int `json:"version,omitempty"`
	// Values steps on bins, Missing and Outside on the rates of missing and of never seen values.
	Values  *ESR         `json:"values"`
	Missing *ESR         `json:"missing"`
	Outside *ESR         `json:"outside"`
	Blocks  []driftBlock `json:"blocks"`
	Last    time.Time    `json:"last"`
	Alarmed bool         `json:"alarmed"`
	Warming bool         `json:"warming"`
	Onset   time.Time    `json:"onset"`
	Change  string       `json:"change,omitempty"`
	Bug     *Bug         `json:"bug,omitempty"`
	Named   time.Time    `json:"named"`
	// PSI is of the values, Absent of missing against present.
	PSI    PSIEstimate `json:"psi"`
	Absent PSIEstimate `json:"absent"`
}

type driftBlock struct {
	From   time.Time `json:"from"`
	Counts []uint32  `json:"counts"` // bins, missing, outside
}

type sampledRow struct {
	at     time.Time
	values Values
}

// columnBets holds what follows from the reference alone.
type columnBets struct {
	column                   *Column
	values, missing, outside *Alternatives
}

// column returns the reference column of a drift target.
func (m *Monitor) column(name string) *Column {
	if m.reference == nil {
		return nil
	}
	if name == TargetScore {
		return m.reference.Scores[m.state.Desired.Champion]
	}
	return m.reference.Feature(name)
}

func (m *Monitor) bets(name string, c *Column) *columnBets {
	if b := m.columns[name]; b != nil && b.column == c {
		return b
	}
	present, rows := c.Present(), c.Present()+c.Missing
	gone := UpperRate(c.Missing, rows, 1e-4)
	// What the reference has not seen at all comes at most this often. A numeric column's own ends have one value each.
	beyond := UpperRate(2, present, 1e-3)
	if c.Categorical {
		beyond = UpperRate(c.Counts[len(c.Counts)-1], present, 1e-4)
	}
	b := &columnBets{
		column: c, values: NewAlternatives(c.Shares()),
		missing: NewBernoulli(min(gone, 0.99), RatesAbove(min(gone, 0.99))),
		outside: NewBernoulli(min(beyond, 0.99), RatesAbove(min(beyond, 0.99))),
	}
	m.columns[name] = b
	return b
}

func newDrift(b *columnBets, version int, limit float64) *drift {
	return &drift{
		Version: version, Values: NewESR(len(b.values.Ratio), limit),
		Missing: NewESR(len(b.missing.Ratio), limit), Outside: NewESR(len(b.outside.Ratio), limit),
	}
}

// fits reports whether a restored state is one of the column.
func (m *Monitor) fits(name string, d *drift) bool {
	c := m.column(name)
	if c == nil || d == nil {
		return false
	}
	bets := m.bets(name, c)
	if !d.Values.fits(bets.values) || !d.Missing.fits(bets.missing) || !d.Outside.fits(bets.outside) {
		return false
	}
	for _, b := range d.Blocks {
		if len(b.Counts) != c.Bins()+2 {
			return false
		}
	}
	return true
}

func (d *drift) restart(head float64, now time.Time) {
	for _, e := range []*ESR{d.Values, d.Missing, d.Outside} {
		e.Restart(head, now)
	}
	d.Blocks, d.Alarmed, d.Bug, d.Onset, d.Change = nil, false, nil, time.Time{}, ""
}

// stepDrift judges each feature and the champion's scores on the sketches against the reference.
func (m *Monitor) stepDrift(now time.Time, s Slot) {
	if m.reference == nil {
		return
	}
	var sketch *Sketch
	for _, k := range s.Sketches {
		if k.Reference == m.reference.ID && len(k.Features) == len(m.reference.Features) {
			sketch = k
		}
	}
	if sketch != nil {
		m.sample(now, sketch.Rows)
	}
	z := upperNormal(m.config.Drift.Alpha / float64(len(m.reference.Features)+1))
	for i := range m.reference.Features {
		c := &m.reference.Features[i]
		var counts []uint32
		if sketch != nil && len(sketch.Features[i]) == c.Bins()+2 {
			counts = sketch.Features[i]
		}
		m.stepColumn(now, c.Name, i, c, counts, z)
	}
	version := m.state.Desired.Champion
	if c := m.reference.Scores[version]; c != nil {
		var counts []uint32
		if sketch != nil && len(sketch.Scores[version]) == c.Bins()+2 {
			counts = sketch.Scores[version]
		}
		m.stepColumn(now, TargetScore, -1, c, counts, z)
	} else {
		delete(m.state.Drift, TargetScore)
	}
}

func (m *Monitor) stepColumn(now time.Time, name string, index int, c *Column, counts []uint32, z float64) {
	bets := m.bets(name, c)
	d := m.state.Drift[name]
	version := 0
	if index < 0 {
		version = m.state.Desired.Champion
	}
	if d == nil || d.Version != version {
		d = newDrift(bets, version, m.limit())
		m.state.Drift[name] = d
	}
	bins := c.Bins()
	d.Warming = c.Present()+c.Missing < m.config.Drift.MinReference
	if counts != nil && sumCounts(counts[:bins+1]) > 0 {
		d.take(now, bets, counts)
		m.alarm(now, bets, d)
		d.trim(m.config.Drift.MinSamples)
		d.estimate(c, m.config.Drift, z)
	}
	m.nameBug(now, c, index, d)
	d.judge(now, m.config.Drift, m.checked(index, d))
}

// take steps the detectors on a slot's counts and puts them into the window.
func (d *drift) take(now time.Time, bets *columnBets, counts []uint32) {
	bins := len(counts) - 2
	present, missing, outside := sumCounts(counts[:bins]), counts[bins], counts[bins+1]
	d.Values.Step(bets.values, counts[:bins], now)
	d.Missing.Step(bets.missing, []uint32{present, missing}, now)
	d.Outside.Step(bets.outside, []uint32{present - min(outside, present), min(outside, present)}, now)
	d.Last = now
	if n := len(d.Blocks); n > 0 && sumCounts(d.Blocks[n-1].Counts[:bins+1]) < blockRows {
		add(d.Blocks[n-1].Counts, counts)
		return
	}
	d.Blocks = append(d.Blocks, driftBlock{From: now, Counts: append([]uint32(nil), counts...)})
}

// alarm sets what the three detectors say together. An alarm stays until R has fallen to a hundredth, or its newest rows
// show no change: after a large one R needs long to fall, in a bin that is rare without it hours.
func (m *Monitor) alarm(now time.Time, bets *columnBets, d *drift) {
	values, missing, outside := d.Values.Statistic(bets.values), d.Missing.Statistic(bets.missing), d.Outside.Statistic(bets.outside)
	top := max(values, missing, outside)
	was := d.Alarmed
	if was && d.over(bets, m.threshold/100) {
		newest := d.Blocks
		d.restart(0, now)
		d.Blocks = newest
		return
	}
	d.Alarmed = !d.Warming && (top >= m.threshold || was && top >= m.threshold/100)
	if !d.Alarmed {
		d.Onset, d.Change = time.Time{}, ""
		return
	}
	if was {
		return
	}
	// The kind of change and its onset are those of the alarm: later R is at its cap and tells less.
	d.Change, d.Onset = d.Values.Best(bets.values)
	if missing > values && missing >= outside {
		d.Change, d.Onset = d.Missing.Best(bets.missing)
		d.Change = "missing " + d.Change
	} else if outside > values {
		d.Change, d.Onset = d.Outside.Best(bets.outside)
		d.Change = "never seen " + d.Change
	}
}

// judge applies the rule with its hysteresis. A drift is confirmed only after its data bugs were looked for.
func (d *drift) judge(now time.Time, rule DriftConfig, checked bool) {
	defer func() {
		if d.State == Healthy || d.State == Warming {
			d.Bug, d.Named = nil, time.Time{}
		}
	}()
	worst := d.worst(rule)
	fresh := !d.Last.IsZero() && now.Sub(d.Last) <= rule.Stale
	switch {
	case !fresh:
		d.set(Unknown, now)
	case worst.N < rule.MinSamples && d.Alarmed:
		d.set(Suspect, now)
	case worst.N < rule.MinSamples:
		d.set(Unknown, now)
	case worst.Lower > rule.Confirm && checked:
		d.set(Confirmed, now)
	case d.State == Confirmed && worst.Corrected >= rule.Clear:
	case d.Alarmed || worst.Lower > rule.Confirm:
		d.set(Suspect, now)
	case d.Warming:
		d.set(Warming, now)
	default:
		d.set(Healthy, now)
	}
}

// worst is the larger of the two PSIs; a column that is all missing has only the second.
func (d *drift) worst(rule DriftConfig) PSIEstimate {
	if d.Absent.N >= rule.MinSamples && (d.Absent.Lower > rule.Clear && d.PSI.N < rule.MinSamples || d.Absent.Lower > d.PSI.Lower) {
		return d.Absent
	}
	return d.PSI
}

// clear reports whether the rule alone says that there is no drift: PSI is under its limit on enough values.
func (d *drift) clear(rule DriftConfig) bool {
	enough := max(d.PSI.N, d.Absent.N) >= rule.MinSamples
	return enough && d.Absent.Corrected < rule.Clear && (d.PSI.N < rule.MinSamples || d.PSI.Corrected < rule.Clear)
}

// shown is the PSI that people are shown, as it was measured: that of missing against present where it says more. worst,
// which is judged by, may be the one of missing though nothing is: its bound is the closer one, of next to nothing.
func (d *drift) shown(rule DriftConfig) PSIEstimate {
	if d.Absent.N >= rule.MinSamples && (d.PSI.N < rule.MinSamples || d.Absent.Value > d.PSI.Value) {
		return d.Absent
	}
	return d.PSI
}

func sumCounts(counts []uint32) (n uint32) {
	for _, c := range counts {
		n += c
	}
	return n
}

package chart

import (
	"math"
	"time"
)

// reach is the range of values drawn: the limit is always in it.
func (c Series) reach() (low, high float64) {
	low, high = math.Inf(1), 0
	each := func(v float64) {
		if finite(v) && v >= 0 && (!c.Log || v > 0) {
			low, high = min(low, v), max(high, v)
		}
	}
	for _, l := range c.Lines {
		for _, p := range l.Points {
			each(p.Value)
		}
	}
	if c.Limit > 0 {
		each(c.Limit)
	}
	if high == 0 {
		return 0.1, 1
	}
	if c.Log {
		return math.Pow(10, math.Floor(math.Log10(max(low, 1e-6)))), math.Pow(10, math.Ceil(math.Log10(high*1.05)))
	}
	return 0, high * 1.15
}

func (c Series) x(t time.Time) float64 {
	whole := c.To.Sub(c.From).Seconds()
	if whole <= 0 {
		return seriesLeft
	}
	return seriesLeft + t.Sub(c.From).Seconds()/whole*(c.width()-seriesLeft-seriesRight)
}

func (c Series) y(v, low, high float64) float64 {
	share := (v - low) / (high - low)
	if c.Log {
		share = math.Log10(v/low) / math.Log10(high/low)
	}
	return seriesHeight - seriesFoot - min(1, max(0, share))*(seriesHeight-seriesTop-seriesFoot)
}

// ticks are round values: powers of ten on a logarithmic scale.
func (c Series) ticks(low, high float64) []float64 {
	var out []float64
	if c.Log {
		for v := low; v <= high*1.001 && len(out) < 12; v *= 10 {
			out = append(out, v)
		}
		return out
	}
	step := math.Pow(10, math.Floor(math.Log10(high/2)))
	for high/step > 5 {
		step *= 2
	}
	for v := 0.0; v <= high && len(out) < 12; v += step {
		out = append(out, v)
	}
	return out
}

// amount writes a value of the axis; a thousand milliseconds are a second.
func (c Series) amount(v float64) string {
	if c.Unit == " ms" && v >= 1000 {
		return number(v/1000) + " s"
	}
	return number(v) + c.Unit
}

// clock writes the time axis: whole steps of the clock, at most some eight.
func (c Series) clock(s *svg) {
	steps := []time.Duration{10 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour}
	step := steps[len(steps)-1]
	for _, d := range steps {
		if c.To.Sub(c.From) <= time.Duration(c.width()/88)*d {
			step = d
			break
		}
	}
	layout := "15:04"
	if step < time.Minute {
		layout = "15:04:05"
	}
	t := c.From.Truncate(step)
	for range 20 {
		if t = t.Add(step); t.After(c.To) {
			return
		}
		if x := c.x(t); x < c.width()-seriesRight-18 {
			s.text("tick is-x", x, seriesHeight-6, t.UTC().Format(layout))
		}
	}
}

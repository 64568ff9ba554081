package fault

import (
	"math"
	"slices"

	"aura/agents/event"
	"aura/mlops/schema"
	"aura/mlops/synth"
)

// of returns the active faults of a target; without faults it costs one atomic load.
func (r *Registry) of(target string) []*active {
	t := r.table.Load()
	if t == nil {
		return nil
	}
	return (*t)[target]
}

// Shifts draws how the population is shifted that the next applicant comes from, by feature; nil for not at all.
func (r *Registry) Shifts() map[string]synth.Shift {
	var out map[string]synth.Shift
	for _, a := range r.of(Source) {
		if a.shift == (synth.Shift{}) || !r.strikes(a, 0) {
			continue
		}
		if out == nil {
			out = make(map[string]synth.Shift, 1)
		}
		out[a.Feature] = after(out[a.Feature], a.shift)
	}
	return out
}

// after returns the shift that does s and then t.
func after(s, t synth.Shift) synth.Shift {
	if s.Scale == 0 {
		s.Scale = 1
	}
	if t.Scale == 0 {
		t.Scale = 1
	}
	return synth.Shift{Scale: s.Scale * t.Scale, Add: s.Add*t.Scale + t.Add}
}

// Record returns an application's record as the source sends it; r itself is left as it is. drawn says that its applicant
// was drawn from the shifted population (Shifts): then only what breaks the feed, or moves categories, is done here. Values
// are held inside the schema's bounds.
func (r *Registry) Record(record schema.Record, drawn bool) schema.Record {
	changed := false
	for _, a := range r.of(Source) {
		moves := a.shift != (synth.Shift{})
		if a.Feature == "" || moves && drawn || !r.strikes(a, 0) {
			continue
		}
		i := r.opts.Data.Schema.Index(a.Feature)
		if i < 0 || i >= len(record.Values) || record.Names[i] != a.Feature {
			continue
		}
		if !changed {
			record.Values, changed = slices.Clone(record.Values), true
		}
		record.Values[i] = a.change(&r.opts.Data.Schema.Features[i], record.Values[i])
	}
	return record
}

// change does the fault to a value.
func (a *active) change(column *schema.Feature, v schema.Value) schema.Value {
	switch {
	case a.Kind == Missing:
		return schema.Missing()
	case a.Category != "":
		return schema.Text(a.Category)
	case a.Kind == Stuck:
		return schema.Number(hold(column, *a.Value))
	}
	x, ok := v.Float()
	if !ok {
		return v // missing stays missing
	}
	if a.Kind == Unit {
		return schema.Number(hold(column, x*a.Factor))
	}
	scale := a.shift.Scale
	if scale == 0 {
		scale = 1
	}
	return schema.Number(hold(column, x*scale+a.shift.Add))
}

// hold keeps a number inside the schema's bounds.
func hold(column *schema.Feature, x float64) float64 {
	if column.Integer {
		x = math.Round(x)
	}
	if column.Min != nil {
		x = max(x, *column.Min)
	}
	if column.Max != nil {
		x = min(x, *column.Max)
	}
	return x
}

// Outcome returns an outcome as it is reported.
func (r *Registry) Outcome(o event.Outcome) event.Outcome {
	for _, a := range r.of(Source) {
		if a.Kind != Noise && a.Kind != Flip || a.Category != "" && a.Category != string(o) || !r.strikes(a, 0) {
			continue
		}
		if o == event.Repaid {
			o = event.Defaulted
		} else {
			o = event.Repaid
		}
	}
	return o
}

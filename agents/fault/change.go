package fault

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"aura/agents/event"
	"aura/mlops/schema"
	"aura/mlops/synth"
)

// Change is what a fault of the source does to values. Its fields are zero for the other faults.
type Change struct {
	// Feature is the column, by its name in the schema.
	Feature string
	// Mean is where a drift brings the mean of numbers by moving all of them; nil for another change.
	Mean *float64
	// Shift is added by a drift, after Scale.
	Shift float64
	// Scale multiplies, in a drift; 0 is 1.
	Scale float64
	// Value is what a stuck number is stuck at.
	Value *float64
	// Factor is what a unit error multiplies by: 12, 0.001.
	Factor float64
	// Category is that of a drift or of a stuck value of a categorical feature; of a flip the kind of outcomes that are
	// inverted, "repaid" or "defaulted", empty for both.
	Category string
}

// Data says what the process' source sends.
type Data struct {
	Schema *schema.Schema
	// Mean returns the mean of a numeric feature as the source sends it without faults; NaN where it isn't known.
	Mean func(feature string) float64
}

// shiftOf returns what a checked drift of numbers does; the zero Shift for other faults.
func (d *Data) shiftOf(f Fault) synth.Shift {
	switch {
	case f.Kind != Drift || f.Category != "":
		return synth.Shift{}
	case f.Mean != nil:
		return synth.Shift{Add: *f.Mean - d.Mean(f.Feature)}
	}
	return synth.Shift{Scale: f.Scale, Add: f.Shift}
}

// checkChange refuses a change that its kind doesn't know, needs and hasn't, or that the schema would turn away at the edge.
func (o *Options) checkChange(f Fault) error {
	if err := f.foreign(); err != nil {
		return err
	}
	switch {
	case f.Kind == BadModel && o.BadModel == nil:
		return &InvalidError{"kind", "is bad-model", "there is no model to train here"}
	case TargetOf(f.Kind) != Source:
		return nil
	case o.Data == nil:
		return &InvalidError{"target", "is source, and this process has none", "run with the simulator or with --source, or post what you want to be seen"}
	case f.Kind == Noise || f.Kind == Flip:
		return f.checkLabel()
	}
	i := o.Data.Schema.Index(f.Feature)
	if i < 0 {
		return &InvalidError{"feature", fmt.Sprintf("is %q", f.Feature), "use one of " + strings.Join(o.Data.Schema.Names(), ", ")}
	}
	column := &o.Data.Schema.Features[i]
	if f.Kind == Missing {
		if !column.Missing {
			return &InvalidError{"feature", "is " + f.Feature + ", which may not be missing", "such applications are refused at the edge; use a feature whose schema says missing: true, or stuck, drift or unit"}
		}
		return nil
	}
	if column.Kind == schema.Categorical {
		return f.checkCategory(column)
	}
	return o.Data.checkNumber(f, column)
}

// foreign refuses a field that means nothing for the kind.
func (f *Fault) foreign() error {
	for _, field := range []struct {
		name  string
		set   bool
		kinds []Kind
	}{
		{"feature", f.Feature != "", []Kind{Drift, Missing, Stuck, Unit}},
		{"mean", f.Mean != nil, []Kind{Drift}},
		{"shift", f.Shift != 0, []Kind{Drift}},
		{"scale", f.Scale != 0, []Kind{Drift}},
		{"value", f.Value != nil, []Kind{Stuck}},
		{"factor", f.Factor != 0, []Kind{Unit}},
		{"category", f.Category != "", []Kind{Drift, Stuck, Flip}},
	} {
		if field.set && !slices.Contains(field.kinds, f.Kind) {
			return &InvalidError{field.name, "means nothing for kind " + string(f.Kind), fmt.Sprintf("leave it out; it belongs to %v", field.kinds)}
		}
	}
	return nil
}

func (f *Fault) checkLabel() error {
	switch f.Category {
	case "", string(event.Repaid), string(event.Defaulted):
		return nil
	}
	return &InvalidError{"category", fmt.Sprintf("is %q", f.Category), "name the outcomes to invert: repaid or defaulted, or leave it out for both"}
}

func (f *Fault) checkCategory(column *schema.Feature) error {
	switch {
	case f.Kind == Unit, f.Mean != nil, f.Shift != 0, f.Scale != 0, f.Value != nil:
		return &InvalidError{"feature", "is " + f.Feature + ", which has categories and no numbers", "use drift or stuck with a category"}
	case !slices.Contains(column.Categories, f.Category):
		return &InvalidError{"category", fmt.Sprintf("is %q", f.Category), "use one of " + strings.Join(column.Categories, ", ")}
	}
	return nil
}

// checkNumber also holds the changed mean inside the schema's bounds: what lies outside is refused at the edge, and no
// source gets it in.
func (d *Data) checkNumber(f Fault, column *schema.Feature) error {
	if f.Category != "" {
		return &InvalidError{"category", "means nothing for the number " + f.Feature, "use mean, shift, scale, value or factor"}
	}
	mean := d.Mean(f.Feature)
	var field string
	var to float64
	switch f.Kind {
	case Drift:
		if err := f.checkDrift(mean); err != nil {
			return err
		}
		field = "shift"
		if f.Mean != nil {
			field, to = "mean", *f.Mean
			break
		}
		scale := f.Scale
		if scale != 0 {
			field = "scale"
		} else {
			scale = 1
		}
		to = mean*scale + f.Shift
	case Stuck:
		if field = "value"; f.Value == nil {
			return &InvalidError{"value", "is missing", "give the number that " + f.Feature + " shall be stuck at"}
		}
		to = *f.Value
	case Unit:
		if field = "factor"; !(f.Factor > 0) || f.Factor == 1 || math.IsInf(f.Factor, 0) {
			return &InvalidError{"factor", fmt.Sprintf("is %v", f.Factor), "give what values shall be multiplied by, such as 12 or 0.001"}
		}
		to = mean * f.Factor
	}
	if column.Min != nil && to < *column.Min || column.Max != nil && to > *column.Max || math.IsInf(to, 0) || math.IsNaN(to) && field != "shift" && field != "scale" && field != "factor" {
		return &InvalidError{
			field, fmt.Sprintf("brings %s to about %.4g, outside the schema's bounds", f.Feature, to),
			"applications outside them are refused at the edge; stay between " + bounds(column),
		}
	}
	return nil
}

func (f *Fault) checkDrift(mean float64) error {
	finite := f.Shift-f.Shift+f.Scale-f.Scale == 0 && (f.Mean == nil || *f.Mean-*f.Mean == 0)
	switch {
	case !finite || f.Scale < 0:
		return &InvalidError{"scale", fmt.Sprintf("and shift are %v and %v", f.Scale, f.Shift), "give finite numbers, and a scale above 0"}
	case f.Mean == nil && f.Shift == 0 && (f.Scale == 0 || f.Scale == 1):
		return &InvalidError{"mean", "is missing", "say how the population shall move: a mean, a shift or a scale"}
	case f.Mean != nil && (f.Shift != 0 || f.Scale != 0):
		return &InvalidError{"mean", "is given with a shift or a scale", "give the mean, or the others"}
	case f.Mean != nil && math.IsNaN(mean):
		return &InvalidError{"mean", "can't be reached: the mean of now is not known", "use shift or scale"}
	}
	return nil
}

func bounds(column *schema.Feature) string {
	low, high := "any", "any"
	if column.Min != nil {
		low = fmt.Sprint(*column.Min)
	}
	if column.Max != nil {
		high = fmt.Sprint(*column.Max)
	}
	return low + " and " + high
}

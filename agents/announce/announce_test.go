package announce

import (
	"reflect"
	"testing"
	"time"

	"aura/mlops/schema"
	"aura/store"
)

// full is a value of a type with every exported field set to something that isn't zero, so that a field which is
// forgotten on the way shows.
func full[T any](t *testing.T) T {
	t.Helper()
	var v T
	fill(t, reflect.ValueOf(&v).Elem())
	return v
}

func fill(t *testing.T, v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Int, reflect.Int64:
		v.SetInt(7_000)
	case reflect.Float64:
		v.SetFloat(.25)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(t, v.Index(0))
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)))
			return
		}
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	case reflect.Uint8:
		v.SetUint(1)
	default:
		t.Fatalf("%s is not filled", v.Type())
	}
}

// whole names the fields of an event that are still zero.
func whole(v reflect.Value, path string) (missing []string) {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	for i := range v.NumField() {
		f, name := v.Field(i), path+v.Type().Field(i).Name
		if v.Type().Field(i).Anonymous {
			missing = append(missing, whole(f, name+".")...)
			continue
		}
		if f.IsZero() {
			missing = append(missing, name)
		}
	}
	return missing
}

// TestNothingOfTheRowIsForgotten: whoever adds a field to an event must announce it.
func TestNothingOfTheRowIsForgotten(t *testing.T) {
	d := Decision(full[store.Decision](t))
	if m := whole(reflect.ValueOf(d), ""); len(m) > 0 {
		t.Errorf("a decision is announced without %v", m)
	}
	f := Feedback(full[store.Feedback](t))
	if m := whole(reflect.ValueOf(f), ""); len(m) > 0 {
		t.Errorf("an outcome is announced without %v", m)
	}
	if d.LatencyMS != .007 || d.Decision != "x" || len(d.Reasons) != 1 || d.Reasons[0] != (schema.Reason{Code: "x", Feature: "x", Text: "x", Contribution: .25}) {
		t.Errorf("%+v", d)
	}
}

// TestAnApplicationWithoutAClientsIdGoesByOurs.
func TestAnApplicationWithoutAClientsIdGoesByOurs(t *testing.T) {
	for _, given := range []string{"", "A-1"} {
		want := given
		if want == "" {
			want = "id-1"
		}
		if s := Subject(store.Application{ID: "id-1", ApplicationID: given}); s.ApplicationID != want || s.ID != "id-1" {
			t.Errorf("%q: %+v", given, s)
		}
		if d := Decision(store.Decision{ID: "id-1", ApplicationID: given}); d.ApplicationID != want {
			t.Errorf("a decision of %q: %+v", given, d.Subject)
		}
	}
}

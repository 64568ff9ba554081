package feature

import (
	"errors"
	"testing"
	"time"

	"aura/agents"
	"aura/agents/bus"
	"aura/agents/event"
	"aura/healing/detect"
	"aura/mlops/dataset"
	"aura/mlops/schema"
)

// desk is one life of the agent with its handlers, without a supervisor.
type desk struct {
	spec agents.Spec
	ref  *detect.Reference
}

func newDesk(tb testing.TB) *desk {
	tb.Helper()
	d := &desk{ref: reference(tb, "r1")}
	d.spec = Spec(Options{Schema: schema.Builtin(), Reference: func() *detect.Reference { return d.ref }})
	return d
}

func reference(tb testing.TB, id string) *detect.Reference {
	tb.Helper()
	s := schema.Builtin()
	var fields []detect.Field
	for _, f := range s.Features {
		fields = append(fields, detect.Field{Name: f.Name, Categorical: f.Kind == schema.Categorical})
	}
	var rows [][]float64
	for _, r := range dataset.Synthetic(2000, 1) {
		rows = append(rows, r.Values)
	}
	ref, err := detect.BuildReference(id, fields, rows)
	if err != nil {
		tb.Fatal(err)
	}
	return ref
}

func (d *desk) lane() agents.Handler {
	return d.spec.NewHandler(agents.Life{Agent: Name, Incarnation: 1})
}

func raw(tb testing.TB, id string, values ...float64) *event.RawEvent {
	tb.Helper()
	s := schema.Builtin()
	record, err := s.Record(values)
	if err != nil {
		tb.Fatal(err)
	}
	return &event.RawEvent{Subject: event.Subject{ID: id, ApplicationID: id, AcceptedAt: time.Now()}, Features: record}
}

func handle(tb testing.TB, h agents.Handler, e event.Event, attempt int) ([]event.Event, error) {
	tb.Helper()
	out, emitted := agents.NewOutbox(time.Now)
	m := bus.NewMessage(e, time.Now())
	m.Attempt = attempt
	if err := h.Handle(tb.Context(), m, out); err != nil {
		return nil, err
	}
	if f, is := h.(agents.Finisher); is {
		if err := f.Finish(tb.Context(), out); err != nil {
			tb.Fatal(err)
		}
	}
	return emitted(), nil
}

// counted is how many rows the agent's next beat carries, by reference.
func (d *desk) counted() map[string]uint32 {
	out := map[string]uint32{}
	if c := d.spec.Counts(); c != nil {
		for _, s := range c.Sketches {
			out[s.Reference] += s.N
		}
	}
	return out
}

func TestVectorIsWhatTheSchemaSays(t *testing.T) {
	d, s := newDesk(t), schema.Builtin()
	in := raw(t, "a", 700, 30, 50_000, 10_000, 5)
	out, err := handle(t, d.lane(), in, 1)
	if err != nil {
		t.Fatal(err)
	}
	f := out[0].(*event.Features)
	want := s.Vector(schema.Vector{700, 30, 50_000, 10_000, 5})
	if f.Subject != in.Subject || len(f.Vector) != len(want) || f.Values[0] != 700 {
		t.Fatalf("%+v", f)
	}
	for i := range want {
		if f.Vector[i] != want[i] {
			t.Errorf("input %d is %g, want %g", i, f.Vector[i], want[i])
		}
	}
}

// TestWhatDoesNotFitIsAnError: another producer than our edge may have published it.
func TestWhatDoesNotFitIsAnError(t *testing.T) {
	d := newDesk(t)
	short := raw(t, "a", 700, 30, 50_000, 10_000, 5)
	short.Features.Names, short.Features.Values = short.Features.Names[:3], short.Features.Values[:3]
	if _, err := handle(t, d.lane(), short, 1); !errors.As(err, new(schema.FieldErrors)) {
		t.Errorf("three of five features: %v", err)
	}
	if _, err := handle(t, d.lane(), &event.Features{}, 1); err == nil {
		t.Error("an event of another topic was taken")
	}
	if n := d.counted(); len(n) != 0 {
		t.Errorf("counted what was not handled: %v", n)
	}
}

// TestEachApplicationCountsOnce: not again when it is delivered again or swept, whichever lane it comes by.
func TestEachApplicationCountsOnce(t *testing.T) {
	d := newDesk(t)
	lanes := []agents.Handler{d.lane(), d.lane()}
	again := raw(t, "b", 700, 30, 50_000, 10_000, 5)
	again.Again = true
	for _, c := range []struct {
		e       *event.RawEvent
		lane    int
		attempt int
	}{
		{raw(t, "a", 700, 30, 50_000, 10_000, 5), 0, 1},
		{raw(t, "a", 700, 30, 50_000, 10_000, 5), 0, 2},
		{raw(t, "b", 700, 30, 50_000, 10_000, 5), 1, 1},
		{again, 0, 1},
	} {
		if _, err := handle(t, lanes[c.lane], c.e, c.attempt); err != nil {
			t.Fatal(err)
		}
	}
	if n := d.counted(); n["r1"] != 2 || len(n) != 1 {
		t.Errorf("%v, want 2 against r1", n)
	}
	if n := d.counted(); len(n) != 0 {
		t.Errorf("the next beat carries %v again", n)
	}
}

// TestCountsFollowTheReference: nothing of the old one is counted against the new one, and nothing is lost; without a
// reference nothing is counted.
func TestCountsFollowTheReference(t *testing.T) {
	d := newDesk(t)
	lane, old := d.lane(), d.ref
	for i, ref := range []*detect.Reference{old, reference(t, "r2"), nil, old} {
		d.ref = ref
		for range i + 1 {
			if _, err := handle(t, lane, raw(t, "x", 700, 30, 50_000, 10_000, 5), 1); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := d.counted(); n["r1"] != 1+4 || n["r2"] != 2 || len(n) != 2 {
		t.Errorf("%v, want 5 against r1 and 2 against r2", n)
	}
}

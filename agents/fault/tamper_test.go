package fault_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aura/agents/event"
	"aura/agents/fault"
	"aura/agents/source"
	"aura/mlops/schema"
	"aura/mlops/synth"
)

var _ source.Tamper = (*fault.Registry)(nil)

// loans is a schema with what the built-in one lacks: a category, and a feature that may be missing.
const loans = `
name: loans
version: "1"
label: {column: bad, bad: "1"}
features:
  - {name: purpose, kind: categorical, categories: [car, house, other]}
  - {name: age, kind: numeric, min: 18, max: 100, integer: true, missing: true}
  - {name: income, kind: numeric, min: 0}
policy:
  approve_below: 0.2
  decline_above: 0.5
  safe_mode: {default: {decision: REFER}}
`

func sourced(t *testing.T, s *schema.Schema, means map[string]float64) *fault.Registry {
	t.Helper()
	r := fault.New(fault.Options{Seed: 1, MaxTTL: time.Hour, Data: &fault.Data{Schema: s, Mean: func(f string) float64 {
		if m, ok := means[f]; ok {
			return m
		}
		return math.NaN()
	}}})
	t.Cleanup(r.Close)
	return r
}

func ptr(x float64) *float64 { return &x }

func loanSchema(t *testing.T) *schema.Schema {
	t.Helper()
	s, err := schema.Parse([]byte(loans))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRefusedChanges(t *testing.T) {
	r := sourced(t, loanSchema(t), map[string]float64{"age": 40, "income": 30_000})
	for _, c := range []struct {
		field string
		f     fault.Fault
	}{
		{"target", fault.Fault{Target: "model", Kind: fault.Drift, Change: fault.Change{Feature: "age", Shift: 5}}},
		{"feature", fault.Fault{Kind: fault.Drift, Change: fault.Change{Shift: 5}}},
		{"feature", fault.Fault{Kind: fault.Drift, Change: fault.Change{Feature: "agee", Shift: 5}}},
		{"feature", fault.Fault{Kind: fault.Missing, Change: fault.Change{Feature: "income"}}},
		{"feature", fault.Fault{Kind: fault.Unit, Change: fault.Change{Feature: "purpose", Factor: 12}}},
		{"feature", fault.Fault{Kind: fault.Noise, Share: 0.4, Change: fault.Change{Feature: "age"}}},
		{"mean", fault.Fault{Kind: fault.Drift, Change: fault.Change{Feature: "age"}}},
		{"mean", fault.Fault{Kind: fault.Drift, Change: fault.Change{Feature: "age", Mean: ptr(30), Shift: 1}}},
		{"mean", fault.Fault{Kind: fault.Drift, Change: fault.Change{Feature: "age", Mean: ptr(200)}}},
		{"mean", fault.Fault{Kind: fault.Stuck, Change: fault.Change{Feature: "age", Value: ptr(30), Mean: ptr(1)}}},
		{"scale", fault.Fault{Kind: fault.Drift, Change: fault.Change{Feature: "age", Scale: math.NaN()}}},
		{"scale", fault.Fault{Kind: fault.Drift, Change: fault.Change{Feature: "age", Scale: 3}}},
		{"shift", fault.Fault{Kind: fault.Drift, Change: fault.Change{Feature: "age", Shift: -30}}},
		{"value", fault.Fault{Kind: fault.Stuck, Change: fault.Change{Feature: "age"}}},
		{"value", fault.Fault{Kind: fault.Stuck, Change: fault.Change{Feature: "age", Value: ptr(0)}}},
		{"factor", fault.Fault{Kind: fault.Unit, Change: fault.Change{Feature: "age"}}},
		{"factor", fault.Fault{Kind: fault.Unit, Change: fault.Change{Feature: "age", Factor: 12}}},
		{"category", fault.Fault{Kind: fault.Drift, Change: fault.Change{Feature: "purpose", Category: "boat"}}},
		{"category", fault.Fault{Kind: fault.Drift, Change: fault.Change{Feature: "age", Category: "car"}}},
		{"category", fault.Fault{Kind: fault.Flip, Change: fault.Change{Category: "lost"}}},
		{"category", fault.Fault{Kind: fault.Latency, Target: "model", Delay: time.Second, Change: fault.Change{Category: "car"}}},
		{"share", fault.Fault{Kind: fault.Noise, Share: 1}},
		{"delay", fault.Fault{Kind: fault.Noise, Share: 0.4, Delay: time.Second}},
		{"ttl", fault.Fault{Kind: fault.Noise, Share: 0.4, TTL: -1}},
		{"kind", fault.Fault{Target: fault.Model, Kind: fault.BadModel}},
	} {
		if c.f.Target == "" {
			c.f.Target = fault.Source
		}
		if c.f.Share == 0 {
			c.f.Share = 1
		}
		if c.f.TTL == 0 {
			c.f.TTL = time.Minute
		}
		var invalid *fault.InvalidError
		if _, err := r.Inject(c.f); !errors.As(err, &invalid) || invalid.Field != c.field || invalid.Problem == "" || invalid.Remedy == "" {
			t.Errorf("%+v: %v, want a refusal of %s", c.f, err, c.field)
		}
	}
	none := fault.New(fault.Options{})
	defer none.Close()
	if _, err := none.Inject(fault.Fault{Target: fault.Source, Kind: fault.Noise, Share: 0.4, TTL: time.Minute}); err == nil {
		t.Error("a process without a source takes a fault of it")
	}
}

// A drift of the simulator is another population, with outcomes that follow from the shifted applicants: exactly what the
// generator gives when it is shifted, not rows with changed columns and old outcomes.
func TestDriftShiftsThePopulation(t *testing.T) {
	r := sourced(t, schema.Builtin(), map[string]float64{"credit_score": 700})
	inject(t, r, fault.Fault{Target: fault.Source, Kind: fault.Drift, Change: fault.Change{Feature: "credit_score", Mean: ptr(550)}})
	next, want := source.Simulator(synth.New(7), r), synth.New(7)
	if err := want.Shift("credit_score", synth.Shift{Add: -150}); err != nil {
		t.Fatal(err)
	}
	bad := 0
	for i := range 2000 {
		a, err := next()
		if err != nil {
			t.Fatal(err)
		}
		record, defaulted := want.Next()
		if fmt.Sprint(a.Record) != fmt.Sprint(record) || a.Defaulted != defaulted {
			t.Fatalf("application %d is %v %v, want %v %v", i, a.Record, a.Defaulted, record, defaulted)
		}
		if defaulted {
			bad++
		}
	}
	if bad < 1450 { // 0.40 of the unshifted population, 0.79 of this one
		t.Errorf("%d of 2000 default", bad)
	}
	if f := r.List()[0]; f.Hits != 2000 {
		t.Errorf("%d hits", f.Hits)
	}
	r.Clear()
	a, _ := next()
	record, _ := func() (schema.Record, bool) { _ = want.Shift("credit_score", synth.Shift{}); return want.Next() }()
	if fmt.Sprint(a.Record) != fmt.Sprint(record) {
		t.Errorf("after the fault %v, want %v", a.Record, record)
	}
}

func TestShareOfAPopulation(t *testing.T) {
	r := sourced(t, schema.Builtin(), nil)
	inject(t, r, fault.Fault{Target: fault.Source, Kind: fault.Drift, Share: 0.3, Change: fault.Change{Feature: "income", Scale: 2}})
	inject(t, r, fault.Fault{Target: fault.Source, Kind: fault.Drift, Change: fault.Change{Feature: "income", Shift: 100}})
	hit := 0
	for range 2000 {
		switch s := r.Shifts(); s["income"] {
		case synth.Shift{Scale: 2, Add: 100}:
			hit++
		case synth.Shift{Scale: 1, Add: 100}:
		default:
			t.Fatalf("shifts %v", s)
		}
	}
	if hit < 500 || hit > 700 {
		t.Errorf("%d of 2000 at a share of 0.3", hit)
	}
}

// A broken feed changes what is sent and leaves the outcome as the applicant's true values make it.
func TestBrokenFeed(t *testing.T) {
	r := sourced(t, schema.Builtin(), map[string]float64{"income": 52_000, "debt_ratio": 37})
	inject(t, r, fault.Fault{Target: fault.Source, Kind: fault.Unit, Change: fault.Change{Feature: "income", Factor: 1.0 / 12}})
	inject(t, r, fault.Fault{Target: fault.Source, Kind: fault.Stuck, Times: 500, Change: fault.Change{Feature: "debt_ratio", Value: ptr(33)}})
	next, want := source.Simulator(synth.New(7), r), synth.New(7)
	for i := range 1000 {
		a, _ := next()
		record, defaulted := want.Next()
		income, _ := record.Values[2].Float()
		got, _ := a.Record.Values[2].Float()
		if wanted := max(income/12, 1000); math.Abs(got-wanted) > 1e-9*wanted || a.Defaulted != defaulted {
			t.Fatalf("income %v, want %v; outcome %v, want %v", got, wanted, a.Defaulted, defaulted)
		}
		debt, _ := a.Record.Values[1].Float()
		if was, _ := record.Values[1].Float(); i < 500 && debt != 33 || i >= 500 && debt != was {
			t.Fatalf("application %d: debt %v", i, debt)
		}
		if _, err := schema.Builtin().Check(a.Record); err != nil {
			t.Fatalf("the edge would refuse it: %v", err)
		}
	}
	if n := len(r.List()); n != 1 {
		t.Errorf("%d faults are left, the one with times 500 is spent", n)
	}
}

// From a file: columns change, ids and outcomes don't, and the file's rows stay as they are.
func TestTamperedRows(t *testing.T) {
	s := loanSchema(t)
	r := sourced(t, s, map[string]float64{"age": 40, "income": 30_000})
	record, err := s.Record(schema.Vector{0, 40, 30_000})
	if err != nil {
		t.Fatal(err)
	}
	was := fmt.Sprint(record)
	next := source.Tampered(func() (source.Application, error) {
		return source.Application{ID: "a", Record: record, Defaulted: true}, nil
	}, r)
	for _, c := range []struct {
		change fault.Fault
		want   schema.Vector
	}{
		{fault.Fault{Kind: fault.Drift, Change: fault.Change{Feature: "age", Mean: ptr(50.4)}}, schema.Vector{0, 50, 30_000}},
		{fault.Fault{Kind: fault.Drift, Change: fault.Change{Feature: "income", Scale: 2, Shift: 5}}, schema.Vector{0, 40, 60_005}},
		{fault.Fault{Kind: fault.Drift, Change: fault.Change{Feature: "purpose", Category: "other"}}, schema.Vector{2, 40, 30_000}},
		{fault.Fault{Kind: fault.Stuck, Change: fault.Change{Feature: "purpose", Category: "house"}}, schema.Vector{1, 40, 30_000}},
		{fault.Fault{Kind: fault.Stuck, Change: fault.Change{Feature: "income", Value: ptr(0)}}, schema.Vector{0, 40, 0}},
		{fault.Fault{Kind: fault.Missing, Change: fault.Change{Feature: "age"}}, schema.Vector{0, math.NaN(), 30_000}},
	} {
		c.change.Target = fault.Source
		inject(t, r, c.change)
		a, err := next()
		want, _ := s.Record(c.want)
		if err != nil || fmt.Sprint(a.Record) != fmt.Sprint(want) || a.ID != "a" || !a.Defaulted {
			t.Errorf("%+v: %v, want %v (%v)", c.change.Change, a, want, err)
		}
		r.Clear()
	}
	if fmt.Sprint(record) != was {
		t.Errorf("the row itself is %v now", record)
	}
	if a, _ := next(); fmt.Sprint(a.Record) != was {
		t.Errorf("after the faults %v", a.Record)
	}
}

func TestOutcomes(t *testing.T) {
	count := func(r *fault.Registry, o event.Outcome) (inverted int) {
		for range 2000 {
			if r.Outcome(o) != o {
				inverted++
			}
		}
		return inverted
	}
	r := sourced(t, schema.Builtin(), nil)
	if n := count(r, event.Repaid); n != 0 {
		t.Fatalf("%d inverted without a fault", n)
	}
	inject(t, r, fault.Fault{Target: fault.Source, Kind: fault.Noise, Share: 0.4})
	if a, b := count(r, event.Repaid), count(r, event.Defaulted); a < 700 || a > 900 || b < 700 || b > 900 {
		t.Errorf("%d and %d of 2000 inverted at a share of 0.4", a, b)
	}
	r.Clear()
	inject(t, r, fault.Fault{Target: fault.Source, Kind: fault.Flip, Change: fault.Change{Category: "defaulted"}})
	if a, b := count(r, event.Repaid), count(r, event.Defaulted); a != 0 || b != 2000 {
		t.Errorf("%d repaid and %d defaulted inverted", a, b)
	}
	r.Clear()
	inject(t, r, fault.Fault{Target: fault.Source, Kind: fault.Flip})
	if a, b := count(r, event.Repaid), count(r, event.Defaulted); a != 2000 || b != 2000 {
		t.Errorf("%d repaid and %d defaulted inverted", a, b)
	}
}

// actor writes down what it is asked.
type actor struct {
	mu           sync.Mutex
	begun, ended []string
	refuse       error
}

func (a *actor) Begin(f fault.Fault) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.begun = append(a.begun, f.ID)
	return a.refuse
}

func (a *actor) End(f fault.Fault) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended = append(a.ended, f.ID)
}

func (a *actor) asked() (begun, ended []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.begun), slices.Clone(a.ended)
}

// Each way in which a fault ends lets its actor undo it, once; agents are left alone.
func TestActor(t *testing.T) {
	for name, end := range map[string]func(*fault.Registry, string){
		"ttl":    func(*fault.Registry, string) { time.Sleep(time.Minute); synctest.Wait() },
		"remove": func(r *fault.Registry, id string) { _ = r.Remove(id); _ = r.Remove(id) },
		"clear":  func(r *fault.Registry, _ string) { r.Clear() },
		"close":  func(r *fault.Registry, _ string) { r.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &actor{}
				r := fault.New(fault.Options{BadModel: a})
				f := inject(t, r, fault.Fault{Target: fault.Model, Kind: fault.BadModel})
				if err := r.Before(ctx, "model", life(1)); err != nil || r.List()[0].Hits != 0 {
					t.Errorf("the model agent is hit: %v", err)
				}
				if begun, ended := a.asked(); len(begun) != 1 || len(ended) != 0 {
					t.Errorf("begun %v, ended %v", begun, ended)
				}
				end(r, f.ID)
				r.Close()
				if _, ended := a.asked(); !slices.Equal(ended, []string{f.ID}) || len(r.List()) != 0 {
					t.Errorf("ended %v, active %v", ended, r.List())
				}
			})
		})
	}
	a := &actor{refuse: errors.New("no rows")}
	r := fault.New(fault.Options{BadModel: a})
	defer r.Close()
	if _, err := r.Inject(fault.Fault{Target: fault.Model, Kind: fault.BadModel, Share: 1, TTL: time.Minute}); !errors.Is(err, a.refuse) || len(r.List()) != 0 || len(a.ended) != 1 {
		t.Errorf("a fault that couldn't begin: %v, active %v, ended %v", err, r.List(), a.ended)
	}
}

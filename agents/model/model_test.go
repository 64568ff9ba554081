package model

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"aura/agents"
	"aura/agents/bus"
	"aura/agents/desired"
	"aura/agents/event"
	"aura/mlops/dataset"
	"aura/mlops/registry"
	"aura/mlops/schema"
	"aura/mlops/train"
	"aura/store"
)

var trained = sync.OnceValues(func() (*registry.Model, error) {
	fit, err := train.Fit(context.Background(), schema.Builtin(), dataset.Synthetic(1000, 1), train.Options{Seed: 1, Trees: 5, Depth: 4})
	if err != nil {
		return nil, err
	}
	return fit.Model, nil
})

// house is a registry and a store with one desired state.
type house struct {
	state  store.State
	broken map[int]bool // versions whose file can't be loaded
	loads  []int
}

func (h *house) Desired(context.Context) (store.State, error) { return h.state, nil }

func (h *house) Load(_ context.Context, version int) (*registry.Model, error) {
	h.loads = append(h.loads, version)
	if h.broken[version] {
		return nil, errors.New("checksum")
	}
	return trained()
}

type desk struct {
	*house
	view     *desired.View
	champion *Champion
	h        agents.Handler
	spec     agents.Spec
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{house: &house{broken: map[int]bool{}}}
	d.state.Mode, d.state.ModeGeneration, d.state.Champion, d.state.ChampionGeneration = store.ModeModel, 1, 1, 1
	log := slog.New(slog.DiscardHandler)
	var err error
	if d.view, err = desired.New(t.Context(), d.house, log); err != nil {
		t.Fatal(err)
	}
	d.champion = NewChampion(d.house, d.view, log)
	d.spec = Spec(Options{Schema: schema.Builtin(), Champion: d.champion, View: d.view})
	d.h = d.spec.NewHandler(agents.Life{Agent: Name, Incarnation: 1})
	return d
}

// change is a promotion or a change of mode; seen says whether the view has heard of it.
func (d *desk) change(t *testing.T, mode store.Mode, champion int, seen bool) {
	t.Helper()
	if d.state.Mode != mode {
		d.state.Mode, d.state.ModeGeneration = mode, d.state.ModeGeneration+1
	}
	if d.state.Champion != champion {
		d.state.Champion, d.state.ChampionGeneration = champion, d.state.ChampionGeneration+1
	}
	if seen {
		if err := d.view.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func (d *desk) score(t *testing.T, least int64, values ...float64) (*event.Prediction, error) {
	t.Helper()
	v := schema.Vector(values)
	f := &event.Features{
		Subject: event.Subject{ID: "a", ApplicationID: "a", AcceptedAt: time.Now()}, Values: v, Vector: schema.Builtin().Vector(v), MinGeneration: least,
	}
	out, emitted := agents.NewOutbox(time.Now)
	if err := d.h.Handle(t.Context(), bus.NewMessage(f, time.Now()), out); err != nil {
		return nil, err
	}
	return emitted()[0].(*event.Prediction), nil
}

func TestScoresNameTheirGeneration(t *testing.T) {
	d := newDesk(t)
	good, err := d.score(t, 0, 800, 5, 90_000, 5_000, 20)
	if err != nil {
		t.Fatal(err)
	}
	poor, err := d.score(t, 0, 400, 90, 12_000, 60_000, 0)
	if err != nil {
		t.Fatal(err)
	}
	if good.Probability >= poor.Probability || len(good.Reasons) != 0 || len(poor.Reasons) == 0 {
		t.Errorf("%g with reasons %v against %g with %v", good.Probability, good.Reasons, poor.Probability, poor.Reasons)
	}
	if good.Generation != 1 || good.ModelVersion != 1 || good.ModelDigest == "" || good.Shadow {
		t.Errorf("%+v", good)
	}
	d.change(t, store.ModeSafe, 2, true)
	late, err := d.score(t, 2, 800, 5, 90_000, 5_000, 20)
	if err != nil || late.Generation != 2 || late.ModelVersion != 2 || !late.Shadow {
		t.Errorf("in safe mode, asked for generation 2: %+v, %v", late, err)
	}
	if _, err := d.score(t, 3, 800, 5, 90_000, 5_000, 20); !errors.Is(err, agents.ErrNotReady) {
		t.Errorf("a generation that nobody has announced: %v", err)
	}
	if err := d.h.Handle(t.Context(), bus.NewMessage(&event.Prediction{}, time.Now()), nil); err == nil || errors.Is(err, agents.ErrNotReady) {
		t.Errorf("an event of another topic: %v", err)
	}
}

// TestTheChampionInCharge: each step from the state that the one before left.
func TestTheChampionInCharge(t *testing.T) {
	d := newDesk(t)
	if d.champion.Ready() == nil {
		t.Error("ready without a model")
	}
	for _, step := range []struct {
		name    string
		prepare func()
		version int
		ready   bool
		loads   int
	}{
		{"the first", func() {}, 1, true, 1},
		{"nothing new", func() {}, 1, true, 0},
		{"another", func() { d.change(t, store.ModeModel, 2, true) }, 2, true, 1},
		{"not heard of yet", func() { d.change(t, store.ModeModel, 3, false) }, 2, true, 0},
		{"heard of, and broken: the old one goes on", func() {
			d.broken[3] = true
			d.change(t, store.ModeModel, 3, true)
		}, 2, false, 1},
		{"still broken, looked for again", func() {}, 2, false, 1},
		{"mended", func() { d.broken[3] = false }, 3, true, 1},
		{"none at all", func() { d.change(t, store.ModeModel, 0, true) }, 3, false, 0},
	} {
		d.loads = nil
		step.prepare()
		d.champion.Follow(t.Context())
		if c := d.champion.Current(); c == nil || c.Version != step.version || (d.spec.Ready() == nil) != step.ready || len(d.loads) != step.loads {
			t.Errorf("%s: %+v, ready: %v, loaded %v; want version %d, ready %v, %d loads", step.name, c, d.spec.Ready(), d.loads, step.version, step.ready, step.loads)
		}
	}
}

// TestTheTrickle: in safe mode the model gets the newest of a batch, five a second over all lanes, and nothing old.
func TestTheTrickle(t *testing.T) {
	d := newDesk(t)
	tr, at := newTrickle(d.view), time.Now()
	batch := func(ages ...time.Duration) (out []*bus.Message) {
		for _, a := range ages {
			out = append(out, bus.NewMessage(&event.Features{}, at.Add(-a)))
		}
		return out
	}
	if in := batch(time.Hour, time.Minute, 0); len(tr.filter(at, 0, in)) != 3 {
		t.Error("something was held back while the model decides")
	}
	d.change(t, store.ModeSafe, 1, true)
	in := batch(3*time.Second, 2*time.Millisecond, time.Millisecond)
	if got := tr.filter(at, 0, in); len(got) != 1 || got[0] != in[2] {
		t.Errorf("%d of a batch passed, want the newest", len(got))
	}
	if got := tr.filter(at, 1, batch(0)); len(got) != 0 {
		t.Error("another lane's passed at once: five a second are over all lanes")
	}
	at = at.Add(250 * time.Millisecond)
	if got := tr.filter(at, 1, batch(1100*time.Millisecond)); len(got) != 0 {
		t.Error("one of more than a second ago passed")
	}
	n := 0
	for range 1000 { // ten seconds, each 10 ms one a lane
		at = at.Add(10 * time.Millisecond)
		for lane := range 4 {
			n += len(tr.filter(at, lane, batch(0)))
		}
	}
	if n < 49 || n > 51 {
		t.Errorf("%d in ten seconds, want 50", n)
	}
}

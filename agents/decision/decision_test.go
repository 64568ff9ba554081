package decision

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"aura/agents"
	"aura/agents/bus"
	"aura/agents/desired"
	"aura/agents/event"
	"aura/agents/shadow"
	"aura/mlops/schema"
	"aura/store"
)

// book is a store with desired state and the one row of each application.
type book struct {
	state store.State
	rows  map[string]store.Decision
	// before is called before each commit, as somebody who changes mode or champion in between.
	before func()
	err    error
	// half fails all but the first, which is written.
	half error
}

func (b *book) Desired(context.Context) (store.State, error) { return b.state, nil }

func (b *book) Decide(_ context.Context, decisions []store.Decision) ([]store.DecideResult, error) {
	if b.before != nil {
		b.before()
	}
	if b.err != nil {
		return nil, b.err
	}
	out := make([]store.DecideResult, len(decisions))
	for i, d := range decisions {
		if b.half != nil && i > 0 {
			return out, b.half
		}
		row, there := b.rows[d.ID]
		stale := d.Mode != b.state.Mode || d.ModeGeneration != b.state.ModeGeneration ||
			d.Mode == store.ModeModel && d.Generation != b.state.ChampionGeneration
		switch {
		case there:
			out[i] = store.DecideResult{Status: store.Already, Decision: row}
		case stale && d.Rule != store.RuleTechnical:
			out[i] = store.DecideResult{Status: store.Stale, Current: b.state.Generations}
		default:
			b.rows[d.ID] = d
			out[i] = store.DecideResult{Status: store.Written, Decision: d}
		}
	}
	return out, nil
}

type desk struct {
	t    *testing.T
	book *book
	view *desired.View
	road *bus.Memory
	h    agents.Handler
	seen int
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	b := &book{rows: map[string]store.Decision{}}
	b.state.Mode, b.state.ModeGeneration, b.state.Champion, b.state.ChampionGeneration = store.ModeModel, 1, 1, 1
	view, err := desired.New(t.Context(), b, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{t: t, book: b, view: view}
	spec := Spec(Options{
		Schema: schema.Builtin(), Store: b, View: view, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Observe: func(*event.Decision) { d.seen++ },
	})
	d.h = spec.NewHandler(agents.Life{Agent: Name, Incarnation: 7})
	return d
}

// set changes the desired state as a person would; the view hears of it only when it asks.
func (d *desk) set(m store.Mode, champion int64) {
	s := &d.book.state
	if s.Mode != m {
		s.Mode, s.ModeGeneration = m, s.ModeGeneration+1
	}
	s.ChampionGeneration = champion
}

func features(id string) event.Features {
	return event.Features{
		Subject: event.Subject{ID: id, ApplicationID: id, AcceptedAt: time.Now()},
		Values:  schema.Vector{400, 90, 20000, 40000, 1}, Vector: schema.Vector{400, 90, 20000, 40000, 1},
	}
}

func prediction(id string, pd float64, generation int64) *event.Prediction {
	return &event.Prediction{Features: features(id), Probability: pd, ModelVersion: int(generation), Generation: generation}
}

// run handles the events as one batch and returns what comes of it.
func (d *desk) run(events ...event.Event) []event.Event {
	d.t.Helper()
	out, emitted := agents.NewOutbox(time.Now)
	for _, e := range events {
		if err := d.h.Handle(d.t.Context(), bus.NewMessage(e, time.Now()), out); err != nil {
			d.t.Fatal(err)
		}
	}
	if err := d.h.(agents.Finisher).Finish(d.t.Context(), out); err != nil {
		d.t.Fatal(err)
	}
	return emitted()
}

func TestPolicyDecidesAndTheRowReadBackIsAnnounced(t *testing.T) {
	d := newDesk(t)
	first := d.run(prediction("a", .02, 1))
	if len(first) != 1 || first[0].(*event.Decision).Decision != schema.Approve {
		t.Fatalf("a probability of .02: %+v", first)
	}
	again := d.run(prediction("a", .98, 1)) // doubled, with another result
	if got := again[0].(*event.Decision); got.Decision != schema.Approve || *got.Probability != .02 {
		t.Errorf("the second time %s at %g was announced, the row says APPROVE at .02", got.Decision, *got.Probability)
	}
	if d.seen != 1 {
		t.Errorf("%d decisions observed, want the one that was written", d.seen)
	}
	if row := d.book.rows["a"]; row.Incarnation != 7 {
		t.Errorf("written by incarnation %d, want 7", row.Incarnation)
	}
}

func TestFeaturesDecideOnlyInSafeMode(t *testing.T) {
	d := newDesk(t)
	d.set(store.ModeSafe, 1)
	if err := d.view.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	f := features("a")
	out := d.run(&f)
	got := out[0].(*event.Decision)
	if got.Mode != event.ModeSafe || got.Rule == "" || got.Probability != nil || len(got.Reasons) == 0 {
		t.Errorf("by rule: %+v", got)
	}
	late := d.run(prediction("b", .02, 1))[0].(*event.Decision)
	if late.Mode != event.ModeSafe || late.Probability != nil {
		t.Errorf("a late prediction decided by itself: %+v", late)
	}
	shadow := prediction("c", .02, 1)
	shadow.Shadow = true
	if out := d.run(shadow); len(out) != 0 || len(d.book.rows) != 2 {
		t.Errorf("a shadow score decided: %v", out)
	}
}

// TestTheChampionIsAskedBesideTheRules: what it would have said is remembered for the outcome, and decides nothing.
func TestTheChampionIsAskedBesideTheRules(t *testing.T) {
	d, asked := newDesk(t), 0
	scores := shadow.New(10)
	d.h = Spec(Options{
		Schema: schema.Builtin(), Store: d.book, View: d.view, Now: time.Now, Log: slog.New(slog.DiscardHandler), Shadow: scores,
		Beside: func(f *event.Features) (float64, int, bool) { asked++; return 0.9, 3, f.ID != "none" },
	}).NewHandler(agents.Life{Agent: Name, Incarnation: 7})
	d.run(prediction("model", .02, 1))
	if asked != 0 {
		t.Errorf("asked %d times while the model decides", asked)
	}
	d.set(store.ModeSafe, 1)
	if err := d.view.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	f, none := features("a"), features("none")
	for _, e := range d.run(&f, &none) {
		if got := e.(*event.Decision); got.Probability != nil || got.Rule == "" {
			t.Errorf("what was said beside decided: %+v", got)
		}
	}
	if s, ok := scores.Get("a"); !ok || s != (shadow.Score{Probability: 0.9, Version: 3}) {
		t.Errorf("remembered %+v, %v", s, ok)
	}
	if _, ok := scores.Get("none"); ok {
		t.Error("no champion said something")
	}
}

func TestModeThatChangesBeforeTheCommitDecidesAgain(t *testing.T) {
	d := newDesk(t)
	d.book.before = func() { d.book.before = nil; d.set(store.ModeSafe, 1) }
	out := d.run(prediction("a", .02, 1), prediction("b", .02, 1))
	for _, e := range out {
		if got := e.(*event.Decision); got.Mode != event.ModeSafe || got.ModeGeneration != 2 {
			t.Errorf("%s was decided in %s, generation %d", got.ID, got.Mode, got.ModeGeneration)
		}
	}
	if len(out) != 2 {
		t.Errorf("%d decisions, want 2", len(out))
	}
}

func TestAnOlderChampionsPredictionGoesRoundAgain(t *testing.T) {
	d := newDesk(t)
	d.book.before = func() { d.book.before = nil; d.set(store.ModeModel, 2) }
	out := d.run(prediction("a", .02, 1))
	f, ok := out[0].(*event.Features)
	if !ok || f.MinGeneration != 2 || len(d.book.rows) != 0 {
		t.Fatalf("want the features again for generation 2, got %+v", out[0])
	}
	if got := d.run(prediction("a", .03, 2))[0].(*event.Decision); got.Generation != 2 {
		t.Errorf("decided by generation %d", got.Generation)
	}
}

func TestModeThatNeverRestsSendsRoundInsteadOfSpinning(t *testing.T) {
	d := newDesk(t)
	d.book.before = func() {
		m := store.ModeSafe
		if d.book.state.Mode == store.ModeSafe {
			m = store.ModeModel
		}
		d.set(m, 1)
	}
	out := d.run(prediction("a", .02, 1))
	if len(out) != 1 {
		t.Fatalf("%d events, want the one application once", len(out))
	}
	if _, ok := out[0].(*event.Features); !ok {
		t.Errorf("got %T, want its features", out[0])
	}
}

func TestStoreThatFailsFailsTheBatch(t *testing.T) {
	d := newDesk(t)
	d.book.err = &store.Unavailable{Code: "disk_full", Err: errors.New("full")}
	out, _ := agents.NewOutbox(time.Now)
	if err := d.h.Handle(t.Context(), bus.NewMessage(prediction("a", .02, 1), time.Now()), out); err != nil {
		t.Fatal(err)
	}
	if err := d.h.(agents.Finisher).Finish(t.Context(), out); !errors.Is(err, agents.ErrNotReady) {
		t.Fatalf("a commit that failed for the store ended with %v", err)
	}
	d.book.err = nil
	if got := d.run(prediction("a", .02, 1)); len(got) != 1 {
		t.Errorf("delivered again: %v", got)
	}
}

// What a failed commit wrote all the same is counted once: when it comes again it is known already.
func TestHalfACommitIsCountedOnce(t *testing.T) {
	d := newDesk(t)
	d.book.half = &store.Unavailable{Code: "disk_full", Err: errors.New("full")}
	out, _ := agents.NewOutbox(time.Now)
	events := []event.Event{prediction("a", .02, 1), prediction("b", .02, 1)}
	for _, e := range events {
		if err := d.h.Handle(t.Context(), bus.NewMessage(e, time.Now()), out); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.h.(agents.Finisher).Finish(t.Context(), out); err == nil || d.seen != 1 {
		t.Fatalf("%v; %d decisions seen, want the one that was written", err, d.seen)
	}
	d.book.half = nil
	if got := d.run(events...); len(got) != 2 || d.seen != 2 {
		t.Errorf("delivered again: %d announced, %d seen in all, want 2 and 2", len(got), d.seen)
	}
}

func TestTechnicalReferralKeepsACopy(t *testing.T) {
	d := newDesk(t)
	d.road = bus.NewMemory(bus.MemoryOptions{Lanes: 1})
	defer func() { _ = d.road.Close() }()
	letters, err := d.road.Mailbox(bus.MailboxOptions{Topic: event.FeaturesTopic.DLQ()})
	if err != nil {
		t.Fatal(err)
	}
	tech := &Technical{Store: d.book, Publisher: d.road, View: d.view, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	f := features("a")
	f.Values[0] = math.NaN()
	if err := tech.GiveUp("model")(t.Context(), bus.NewMessage(&f, time.Now()), errors.New("three strikes")); err != nil {
		t.Fatal(err)
	}
	if row := d.book.rows["a"]; row.Decision != schema.Refer || row.Rule != store.RuleTechnical || len(row.Reasons) != 1 {
		t.Errorf("row: %+v", row)
	}
	batch, err := letters.Lanes()[0].Take(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	l := batch[0].Event.(*event.DeadLetter)
	if l.From != event.FeaturesTopic || l.Agent != "model" || l.Error != "three strikes" || len(l.Payload) == 0 {
		t.Errorf("dead letter: %+v", l)
	}
}

// TestTheUnreadableIsBuriedByItsTopic: what could not be decoded has no event to tell where it came from.
func TestTheUnreadableIsBuriedByItsTopic(t *testing.T) {
	d := newDesk(t)
	d.road = bus.NewMemory(bus.MemoryOptions{Lanes: 1})
	defer func() { _ = d.road.Close() }()
	letters, err := d.road.Mailbox(bus.MailboxOptions{Topic: event.FeaturesTopic.DLQ()})
	if err != nil {
		t.Fatal(err)
	}
	in, err := d.road.Mailbox(bus.MailboxOptions{Topic: event.FeaturesTopic})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.road.Publisher().Publish(string(event.FeaturesTopic), message.NewMessage("bad", []byte(`{"id":`))); err != nil {
		t.Fatal(err)
	}
	batch, err := in.Lanes()[0].Take(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	tech := &Technical{Store: d.book, Publisher: d.road, View: d.view, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	if err := tech.GiveUp("model")(t.Context(), batch[0], batch[0].Err); err != nil {
		t.Fatal(err)
	}
	if batch, err = letters.Lanes()[0].Take(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if l := batch[0].Event.(*event.DeadLetter); l.From != event.FeaturesTopic || l.ID != "bad" || string(l.Payload) != `{"id":` {
		t.Errorf("dead letter: %+v", l)
	}
}

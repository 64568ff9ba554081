package reference

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"aura/agents/desired"
	"aura/healing/detect"
	"aura/store"
)

// shelf keeps references; each load is a copy, as from the store.
type shelf struct {
	state store.State
	kept  map[string][]int // id: versions whose scores it has
	loads []string
}

func (s *shelf) Desired(context.Context) (store.State, error) { return s.state, nil }

func (s *shelf) load(_ context.Context, id string) (*detect.Reference, error) {
	s.loads = append(s.loads, id)
	versions, ok := s.kept[id]
	if !ok {
		return nil, errors.New("no such reference")
	}
	r := &detect.Reference{ID: id, Rows: 10_000}
	for _, v := range versions {
		if r.Scores == nil {
			r.Scores = map[int]*detect.Column{}
		}
		r.Scores[v] = &detect.Column{Name: id}
	}
	return r, nil
}

type desk struct {
	*Holder
	*shelf
	view *desired.View
}

func newDesk(t *testing.T, kept map[string][]int) *desk {
	t.Helper()
	s := &shelf{kept: kept}
	s.state.Mode, s.state.ModeGeneration, s.state.ChampionGeneration = store.ModeModel, 1, 1
	log := slog.New(slog.DiscardHandler)
	v, err := desired.New(t.Context(), s, log)
	if err != nil {
		t.Fatal(err)
	}
	return &desk{New(s.load, v, log), s, v}
}

// want changes the desired state, as a promotion or an accepted reference does, and follows it.
func (d *desk) want(t *testing.T, reference string, champion int) *detect.Reference {
	t.Helper()
	d.state.Reference, d.state.Champion, d.state.ChampionGeneration = reference, champion, d.state.ChampionGeneration+1
	if err := d.view.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.loads = nil
	d.Follow(t.Context())
	return d.Current()
}

// TestTheReferenceInForce: each step from the state that the one before left.
func TestTheReferenceInForce(t *testing.T) {
	d := newDesk(t, map[string][]int{"model-1": {1}, "model-2": {2}, "accepted-1": nil, "accepted-2": {7}})
	for _, step := range []struct {
		name      string
		reference string
		champion  int
		id        string // in force afterwards
		scores    bool   // whether the champion's are known
		loads     int
	}{
		{"nothing is wanted yet", "", 1, "", false, 0},
		{"the first model's own", "model-1", 1, "model-1", true, 1},
		{"the same again", "model-1", 1, "model-1", true, 0},
		{"a new champion brings its scores, the features stay", "model-1", 2, "model-1", true, 2},
		{"an accepted sample gets the champion's scores", "accepted-1", 2, "accepted-1", true, 2},
		{"a version without a sample of its own: features are judged all the same", "accepted-1", 3, "accepted-1", false, 2},
		{"one that can't be loaded leaves the one before", "gone", 3, "accepted-1", false, 1},
		{"a sample that has the champion's scores needs no other", "accepted-2", 7, "accepted-2", true, 1},
		{"back to the first", "model-1", 1, "model-1", true, 1},
	} {
		r := d.want(t, step.reference, step.champion)
		id, scores := "", false
		if r != nil {
			id, scores = r.ID, r.Scores[step.champion] != nil
		}
		if id != step.id || scores != step.scores || len(d.loads) != step.loads {
			t.Errorf("%s: %q in force, scores %v, loaded %v; want %q, %v, %d loads", step.name, id, scores, d.loads, step.id, step.scores, step.loads)
		}
	}
}

// TestWhatWasMissingIsFoundLater: Follow is called with each poll, so a reference that comes late is taken up.
func TestWhatWasMissingIsFoundLater(t *testing.T) {
	d := newDesk(t, map[string][]int{})
	if r := d.want(t, "model-1", 1); r != nil {
		t.Fatalf("%+v came from nowhere", r)
	}
	d.kept["model-1"] = []int{1}
	if d.Follow(t.Context()); d.Current() == nil {
		t.Error("the next poll doesn't find it")
	}
}

package healing

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"aura/healing/incident"
	"aura/store"
)

// stride is at how many of the points, one in so many, each scene is killed here; where AURA_KILLS is set, at every one.
func stride() int {
	switch {
	case os.Getenv("AURA_KILLS") != "":
		return 1
	case testing.Short():
		return 27
	default:
		return 9
	}
}

// TestKilledInEveryKindOfHealing: the process dies at the points of each scene, one run a point: before or after each save,
// each effect, each execution and within the targets. Each run ends as the one that nobody killed, with the same changes of
// the system in the same order, each once.
func TestKilledInEveryKindOfHealing(t *testing.T) {
	for i, s := range scenes {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			points := playScene(t, s, 0, false)
			if points < 20 {
				t.Fatalf("only %d points", points)
			}
			killed := 0
			for at := 1 + i%stride(); at <= points && !t.Failed(); at += stride() {
				playScene(t, s, at, false)
				killed++
			}
			t.Logf("killed at %d of %d points", killed, points)
		})
	}
}

// TestAFaultThatDiesWithTheProcess: what was wrong is gone when the process is back, whatever point it died at. The incident
// ends, and no action is begun for it any more: what stands is verified, finished or taken back.
func TestAFaultThatDiesWithTheProcess(t *testing.T) {
	for i, s := range scenes {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			points := playScene(t, s, 0, false)
			for at := 1 + (i+2)%stride(); at <= points && !t.Failed(); at += stride() {
				playScene(t, s, at, true)
			}
		})
	}
}

// playScene plays one scene; the process dies at a point, and with it the fault if mortal. It returns how many points there are.
func playScene(t *testing.T, s *scene, at int, mortal bool) (points int) {
	t.Helper()
	run(t, func(w *world) {
		w.stage(s)
		w.crashAt = at
		w.begin()
		w.breakModel(true)
		var before []string // actions that had taken effect when the process died
		for range 16 * 60 {
			life := w.life
			w.pass(time.Second / 4)
			if w.life != life {
				_, before = w.effects()
				w.gone = mortal
			}
			if w.over(s, mortal) {
				break
			}
		}
		points = w.hooks
		w.pass(3 * time.Second) // what the last step asks for, should it have died there
		if at > 0 && w.life != 2 {
			w.t.Errorf("it died %d times, at %d of %d points", w.life-1, at, points)
		}
		in := w.ended(s, mortal)
		changes, actions := w.effects()
		if !mortal && !slices.Equal(changes, s.effects) {
			w.t.Errorf("killed at %d: %v, want %v", at, changes, s.effects)
		}
		if mortal {
			w.begunAfter(in, actions, before)
		}
		w.agree(in)
		w.audited()
		if w.t.Failed() {
			w.t.Logf("killed at point %d, mortal %v", at, mortal)
			for _, e := range in.Timeline {
				w.t.Logf("%s %s -> %s %s: %s", e.At.Format("05.000"), e.From, e.State, e.Action, e.Text)
			}
		}
	})
	return points
}

// over reports that the incident has come to its end.
func (w *world) over(s *scene, mortal bool) bool {
	in, ok := w.incident()
	switch {
	case !ok:
		return w.gone && w.life > 1 // it was never opened, and there is nothing to open it for
	case mortal && w.gone:
		return in.State.Final()
	}
	return in.State == s.end
}

// ended fails unless it is over.
func (w *world) ended(s *scene, mortal bool) incident.Incident {
	w.t.Helper()
	in, _ := w.incident()
	if !w.over(s, mortal) {
		w.t.Errorf("it doesn't end: %s (%s)", in.State, in.Reason)
	}
	if in.State == incident.Escalated && len(w.calls) == 0 {
		w.t.Error("nobody was called")
	}
	return in
}

// begunAfter fails for each action that a rung began with after the fault had gone. One that was half done is finished: its
// verification tells whether that was right.
func (w *world) begunAfter(in incident.Incident, actions, before []string) {
	w.t.Helper()
	for _, a := range in.Actions {
		if a.Purpose == incident.Forward && !a.Follows && slices.Contains(actions, a.ID) && !slices.Contains(before, a.ID) &&
			!slices.Contains(before, modelPart(a.ID)) {
			w.t.Errorf("%s %s took effect although nothing was wrong any more", a.ID, a.Type)
		}
	}
}

// agree fails unless what the incident says is what the targets have recorded, and the mode is what it says.
func (w *world) agree(in incident.Incident) {
	w.t.Helper()
	w.modeChanges() // that none took effect twice
	if in.Degraded != (w.mode() == store.ModeSafe) {
		w.t.Errorf("degraded %v, mode %s", in.Degraded, w.mode())
	}
	recorded := func(id string) bool {
		_, err := w.store.Executed(w.t.Context(), id)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			w.t.Fatal(err)
		}
		return err == nil
	}
	for _, a := range in.Actions {
		if said := !a.ExecutedAt.IsZero(); said != recorded(a.ID) {
			w.t.Errorf("%s %s: said to have taken effect %v, recorded %v", a.ID, a.Type, said, recorded(a.ID))
		}
		if a.Undo != nil && a.Inverse != nil && !a.ExecutedAt.IsZero() && a.Undo.OK != recorded(a.Undo.ID) {
			w.t.Errorf("%s %s: said to be undone %v, recorded %v", a.ID, a.Type, a.Undo.OK, recorded(a.Undo.ID))
		}
	}
	rows, err := w.store.Actions(w.t.Context(), store.ActionFilter{}, "", 100)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, r := range rows {
		if !r.ExecutedAt.IsZero() != recorded(r.ID) {
			w.t.Errorf("row %s: executed at %v, recorded %v", r.ID, r.ExecutedAt, recorded(r.ID))
		}
		if strings.HasSuffix(r.ID, "/model") {
			w.t.Errorf("a part of an action has a row: %s", r.ID)
		}
	}
}

// TestKilledAtEveryPoint: the process dies before or after each save, effect and execution of a healing, one run a point.
// Every run ends healed, and every action takes effect once.
func TestKilledAtEveryPoint(t *testing.T) {
	t.Parallel()
	points := 0
	heal := func(t *testing.T, at int) {
		run(t, func(w *world) {
			w.crashAt = at
			w.begin()
			w.breakModel(true)
			w.until(incident.Degraded, time.Minute)
			w.breakModel(false)
			w.until(incident.Resolved, time.Minute)
			if at == 0 {
				points = w.hooks
			} else if w.life < 2 {
				t.Errorf("nothing was killed at point %d of %d", at, w.hooks)
			}
			if w.mode() != store.ModeModel || w.modeChanges() != 2 {
				t.Errorf("killed at %d: mode %s, %d changes", at, w.mode(), w.modeChanges())
			}
			w.audited()
		})
	}
	heal(t, 0)
	if points < 40 {
		t.Fatalf("only %d points", points)
	}
	every := 1
	if testing.Short() {
		every = stride()
	}
	for at := 1; at <= points; at += every {
		heal(t, at)
		if t.Failed() {
			t.Fatalf("point %d of %d", at, points)
		}
	}
	t.Logf("killed at one in %d of %d points", every, points)
}

package incident

import (
	"strings"
	"testing"
	"time"
)

// approved is an incident that a person is asked about, and approves, while more is said of its signal.
func approved(t *testing.T, more func(*Signal)) *world {
	w := newWorld(func(format string, args ...any) { t.Helper(); t.Fatalf(format, args...) })
	w.answer = func(w *world, fx Effect) []Event {
		if fx.Type == FxPolicy {
			return []Event{decision(w, fx, AGLEscalated)}
		}
		return goodAnswer(w, fx)
	}
	w.open(AgentDown, Confirmed, []Rung{{Action: EnableSafeMode, Verification: "signal"}}, Settings{})
	w.deliver()
	s := w.signal(AgentDown, Confirmed)
	more(&s)
	w.step(Event{Type: EvSignal, Signal: &s})
	w.step(decision(w, Effect{RequestID: w.in.current().RequestID, Action: w.in.current()}, AGLApproved))
	return w
}

// hear says a signal each half second.
func (w *world) hear(d time.Duration, more func(*Signal)) {
	for end := w.now.Add(d); w.now.Before(end); {
		w.now = w.now.Add(500 * time.Millisecond)
		s := w.signal(w.in.Kind, Confirmed)
		more(&s)
		w.step(Event{Type: EvSignal, Signal: &s})
	}
}

func (w *world) waits() (out []string) {
	for _, e := range w.in.Timeline {
		if why, yes := strings.CutPrefix(e.Text, waitsPrefix); yes {
			out = append(out, string(e.State)+": "+why)
		}
	}
	return out
}

// What was approved and isn't done says why: at once in the incident, once it lasts in the timeline, and when it was for nothing.
func TestAnApprovedActionSaysWhyItWaits(t *testing.T) {
	of := func(s *Signal) { s.NotYet = "it is a consequence of AGENT_DOWN:feature" }
	w := approved(t, of)
	if w.in.State != Approved || w.in.Obstacle == nil || w.in.Obstacle.Text != "it is a consequence of AGENT_DOWN:feature" {
		t.Fatalf("%s, %+v", w.in.State, w.in.Obstacle)
	}
	w.hear(1500*time.Millisecond, of)
	if got := w.waits(); len(got) != 0 {
		t.Errorf("what passes is told: %q", got)
	}
	w.hear(20*time.Second, of)
	if w.in.Waits() == "" {
		t.Error("the incident doesn't say what it waits for")
	}
	if got := w.waits(); len(got) != 1 || got[0] != "APPROVED: it is a consequence of AGENT_DOWN:feature" {
		t.Errorf("told %q, want it once", got)
	}
	w.step(Event{Type: EvPause})
	w.hear(3*time.Second, of)
	if got := w.waits(); len(got) != 2 || got[1] != "APPROVED: healing is paused" {
		t.Errorf("told %q", got)
	}
	w.step(Event{Type: EvResume})
	w.hear(5*time.Minute, of)
	if e := w.in.Timeline[len(w.in.Timeline)-1]; w.in.State != Proposed || !strings.HasSuffix(e.Text, "expired before it could be used: it is a consequence of AGENT_DOWN:feature") {
		t.Errorf("%s: %q", w.in.State, e.Text)
	}
	if w.in.Obstacle != nil {
		t.Errorf("it waits for governance, not for %q", w.in.Obstacle.Text)
	}

	w = approved(t, of)
	w.hear(time.Second, of)
	w.hear(time.Second, func(*Signal) {})
	if w.in.State != Executing || w.in.Obstacle != nil || len(w.waits()) != 0 {
		t.Errorf("%s, %+v, %q", w.in.State, w.in.Obstacle, w.waits())
	}
}

// However often what is in the way changes, the timeline stays one that can be read.
func TestObstaclesDontDrownATimeline(t *testing.T) {
	quiet := func(*Signal) {}
	w := approved(t, func(s *Signal) { s.NotYet = "one" })
	for i := range 40 {
		w.hear(3*time.Second, func(s *Signal) { s.NotYet = []string{"one", "another"}[i%2] })
	}
	if n := len(w.waits()); n != maxTold {
		t.Errorf("%d lines, want %d", n, maxTold)
	}
	w.hear(time.Second, quiet)
	if w.in.State != Executing {
		t.Error(w.in.State)
	}
}

// An incident that could propose nothing calls a person for what was in the way.
func TestAPersonIsToldWhatWasInTheWay(t *testing.T) {
	w := newWorld(func(format string, args ...any) { t.Helper(); t.Fatalf(format, args...) })
	in, _, err := Open(Start{ID: "i1", Signal: w.signal(LatencySLOBreach, Confirmed), Ladder: []Rung{{Action: EnableSafeMode, Verification: "signal"}}, Paused: true}, w.now)
	if err != nil {
		t.Fatal(err)
	}
	w.in = in
	if in.State != Detected || in.Obstacle == nil || in.Obstacle.Text != "healing is paused" {
		t.Fatalf("%s, %+v", in.State, in.Obstacle)
	}
	w.hear(3*time.Second, func(*Signal) {})
	told := w.in.Waits()
	w.hear(Defaults().DetectedTTL, func(*Signal) {})
	if told != "healing is paused" {
		t.Errorf("after a while it says %q", told)
	}
	if w.in.State != Escalated || w.in.Reason != "a person was called: WAITED: healing is paused" || len(w.waits()) != 0 {
		t.Errorf("%s, %q, %q", w.in.State, w.in.Reason, w.waits())
	}
}

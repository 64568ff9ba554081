package app

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"aura/agents/fault"
	"aura/agents/ingestion"
	"aura/healing/incident"
	"aura/store"
)

var scored = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func after(seconds int) time.Time { return scored.Add(time.Duration(seconds) * time.Second) }

// TestFaultsAreJoinedByWhatTheyCanDo: by kind and target, not by time alone.
func TestFaultsAreJoinedByWhatTheyCanDo(t *testing.T) {
	crash := faultRecord{At: after(0), Kind: fault.Crash, Target: "decision", Expires: after(60)}
	latency := faultRecord{At: after(1), Kind: fault.Latency, Target: "model", Expires: after(60)}
	drift := faultRecord{At: after(2), Kind: fault.Drift, Target: "source", Feature: "credit_score", Expires: after(60)}
	flip := faultRecord{At: after(3), Kind: fault.Flip, Target: "source", Expires: after(60)}
	bad := faultRecord{At: after(4), Kind: fault.BadModel, Target: "model", Expires: after(60)}
	faults := []faultRecord{bad, flip, drift, latency, crash} // latest first
	for _, test := range []struct {
		kind, target string
		at           int
		want         fault.Kind // "" for none
	}{
		{incident.AgentDown, "decision", 10, fault.Crash},
		{incident.AgentDown, "model", 10, fault.Latency},
		{incident.AgentDown, "feature", 10, ""},
		{incident.LatencySLOBreach, "service", 10, fault.Latency},
		{incident.LatencySLOBreach, "service", 0, fault.Crash}, // the latency came later
		{incident.DataDrift, "credit_score", 10, fault.Drift},
		{incident.DataDrift, "income", 10, ""},
		{incident.DataDrift, "score", 10, fault.BadModel},
		{incident.PerfDrop, "model", 10, fault.BadModel},
		{incident.PerfDrop, "model", 3, fault.Flip}, // on its target comes before the drift, which only reaches it
		{incident.PerfDrop, "model", 2, fault.Drift},
		{incident.AgentDown, "decision", 200, ""}, // long over
	} {
		f, ok := explains(faults, store.IncidentRow{Type: test.kind, Target: test.target}, after(test.at))
		if ok != (test.want != "") || f.Kind != test.want {
			t.Errorf("%s of %s after %d s: %q, want %q", test.kind, test.target, test.at, f.Kind, test.want)
		}
	}
}

// TestRelapsesCountFromThemselves: the healthy time between two failures is nobody's time to recover.
func TestRelapsesCountFromThemselves(t *testing.T) {
	in := incident.Incident{
		ID: "i", State: incident.Resolved, Relapses: []time.Time{after(400)}, Detections: []time.Time{after(0)},
		Actions: []incident.Action{{Result: incident.Verified, EndedAt: after(3)}, {Result: incident.Verified, EndedAt: after(405)}},
		Timeline: []incident.Entry{
			{At: after(0), State: incident.Detected},
			{At: after(3), State: incident.Degraded},
			{At: after(20), State: incident.Resolved},
			{At: after(400), State: incident.Detected},
			{At: after(405), State: incident.Resolved},
		},
	}
	row := store.IncidentRow{ID: "i", Type: incident.LatencySLOBreach, Target: "service", Status: store.IncidentResolved, DetectedAt: after(400), ResolvedAt: after(405)}
	first := faultRecord{At: after(-1), Kind: fault.Latency, Target: "model", Expires: after(900)}
	again := faultRecord{At: after(398), Kind: fault.Latency, Target: "model", Expires: after(900)}
	tl := &tally{}
	tl.add(row, in, []faultRecord{again, first})
	if s := tl.score(); tl.incidents != 1 || s.FromDetection.N != 2 || *s.FromDetection.P50S != 3 || *s.FromDetection.P95S != 5 || *s.FromOnset.P50S != 4 || *s.FromOnset.P95S != 7 {
		t.Errorf("%+v: want recoveries of 3 and 5 s from detection, 4 and 7 from onset", tl)
	}
	tl = &tally{}
	tl.add(row, in, []faultRecord{first})
	if len(tl.onset) != 1 || tl.onset[0] != 4 {
		t.Errorf("%v: the same fault explains the relapse, whose onset isn't its injection", tl.onset)
	}
	row.Status, in.State = store.IncidentFailed, incident.Failed
	tl = &tally{}
	if tl.add(row, in, nil); len(tl.detection) != 1 || tl.detection[0] != 3 || tl.healed != 1 || tl.ended != 2 {
		t.Errorf("%+v: what failed after its relapse recovered once before: one success of two", tl)
	}
	in.Timeline = append(in.Timeline, incident.Entry{At: after(403), State: incident.Escalated})
	row.Status, in.State = store.IncidentResolved, incident.Resolved
	tl = &tally{}
	if tl.add(row, in, nil); len(tl.detection) != 2 || tl.healed != 1 || tl.ended != 2 {
		t.Errorf("%+v: a person was called the second time, not the first", tl)
	}
}

// TestWhatEndedByItselfIsNoSuccess: whatever was tried before, and whatever healed an earlier time.
func TestWhatEndedByItselfIsNoSuccess(t *testing.T) {
	tried := incident.Action{Purpose: incident.Forward, ExecutedAt: after(3), Result: incident.NotHeld, EndedAt: after(4), NoCredit: incident.NoCreditSelf}
	for _, test := range []struct {
		state          incident.State
		self           bool
		actions        []incident.Action
		ended, healed  int64
		mttr, needless int
	}{
		{incident.Cancelled, true, nil, 0, 0, 0, 0},
		{incident.Cancelled, true, []incident.Action{tried}, 1, 0, 0, 1},
		{incident.Resolved, true, []incident.Action{tried}, 1, 0, 0, 1},
		{incident.Resolved, false, []incident.Action{{Purpose: incident.Forward, ExecutedAt: after(3), Result: incident.Verified, EndedAt: after(9)}}, 1, 1, 1, 0},
	} {
		tl := &tally{}
		in := incident.Incident{ID: "i", State: test.state, DetectedAt: after(0), SelfRecovered: test.self, Actions: test.actions}
		tl.add(store.IncidentRow{ID: "i", Status: store.IncidentResolved, DetectedAt: after(0), ResolvedAt: after(9)}, in, nil)
		if tl.ended != test.ended || tl.healed != test.healed || len(tl.detection) != test.mttr || tl.needless != int64(test.needless) {
			t.Errorf("%+v: got %+v", test, tl)
		}
	}
	in := incident.Incident{
		ID: "i", State: incident.Cancelled, SelfRecovered: true, DetectedAt: after(400), Detections: []time.Time{after(0), after(200)},
		Timeline: []incident.Entry{{At: after(3), State: incident.Resolved}, {At: after(210), State: incident.Cancelled}, {At: after(410), State: incident.Cancelled}},
		Actions:  []incident.Action{{Purpose: incident.Forward, ExecutedAt: after(1), Result: incident.Verified, EndedAt: after(3)}},
	}
	tl := &tally{}
	if tl.add(store.IncidentRow{ID: "i", Status: store.IncidentResolved, DetectedAt: after(400), ResolvedAt: after(410)}, in, nil); len(tl.detection) != 1 || tl.detection[0] != 3 || tl.healed != 1 || tl.needless != 0 {
		t.Errorf("%v: only the first time was a recovery", tl.detection)
	}
}

// TestTheObjectiveOutlivesTheProcess: over a window, not since the start; what can't be written is not forgotten.
func TestTheObjectiveOutlivesTheProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	open := func() (*store.Store, *objective) {
		s, err := store.Open(t.Context(), store.Options{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		return s, newObjective(s, ingestion.NewWindow(1))
	}
	s, o := open()
	o.observe("a", after(-7200), false)
	o.observe("a", after(0), true)
	o.observe("a", after(1), false)
	if err := o.save(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.observe("a", after(2), true)
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := o.save(t.Context()); err == nil {
		t.Fatal("saved in a closed store")
	}
	s, fresh := open()
	defer s.Close(t.Context())
	o.store = s
	for _, test := range []struct {
		o           *objective
		n, in, from int64
	}{{o, 3, 2, after(0).Unix()}, {fresh, 2, 1, after(0).Unix()}} {
		got, err := test.o.over(t.Context(), after(-60))
		if err != nil || got.N != test.n || got.Count != test.in || got.From.Unix() != test.from {
			t.Errorf("%+v, %v; want %d of %d", got, err, test.in, test.n)
		}
	}
}

package store

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"aura/mlops/registry"
)

func testReferences(t *testing.T, s *Store) {
	ctx := t.Context()
	one := Reference{"ref1", moment(1), 3, 10000, json.RawMessage(`{"bins":[1]}`), "aura", "training sample"}
	two := Reference{"ref2", moment(2), 4, 1000, json.RawMessage(`{"bins":[2]}`), "healing", "drift"}
	must(t, s.PutReference(ctx, one))
	must(t, s.PutReference(ctx, two))
	grows(t, s)
	must(t, s.PutReference(ctx, one))
	changed := one
	changed.Document = two.Document
	code(t, s.PutReference(ctx, changed), CodeConflict)
	got, err := s.Reference(ctx, "ref1")
	must(t, err)
	equal(t, "reference", got, one)
	list, err := s.References(ctx, 10)
	must(t, err)
	one.Document, two.Document = nil, nil
	equal(t, "list", list, []Reference{two, one})
	if _, err := s.Reference(ctx, "nobody"); !errors.Is(err, ErrNotFound) {
		t.Fatalf("got %v", err)
	}
	code(t, s.PutReference(ctx, Reference{ID: "x"}), CodeInvalid)
}

func testLabelled(t *testing.T, s *Store) {
	ctx, g := t.Context(), generations(t, s)
	cut := time.Now()
	var want []string
	for i := range 8 {
		a := aged(t, time.Duration(80-10*i)*time.Minute, "http")
		a = accept(t, s, a)[0].Application
		f := outcome(a.ID, Defaulted)
		f.ObservedAt, f.ReceivedAt = cut.Add(-time.Minute), cut.Add(-time.Second)
		switch i {
		case 5:
			f.ObservedAt = cut // observed too late
		case 6:
			f.ReceivedAt = cut // came in too late
		case 7:
			addFeedback(t, s, f) // early: not decided
			continue
		}
		decide(t, s, verdict(a, g, .25))
		addFeedback(t, s, f)
		if i >= 2 && i < 5 {
			want = append([]string{a.ID}, want...)
		}
	}
	accept(t, s, app(t, "", "1")) // without an outcome
	rows, err := s.LabelledSince(ctx, cut.Add(-65*time.Minute), cut, 10)
	must(t, err)
	var got []string
	for _, r := range rows {
		got = append(got, r.ID)
	}
	equal(t, "rows", got, want)
	rec, err := s.Application(ctx, want[0])
	must(t, err)
	p := .25
	equal(t, "row", rows[0], Labelled{
		ID: want[0], Source: "http", Features: rec.Application.Features, Decision: rec.Decision.Decision, Probability: &p,
		ModelVersion: 3, Mode: ModeModel, Outcome: Defaulted, AcceptedAt: rec.Application.AcceptedAt, ObservedAt: rec.Outcome.ObservedAt,
		ReceivedAt: rec.Outcome.ReceivedAt,
	})
	rows, err = s.LabelledSince(ctx, time.Time{}, cut, 2)
	must(t, err)
	equal(t, "the latest", []string{rows[0].ID, rows[1].ID}, want[:2])
}

func testMemories(t *testing.T, s *Store) {
	ctx, epoch := t.Context(), healer(t, s)
	m := Memory{
		Kind: "AGENT_DOWN", Target: "model", ActionType: "RESTART_AGENT", IncidentID: "i1", ActionID: "a1", Healed: true,
		Took: 1500 * time.Millisecond, Document: json.RawMessage(`{"before":1,"after":0}`), At: moment(1),
	}
	must(t, s.AddMemory(ctx, epoch, m))
	must(t, s.AddMemory(ctx, epoch, m))
	other := m
	other.Kind, other.ActionID, other.Healed = "DATA_DRIFT", "a2", false
	save(t, s, epoch, incident("i1", "f", 1), IncidentWrites{Memories: []Memory{other}})
	all, err := s.Memories(ctx, "", 10)
	must(t, err)
	equal(t, "all", len(all), 2)
	of, err := s.Memories(ctx, "AGENT_DOWN", 10)
	must(t, err)
	m.ID = of[0].ID
	equal(t, "of a kind", of, []Memory{m})
	code(t, s.AddMemory(ctx, epoch+1, m), CodeStaleEpoch)
	code(t, s.AddMemory(ctx, epoch, Memory{}), CodeInvalid)
}

// auditKinds are the kinds of all records, first to last.
func auditKinds(t *testing.T, s *Store) []string {
	t.Helper()
	es, err := s.Audit(t.Context(), AuditFilter{}, 0, 1000)
	must(t, err)
	var kinds []string
	for _, e := range es {
		kinds = append([]string{e.Kind}, kinds...)
	}
	return kinds
}

func testAuditOfEachChange(t *testing.T, s *Store) {
	ctx, epoch := t.Context(), healer(t, s)
	row := save(t, s, epoch, incident("i1", "f", 1), IncidentWrites{
		Actions: []ActionRow{action("a1", "i1")}, Requests: []PolicyRequest{ask("r1", "a1")},
		Audit: []AuditEntry{{Actor: "healing", Kind: "note", Subject: "i1"}},
	})
	_, err := s.DecideRequest(ctx, verdictOn("r1", AGLApproved))
	must(t, err)
	_, err = s.SetModeByAction(ctx, proof("a1", epoch), ModeSafe, "")
	must(t, err)
	done := action("a1", "i1")
	done.Result = "HEALED"
	row.Status, row.State = IncidentResolved, "RESOLVED"
	row = save(t, s, epoch, row, IncidentWrites{Actions: []ActionRow{done}})
	save(t, s, epoch, row, IncidentWrites{Actions: []ActionRow{done}}) // no change, no record
	_, err = s.CreateVersion(ctx, version(1))
	must(t, err)
	_, err = s.SetAliases(ctx, map[string]int{registry.Champion: 1}, nil, "ann", "")
	must(t, err)
	must(t, s.PutReference(ctx, Reference{ID: "ref1", Rows: 10, Document: json.RawMessage(`{}`), By: "aura"}))
	_, err = s.SetMode(ctx, ModeModel, "ann", "")
	must(t, err)
	must(t, s.AppendAudit(ctx, AuditEntry{Actor: "ann", Kind: "login", Subject: "ann", Detail: json.RawMessage(`{"ok":true}`)}))
	equal(t, "records", auditKinds(t, s), []string{
		"lease.taken", "incident.detected", "action.proposed", "policy.requested", "note", "policy.approved", "setting.changed",
		"action.executed", "incident.resolved", "action.result", "model.registered", "setting.changed", "alias.moved",
		"reference.made", "setting.changed", "login",
	})
	r, err := s.VerifyAudit(ctx)
	must(t, err)
	es, err := s.Audit(ctx, AuditFilter{}, 0, 1)
	must(t, err)
	equal(t, "report", r, AuditReport{Records: 16, Head: es[0].Hash})
	es, err = s.Audit(ctx, AuditFilter{Subject: SettingMode}, es[0].Seq-1, 10)
	must(t, err)
	equal(t, "of a subject, below", []any{len(es), es[0].Actor}, []any{1, "healing"})
}

func testAuditRolledBack(t *testing.T, s *Store) {
	boom := errors.New("boom")
	must(t, s.AppendAudit(t.Context(), AuditEntry{Actor: "a", Kind: "k"}))
	err := s.w.do(t.Context(), func(t *tx) error {
		return errors.Join(t.audit(AuditEntry{Actor: "a", Kind: "undone"}, AuditEntry{Actor: "a", Kind: "undone"}), boom)
	})
	if !errors.Is(err, boom) {
		t.Fatalf("got %v", err)
	}
	must(t, s.AppendAudit(t.Context(), AuditEntry{Actor: "a", Kind: "l"}))
	if got := auditKinds(t, s); !reflect.DeepEqual(got, []string{"k", "l"}) {
		t.Fatalf("records %v", got)
	}
	r, err := s.VerifyAudit(t.Context())
	must(t, err)
	equal(t, "holds", [2]int64{r.Records, r.Broken}, [2]int64{2, 0})
}

// grows: a reference grows from the rows that it has, once, and says so in the audit.
func grows(t *testing.T, s *Store) {
	t.Helper()
	ctx := t.Context()
	grown := Reference{ID: "accepted", Rows: 10, Document: json.RawMessage(`{"n":1}`), By: "healing"}
	must(t, s.PutReference(ctx, grown))
	grown.Rows, grown.Document = 30, json.RawMessage(`{"n":2}`)
	must(t, s.GrowReference(ctx, grown, 10))
	code(t, s.GrowReference(ctx, grown, 10), CodeConflict)
	code(t, s.GrowReference(ctx, grown, 30), CodeInvalid)
	unknown := grown
	unknown.ID = "unknown"
	code(t, s.GrowReference(ctx, unknown, 10), CodeConflict)
	got, err := s.Reference(ctx, "accepted")
	must(t, err)
	equal(t, "rows", got.Rows, 30)
	equal(t, "document", string(got.Document), `{"n":2}`)
	must(t, s.w.do(ctx, func(tx *tx) error { return tx.w.exec("DELETE FROM references_ WHERE id = 'accepted'") }))
}

package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"
)

// healingSuite is what any database must do for the healing loop.
func healingSuite(t *testing.T, open opener) {
	for name, test := range map[string]func(*testing.T, *Store){
		"Lease":                   testLease,
		"LeaseExpires":            testLeaseExpires,
		"Checkpoint":              testCheckpoint,
		"PersonCalls":             testPersonCalls,
		"IncidentRequests":        testIncidentRequests,
		"IncidentSavedAndRead":    testIncidentSavedAndRead,
		"IncidentConflicts":       testIncidentConflicts,
		"IncidentFailsWhole":      testIncidentFailsWhole,
		"IncidentPages":           testIncidentPages,
		"Actions":                 testActions,
		"NoDecision":              testNoDecision,
		"RequestsAndVerdicts":     testRequestsAndVerdicts,
		"VerdictOnceUnderRace":    testVerdictOnceUnderRace,
		"LateVerdicts":            testLateVerdicts,
		"ActionTakesEffectOnce":   testActionTakesEffectOnce,
		"ActionsOfEachKind":       testActionsOfEachKind,
		"ActionRefused":           testActionRefused,
		"Superseded":              testSuperseded,
		"Era":                     testEra,
		"References":              testReferences,
		"Labelled":                testLabelled,
		"Memories":                testMemories,
		"AuditOfEachChange":       testAuditOfEachChange,
		"AuditRolledBackWithAJob": testAuditRolledBack,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func TestSQLiteHealing(t *testing.T) {
	healingSuite(t, func(t *testing.T) *Store { return openDir(t, Options{Dir: t.TempDir()}) })
}

// moment is a time as it is read back.
func moment(seconds int) time.Time { return time.Unix(1_700_000_000+int64(seconds), 123456000).UTC() }

func healer(t testing.TB, s *Store) int64 {
	t.Helper()
	l, err := s.AcquireLease(t.Context(), LeaseHealing, "healing/h1", 1, time.Minute)
	must(t, err)
	return l.Epoch
}

func incident(id, fingerprint string, second int) IncidentRow {
	return IncidentRow{
		ID: id, Type: "LATENCY_SLO_BREACH", Status: IncidentOpen, State: "DETECTED", Fingerprint: fingerprint, Target: "decisions",
		OnsetAt: moment(second - 1), DetectedAt: moment(second), Document: json.RawMessage(`{"id":"` + id + `"}`),
	}
}

func action(id, incident string) ActionRow {
	return ActionRow{
		ID: id, IncidentID: incident, Type: "ENABLE_SAFE_MODE", Target: "mode", Rung: 1, Params: json.RawMessage(`{"mode":"SAFE_MODE"}`),
		Inverse: json.RawMessage(`{"mode":"MODEL"}`), Digest: "d-" + id, AGLDecision: AGLPending, ProposedAt: moment(1),
	}
}

func ask(id, action string) PolicyRequest {
	return PolicyRequest{
		ID: id, IncidentID: "i1", ActionID: action, ActionType: "ENABLE_SAFE_MODE", Target: "mode", Proposer: "healing",
		Digest: "d-" + action, Action: json.RawMessage(`{"type":"ENABLE_SAFE_MODE"}`), Status: RequestPending, CreatedAt: moment(2),
		ExpiresAt: moment(602),
	}
}

func save(t testing.TB, s *Store, epoch int64, row IncidentRow, with IncidentWrites) IncidentRow {
	t.Helper()
	out, err := s.SaveIncident(t.Context(), epoch, row, with)
	must(t, err)
	return out
}

func testLease(t *testing.T, s *Store) {
	ctx := t.Context()
	never, err := s.LeaseOf(ctx, LeaseHealing)
	must(t, err)
	equal(t, "never taken", never, Lease{Name: LeaseHealing, Free: true})
	a, err := s.AcquireLease(ctx, LeaseHealing, "a", 1, time.Minute)
	must(t, err)
	equal(t, "first", [2]any{a.Epoch, a.Held}, [2]any{int64(1), true})
	_, err = s.AcquireLease(ctx, LeaseHealing, "b", 9, time.Minute)
	code(t, err, CodeLeaseHeld)
	again, err := s.AcquireLease(ctx, LeaseHealing, "a", 1, time.Minute)
	must(t, err)
	equal(t, "the same holder keeps its epoch", again.Epoch, int64(1))
	other, err := s.AcquireLease(ctx, LeaseMonitoring, "b", 1, time.Minute)
	must(t, err)
	equal(t, "another lease", other.Epoch, int64(1))

	next, err := s.AcquireLease(ctx, LeaseHealing, "a", 2, time.Minute)
	must(t, err)
	equal(t, "the next incarnation takes it at once", next.Epoch, int64(2))
	_, err = s.AcquireLease(ctx, LeaseHealing, "a", 1, time.Minute)
	code(t, err, CodeLeaseHeld)
	_, err = s.RenewLease(ctx, a, time.Minute)
	code(t, err, CodeStaleEpoch)
	must(t, s.ReleaseLease(ctx, a)) // not its own any more
	renewed, err := s.RenewLease(ctx, next, time.Hour)
	must(t, err)
	now, err := s.LeaseOf(ctx, LeaseHealing)
	must(t, err)
	equal(t, "renewed", now, renewed)
	must(t, s.ReleaseLease(ctx, next))
	now, err = s.LeaseOf(ctx, LeaseHealing)
	must(t, err)
	equal(t, "released", [2]bool{now.Held, now.Free}, [2]bool{false, true})
	b, err := s.AcquireLease(ctx, LeaseHealing, "b", 1, time.Minute)
	must(t, err)
	equal(t, "after the release", b.Epoch, int64(3))
}

func testLeaseExpires(t *testing.T, s *Store) {
	ctx := t.Context()
	a, err := s.AcquireLease(ctx, LeaseHealing, "a", 1, time.Microsecond)
	must(t, err)
	for a.Held {
		a, err = s.LeaseOf(ctx, LeaseHealing)
		must(t, err)
	}
	_, err = s.SaveIncident(ctx, a.Epoch, incident("i1", "f", 1), IncidentWrites{})
	must(t, err) // nobody took it
	b, err := s.AcquireLease(ctx, LeaseHealing, "b", 1, time.Minute)
	must(t, err)
	equal(t, "epoch", b.Epoch, a.Epoch+1)
	_, err = s.SaveIncident(ctx, a.Epoch, incident("i2", "g", 1), IncidentWrites{})
	code(t, err, CodeStaleEpoch)
}

// testPersonCalls: a call is claimed under each epoch until it is made, and never by who lost the lease.
func testPersonCalls(t *testing.T, s *Store) {
	ctx := t.Context()
	first, err := s.AcquireLease(ctx, LeaseHealing, "a", 1, time.Minute)
	must(t, err)
	_, err = s.CallOf(ctx, "i1/n1")
	equal(t, "unknown", err, error(ErrNotFound))
	claim := func(epoch int64, want bool) {
		t.Helper()
		got, err := s.ClaimCall(ctx, epoch, "i1/n1")
		must(t, err)
		equal(t, "claimed", got, want)
	}
	claim(first.Epoch, true)
	claim(first.Epoch, true)
	next, err := s.AcquireLease(ctx, LeaseHealing, "a", 2, time.Minute)
	must(t, err)
	_, err = s.ClaimCall(ctx, first.Epoch, "i1/n1")
	code(t, err, CodeStaleEpoch)
	claim(next.Epoch, true)
	c, err := s.CallOf(ctx, "i1/n1")
	must(t, err)
	equal(t, "the call", c, PersonCall{ID: "i1/n1", Epoch: next.Epoch})
	must(t, s.CallMade(ctx, "i1/n1"))
	must(t, s.CallMade(ctx, "never claimed"))
	claim(next.Epoch, false)
	c, err = s.CallOf(ctx, "i1/n1")
	must(t, err)
	equal(t, "made", c.MadeAt.IsZero(), false)

	must(t, s.w.do(ctx, func(t *tx) error { return t.w.exec("UPDATE person_calls SET made_at = 1") }))
	_, err = s.ClaimCall(ctx, next.Epoch, "i2/n1")
	must(t, err)
	_, err = s.CallOf(ctx, "i1/n1")
	equal(t, "made long ago", err, error(ErrNotFound))
	_, err = s.CallOf(ctx, "i2/n1")
	must(t, err)
}

// testIncidentRequests: what a person wants is found by who heals until it is answered, withdrawn or expired, and done once.
func testIncidentRequests(t *testing.T, s *Store) {
	ctx := t.Context()
	lease, err := s.AcquireLease(ctx, LeaseHealing, "a", 1, time.Minute)
	must(t, err)
	saved, err := s.SaveIncident(ctx, lease.Epoch, incident("i1", "f", 0), IncidentWrites{})
	must(t, err)
	ask := func(id string, ttl time.Duration) {
		t.Helper()
		must(t, s.AskIncident(ctx, IncidentRequest{ID: id, IncidentID: "i1", Verb: "RETRY", By: "ann", Reason: "why"}, ttl))
	}
	waiting := func(want ...string) {
		t.Helper()
		list, err := s.IncidentRequests(ctx)
		must(t, err)
		var got []string
		for _, r := range list {
			got = append(got, r.ID)
		}
		equal(t, "waiting", got, want)
	}
	code(t, s.AskIncident(ctx, IncidentRequest{ID: "r0", IncidentID: "i1"}, time.Minute), CodeInvalid)
	_, err = s.IncidentRequest(ctx, "r0")
	equal(t, "unknown", err, error(ErrNotFound))
	ask("r1", time.Minute)
	ask("r2", time.Minute)
	ask("r3", time.Minute)
	ask("r4", time.Microsecond)
	waiting("r1", "r2", "r3")

	saved, err = s.SaveIncident(ctx, lease.Epoch, saved, IncidentWrites{Answers: "r1"})
	must(t, err)
	r, err := s.IncidentRequest(ctx, "r1")
	must(t, err)
	equal(t, "asked", r.AskedAt.IsZero() || r.ExpiresAt.Sub(r.AskedAt) != time.Minute, false)
	equal(t, "answered", r, IncidentRequest{ID: "r1", IncidentID: "i1", Verb: "RETRY", By: "ann", Reason: "why", AskedAt: r.AskedAt, ExpiresAt: r.ExpiresAt, Answered: true})
	_, err = s.SaveIncident(ctx, lease.Epoch, saved, IncidentWrites{Answers: "r1"})
	code(t, err, CodeLate)
	code(t, s.WithdrawIncidentRequest(ctx, "r1"), CodeLate)

	must(t, s.RefuseIncidentRequest(ctx, lease.Epoch, "r2", "it has ended"))
	r, err = s.IncidentRequest(ctx, "r2")
	must(t, err)
	equal(t, "refused", r.Answered && r.Refused == "it has ended", true)

	must(t, s.WithdrawIncidentRequest(ctx, "r3"))
	waiting()
	_, err = s.SaveIncident(ctx, lease.Epoch, saved, IncidentWrites{Answers: "r3"})
	code(t, err, CodeLate)
	row, err := s.Incident(ctx, "i1")
	must(t, err)
	equal(t, "the version after what was withdrawn", row.Version, saved.Version)

	_, err = s.AcquireLease(ctx, LeaseHealing, "a", 2, time.Minute)
	must(t, err)
	ask("r5", time.Minute)
	code(t, s.RefuseIncidentRequest(ctx, lease.Epoch, "r5", "too late"), CodeStaleEpoch)
	waiting("r5")
}

func testCheckpoint(t *testing.T, s *Store) {
	ctx := t.Context()
	if _, _, err := s.LoadCheckpoint(ctx, LeaseMonitoring); !errors.Is(err, ErrNotFound) {
		t.Fatalf("got %v", err)
	}
	code(t, s.SaveCheckpoint(ctx, LeaseMonitoring, 0, []byte("x")), CodeStaleEpoch)
	l, err := s.AcquireLease(ctx, LeaseMonitoring, "m", 1, time.Minute)
	must(t, err)
	must(t, s.SaveCheckpoint(ctx, LeaseMonitoring, l.Epoch, []byte("one")))
	must(t, s.SaveCheckpoint(ctx, LeaseMonitoring, l.Epoch, []byte("two\x00")))
	next, err := s.AcquireLease(ctx, LeaseMonitoring, "m", 2, time.Minute)
	must(t, err)
	code(t, s.SaveCheckpoint(ctx, LeaseMonitoring, l.Epoch, []byte("three")), CodeStaleEpoch)
	state, when, err := s.LoadCheckpoint(ctx, LeaseMonitoring)
	must(t, err)
	equal(t, "state", string(state), "two\x00")
	if when.IsZero() {
		t.Fatal("no time")
	}
	must(t, s.SaveCheckpoint(ctx, LeaseMonitoring, next.Epoch, nil))
}

func testIncidentSavedAndRead(t *testing.T, s *Store) {
	ctx, epoch := t.Context(), healer(t, s)
	row := incident("i1", "f", 1)
	saved := save(t, s, epoch, row, IncidentWrites{Actions: []ActionRow{action("a1", "i1")}, Requests: []PolicyRequest{ask("r1", "a1")}})
	equal(t, "version", saved.Version, int64(1))
	got, err := s.Incident(ctx, "i1")
	must(t, err)
	equal(t, "read back", got, saved)
	a, err := s.Action(ctx, "a1")
	must(t, err)
	equal(t, "action", a, action("a1", "i1"))
	r, err := s.Request(ctx, "r1")
	must(t, err)
	equal(t, "request", r, ask("r1", "a1"))

	saved.Status, saved.State, saved.ResolvedAt, saved.Degraded = IncidentResolved, "RESOLVED", moment(9), true
	saved = save(t, s, epoch, saved, IncidentWrites{})
	last, err := s.LastResolved(ctx, "f")
	must(t, err)
	equal(t, "last resolved", last, saved)
	open, err := s.OpenIncidents(ctx)
	must(t, err)
	equal(t, "degraded: still to do", open, []IncidentRow{saved})
	saved.RestoredAt = moment(10)
	save(t, s, epoch, saved, IncidentWrites{})
	open, err = s.OpenIncidents(ctx)
	must(t, err)
	equal(t, "restored: done", len(open), 0)
	if _, err := s.Incident(ctx, "nobody"); !errors.Is(err, ErrNotFound) {
		t.Fatalf("got %v", err)
	}
	if _, err := s.LastResolved(ctx, "g"); !errors.Is(err, ErrNotFound) {
		t.Fatalf("got %v", err)
	}
}

func testIncidentConflicts(t *testing.T, s *Store) {
	ctx, epoch := t.Context(), healer(t, s)
	first := save(t, s, epoch, incident("i1", "f", 1), IncidentWrites{})
	_, err := s.SaveIncident(ctx, epoch, incident("i2", "f", 2), IncidentWrites{})
	code(t, err, CodeIncidentOpen)
	_, err = s.SaveIncident(ctx, epoch, incident("i1", "f", 1), IncidentWrites{})
	code(t, err, CodeConflict)
	stale := first
	first = save(t, s, epoch, first, IncidentWrites{})
	_, err = s.SaveIncident(ctx, epoch, stale, IncidentWrites{})
	code(t, err, CodeConflict)
	first.Status = IncidentFailed
	first = save(t, s, epoch, first, IncidentWrites{})
	save(t, s, epoch, incident("i2", "f", 2), IncidentWrites{})
	first.Status = IncidentOpen // a relapse while another is open
	_, err = s.SaveIncident(ctx, epoch, first, IncidentWrites{})
	code(t, err, CodeIncidentOpen)
	unknown := incident("i3", "g", 1)
	unknown.Status = "ALMOST"
	if _, err := s.SaveIncident(ctx, epoch, unknown, IncidentWrites{}); err == nil {
		t.Fatal("an unknown status was kept")
	}
}

func testIncidentFailsWhole(t *testing.T, s *Store) {
	ctx, epoch := t.Context(), healer(t, s)
	bad := ask("r1", "a1")
	bad.Digest = ""
	_, err := s.SaveIncident(ctx, epoch, incident("i1", "f", 1), IncidentWrites{
		Actions: []ActionRow{action("a1", "i1")}, Requests: []PolicyRequest{bad},
	})
	code(t, err, CodeInvalid)
	if _, err := s.Incident(ctx, "i1"); !errors.Is(err, ErrNotFound) {
		t.Fatalf("the incident is there: %v", err)
	}
	if _, err := s.Action(ctx, "a1"); !errors.Is(err, ErrNotFound) {
		t.Fatalf("the action is there: %v", err)
	}
	_, err = s.SaveIncident(ctx, epoch, incident("i1", "f", 1), IncidentWrites{Actions: []ActionRow{action("a1", "other")}})
	code(t, err, CodeInvalid)
}

func testIncidentPages(t *testing.T, s *Store) {
	ctx, epoch := t.Context(), healer(t, s)
	var want []string
	for i := range 7 {
		row := incident(fmt.Sprint("i", i), fmt.Sprint("f", i), i/2)
		if i%2 == 1 {
			row.Target = "model"
		}
		save(t, s, epoch, row, IncidentWrites{})
		want = append([]string{row.ID}, want...)
	}
	var got []string
	for after := ""; ; after = got[len(got)-1] {
		page, err := s.Incidents(ctx, IncidentFilter{Status: IncidentOpen}, after, 3)
		must(t, err)
		if len(page) == 0 {
			break
		}
		for _, r := range page {
			got = append(got, r.ID)
		}
	}
	equal(t, "incidents", got, want)
	page, err := s.Incidents(ctx, IncidentFilter{Target: "model", DetectedSince: moment(1)}, "", 9)
	must(t, err)
	equal(t, "filtered", len(page), 2)
}

func testActions(t *testing.T, s *Store) {
	ctx, epoch := t.Context(), healer(t, s)
	row := save(t, s, epoch, incident("i1", "f", 1), IncidentWrites{})
	var as []ActionRow
	for i := range 5 {
		a := action(fmt.Sprint("a", i), "i1")
		a.ProposedAt, a.Undo = moment(i), i == 4
		if i > 0 {
			a.ExecutedAt = moment(10 + i)
		}
		if i == 2 {
			a.Type = "RESTART_AGENT"
		}
		as = append(as, a)
	}
	row = save(t, s, epoch, row, IncidentWrites{Actions: as})
	allowed, err := s.CountActions(ctx, ActionFilter{ExecutedSince: moment(12), OrAllowed: true})
	must(t, err)
	executed, err := s.CountActions(ctx, ActionFilter{ExecutedSince: moment(12)})
	must(t, err)
	equal(t, "nothing is allowed and not executed", allowed, executed)
	n, err := s.CountActions(ctx, ActionFilter{ExecutedSince: moment(12), ForwardOnly: true})
	must(t, err)
	equal(t, "budget", n, 2)
	n, err = s.CountActions(ctx, ActionFilter{Types: []string{"RESTART_AGENT"}, Target: "mode"})
	must(t, err)
	equal(t, "by type", n, 1)
	page, err := s.Actions(ctx, ActionFilter{IncidentID: "i1"}, "a3", 2)
	must(t, err)
	equal(t, "page", page, []ActionRow{as[2], as[1]})

	again := as[1]
	again.ExecutedAt, again.ProposedAt, again.Result, again.FinishedAt = moment(99), moment(98), "HEALED", moment(20)
	save(t, s, epoch, row, IncidentWrites{Actions: []ActionRow{again}})
	again.ExecutedAt, again.ProposedAt = as[1].ExecutedAt, as[1].ProposedAt
	got, err := s.Action(ctx, "a1")
	must(t, err)
	equal(t, "the first execution stands", got, again)
	row, err = s.Incident(ctx, "i1")
	must(t, err)
	again.Digest = "another"
	_, err = s.SaveIncident(ctx, epoch, row, IncidentWrites{Actions: []ActionRow{again}})
	code(t, err, CodeConflict)
}

// testNoDecision: NULL says that governance gave no decision, and never hides one that it gave.
func testNoDecision(t *testing.T, s *Store) {
	ctx, epoch := t.Context(), healer(t, s)
	row := save(t, s, epoch, incident("i1", "f", 1), IncidentWrites{
		Actions:  []ActionRow{action("withdrawn", "i1"), action("allowed", "i1"), action("held", "i1")},
		Requests: []PolicyRequest{ask("r1", "withdrawn"), ask("r2", "allowed"), ask("r3", "held")},
	})
	for request, verdict := range map[string]string{"r2": AGLApproved, "r3": AGLEscalated} {
		_, err := s.DecideRequest(ctx, verdictOn(request, verdict))
		must(t, err)
	}
	never := action("never", "i1")
	never.AGLDecision, never.Digest, never.Result = "", "", "REFUSED"
	ended := []ActionRow{never}
	for _, id := range []string{"withdrawn", "allowed", "held"} {
		a := action(id, "i1")
		a.AGLDecision, a.Result = "", "WITHDRAWN" // its incident has heard of no answer
		ended = append(ended, a)
	}
	save(t, s, epoch, row, IncidentWrites{Actions: ended, Withdraw: []string{"r1", "r2", "r3"}})

	equal(t, "the column", query(t, s, "SELECT action_id, agl_decision FROM healing_actions ORDER BY action_id").Rows, [][]any{
		{"allowed", AGLApproved}, {"held", AGLEscalated}, {"never", nil}, {"withdrawn", nil},
	})
	equal(t, "people's query", len(query(t, s, queryActions).Rows), 4)
	for id, asked := range map[string]bool{"never": false, "withdrawn": true} {
		a, err := s.Action(ctx, id)
		must(t, err)
		equal(t, id, []any{a.AGLDecision, a.Asked()}, []any{"", asked})
	}
}

package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"aura/mlops/registry"
)

// healingSuite is what any database must do for the healing loop.
func healingSuite(t *testing.T, open opener) {
	for name, test := range map[string]func(*testing.T, *Store){
		"Lease":                   testLease,
		"LeaseExpires":            testLeaseExpires,
		"Checkpoint":              testCheckpoint,
		"IncidentSavedAndRead":    testIncidentSavedAndRead,
		"IncidentConflicts":       testIncidentConflicts,
		"IncidentFailsWhole":      testIncidentFailsWhole,
		"IncidentPages":           testIncidentPages,
		"Actions":                 testActions,
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
	equal(t, "never taken", never, Lease{Name: LeaseHealing})
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

func verdictOn(request, verdict string) PolicyDecision {
	return PolicyDecision{
		RequestID: request, Verdict: verdict, Rule: "within_budget", Reason: "fine", By: "agl", Inputs: json.RawMessage(`{"n":1}`),
		Envelope: []byte{1, 0, 255}, DecidedAt: moment(3), ExpiresAt: moment(33),
	}
}

func testRequestsAndVerdicts(t *testing.T, s *Store) {
	ctx, epoch := t.Context(), healer(t, s)
	row := save(t, s, epoch, incident("i1", "f", 1), IncidentWrites{
		Actions: []ActionRow{action("a1", "i1"), action("a2", "i1")}, Requests: []PolicyRequest{ask("r1", "a1"), ask("r2", "a2")},
	})
	must(t, s.PutRequest(ctx, epoch, ask("r1", "a1")))
	pending, err := s.PendingRequests(ctx, 10)
	must(t, err)
	equal(t, "pending", pending, []PolicyRequest{ask("r1", "a1"), ask("r2", "a2")})

	_, err = s.DecideRequest(ctx, verdictOn("r1", AGLEscalated))
	must(t, err)
	_, err = s.DecideRequest(ctx, verdictOn("r1", AGLEscalated))
	code(t, err, CodeLate)
	pending, err = s.PendingRequests(ctx, 10)
	must(t, err)
	equal(t, "waits for a person", pending[0].Status, RequestEscalated)
	d, err := s.DecideRequest(ctx, verdictOn("r1", AGLApproved))
	must(t, err)
	want := verdictOn("r1", AGLApproved)
	want.ID, want.IncidentID, want.ActionID = d.ID, "i1", "a1"
	ds, err := s.PolicyDecisions(ctx, DecisionFilter{RequestIDs: []string{"r1", "r2"}, FinalOnly: true}, 0, 10)
	must(t, err)
	equal(t, "verdict", ds, []PolicyDecision{want})
	ds, err = s.PolicyDecisions(ctx, DecisionFilter{ActionID: "a1"}, d.ID, 10)
	must(t, err)
	equal(t, "before it", []any{len(ds), ds[0].Verdict}, []any{1, AGLEscalated})

	// The healing agent hasn't heard of it yet and saves its own row.
	row = save(t, s, epoch, row, IncidentWrites{Actions: []ActionRow{action("a1", "i1")}, Withdraw: []string{"r2", "r1"}})
	a, err := s.Action(ctx, "a1")
	must(t, err)
	equal(t, "agl_decision", a.AGLDecision, AGLApproved)
	_, err = s.DecideRequest(ctx, verdictOn("r2", AGLApproved))
	code(t, err, CodeLate)
	r, err := s.Request(ctx, "r1")
	must(t, err)
	equal(t, "what was decided isn't withdrawn", r.Status, AGLApproved)
	save(t, s, epoch, row, IncidentWrites{Requests: []PolicyRequest{ask("r3", "a1")}})
	a, err = s.Action(ctx, "a1")
	must(t, err)
	equal(t, "asked again", a.AGLDecision, AGLPending)
	if _, err := s.DecideRequest(ctx, verdictOn("nobody", AGLDenied)); !errors.Is(err, ErrNotFound) {
		t.Fatalf("got %v", err)
	}
	_, err = s.DecideRequest(ctx, verdictOn("r3", "PERHAPS"))
	code(t, err, CodeInvalid)
	code(t, s.PutRequest(ctx, epoch+1, ask("r4", "a1")), CodeStaleEpoch)
}

func testVerdictOnceUnderRace(t *testing.T, s *Store) {
	must(t, s.PutRequest(t.Context(), healer(t, s), ask("r1", "a1")))
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for i := range 16 {
		wg.Go(func() {
			_, err := s.DecideRequest(t.Context(), verdictOn("r1", []string{AGLApproved, AGLDenied}[i%2]))
			var refused *Refused
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				won++
			case !errors.As(err, &refused) || refused.Code != CodeLate:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	equal(t, "verdicts", won, 1)
}

func testLateVerdicts(t *testing.T, s *Store) {
	ctx, epoch := t.Context(), healer(t, s)
	must(t, s.PutRequest(ctx, epoch, ask("r1", "a1")))
	late := verdictOn("r1", AGLApproved)
	late.DecidedAt = moment(602) // the moment it expires
	_, err := s.DecideRequest(ctx, late)
	code(t, err, CodeLate)
	late.Verdict = AGLDenied
	_, err = s.DecideRequest(ctx, late)
	must(t, err)
	early := verdictOn("r1", AGLApproved) // the clock went back
	_, err = s.DecideRequest(ctx, early)
	code(t, err, CodeLate)
	ds, err := s.PolicyDecisions(ctx, DecisionFilter{}, 0, 9)
	must(t, err)
	equal(t, "verdicts", len(ds), 1)
}

func proof(id string, epoch int64) ActionProof {
	return ActionProof{ActionID: id, Nonce: "n-" + id, Epoch: epoch, By: "healing"}
}

func testActionTakesEffectOnce(t *testing.T, s *Store) {
	ctx, epoch := t.Context(), healer(t, s)
	save(t, s, epoch, incident("i1", "f", 1), IncidentWrites{Actions: []ActionRow{action("a1", "i1")}})
	if _, err := s.Executed(ctx, "a1"); !errors.Is(err, ErrNotFound) {
		t.Fatalf("got %v", err)
	}
	e, err := s.SetModeByAction(ctx, proof("a1", epoch), ModeSafe, "latency")
	must(t, err)
	st, err := s.Desired(ctx)
	must(t, err)
	equal(t, "effect", e, Effect{
		ActionID: "a1", Setting: SettingMode, Value: "SAFE_MODE", Previous: "MODEL", Generation: 2, Change: e.Change, Era: st.Era, At: e.At,
	})
	a, err := s.Action(ctx, "a1")
	must(t, err)
	equal(t, "executed_at", a.ExecutedAt, e.At)

	_, err = s.SetMode(ctx, ModeModel, "ann", "back")
	must(t, err)
	again, err := s.SetModeByAction(ctx, proof("a1", epoch), ModeSafe, "latency")
	must(t, err)
	recorded := e
	recorded.Repeated = true
	equal(t, "the recorded effect", again, recorded)
	equal(t, "nothing changed", generations(t, s).Mode, ModeModel)
	stored, err := s.Executed(ctx, "a1")
	must(t, err)
	equal(t, "read", stored, e)
}

func testActionsOfEachKind(t *testing.T, s *Store) {
	ctx, epoch := t.Context(), healer(t, s)
	for n := 1; n <= 2; n++ {
		_, err := s.CreateVersion(ctx, version(n))
		must(t, err)
	}
	_, err := s.SetAliases(ctx, map[string]int{registry.Champion: 2, registry.Previous: 1}, "ann", "start")
	must(t, err)
	e, err := s.SetAliasesByAction(ctx, proof("a1", epoch), map[string]int{registry.Champion: 1, registry.Previous: 2}, "worse")
	must(t, err)
	equal(t, "rollback", []any{e.Setting, e.Value, e.Previous, e.Generation}, []any{"champion", "1", "2", int64(2)})
	equal(t, "aliases before", string(e.Detail), `{"aliases_before":{"champion":2,"previous":1}}`)
	al, err := s.Aliases(ctx)
	must(t, err)
	equal(t, "aliases", al, map[string]int{"champion": 1, "previous": 2})
	_, err = s.SetAliasesByAction(ctx, proof("a2", epoch), map[string]int{registry.Champion: 7}, "")
	code(t, err, CodeUnknownVersion)

	must(t, s.PutReference(ctx, Reference{ID: "ref1", Rows: 10, Document: json.RawMessage(`{}`), By: "aura"}))
	e, err = s.SetReferenceByAction(ctx, proof("a3", epoch), "ref1", "new population")
	must(t, err)
	equal(t, "reference", []any{e.Value, e.Previous}, []any{"ref1", ""})
	_, err = s.SetReferenceByAction(ctx, proof("a4", epoch), "ref2", "")
	code(t, err, CodeUnknownReference)

	e, err = s.BumpAgentByAction(ctx, proof("a5", epoch), "model", 4, "hung")
	must(t, err)
	equal(t, "agent", []any{e.Setting, e.Value}, []any{"agent.model", "4"})
	e, err = s.BumpAgentByAction(ctx, proof("a6", epoch), "model", 3, "hung")
	must(t, err)
	equal(t, "never lower", []any{e.Value, e.Generation}, []any{"4", int64(1)})

	era, err := s.Desired(ctx)
	must(t, err)
	e, err = s.RecordAction(ctx, proof("a7", epoch), json.RawMessage(`{"run":1}`))
	must(t, err)
	equal(t, "no setting", e, Effect{ActionID: "a7", Era: era.Era, At: e.At, Detail: json.RawMessage(`{"run":1}`)})
	e, err = s.RecordAction(ctx, proof("a7", epoch), json.RawMessage(`{"run":2}`))
	must(t, err)
	equal(t, "once", []any{string(e.Detail), e.Repeated}, []any{`{"run":1}`, true})
}

func testActionRefused(t *testing.T, s *Store) {
	ctx, epoch := t.Context(), healer(t, s)
	_, err := s.SetModeByAction(ctx, proof("a1", epoch+1), ModeSafe, "")
	code(t, err, CodeStaleEpoch)
	_, err = s.SetModeByAction(ctx, ActionProof{ActionID: "a1", Epoch: epoch, By: "healing"}, ModeSafe, "")
	code(t, err, CodeInvalid)
	_, err = s.SetModeByAction(ctx, proof("a1", epoch), "NO_MODE", "")
	code(t, err, CodeInvalid)
	_, err = s.SetModeByAction(ctx, proof("a1", epoch), ModeSafe, "")
	must(t, err)
	replay := proof("a2", epoch)
	replay.Nonce = "n-a1"
	_, err = s.SetModeByAction(ctx, replay, ModeModel, "")
	code(t, err, CodeReplayed)
	equal(t, "still", generations(t, s).Mode, ModeSafe)

	_, err = s.Hold(ctx, SettingMode, true, "ann", "mine")
	must(t, err)
	_, err = s.SetModeByAction(ctx, proof("a3", epoch), ModeModel, "")
	code(t, err, CodeHeld)
	if _, err := s.Executed(ctx, "a3"); !errors.Is(err, ErrNotFound) {
		t.Fatalf("a refused action is recorded as executed: %v", err)
	}
	_, err = s.Hold(ctx, SettingMode, false, "ann", "yours")
	must(t, err)
	_, err = s.SetModeByAction(ctx, proof("a3", epoch), ModeModel, "") // its nonce is still good
	must(t, err)

	_, err = s.CreateVersion(ctx, version(1))
	must(t, err)
	_, err = s.Hold(ctx, SettingChampion, true, "ann", "pinned")
	must(t, err)
	_, err = s.SetAliasesByAction(ctx, proof("a4", epoch), map[string]int{registry.Champion: 1}, "")
	code(t, err, CodeHeld)
	_, err = s.SetAliases(ctx, map[string]int{registry.Champion: 1}, "bob", "a person may")
	must(t, err)
	if _, err := s.Hold(ctx, "nothing", true, "ann", ""); !errors.Is(err, ErrNotFound) {
		t.Fatalf("got %v", err)
	}
}

func testSuperseded(t *testing.T, s *Store) {
	ctx, epoch := t.Context(), healer(t, s)
	if _, err := s.Superseded(ctx, "a1"); !errors.Is(err, ErrNotFound) {
		t.Fatalf("got %v", err)
	}
	_, err := s.SetModeByAction(ctx, proof("a1", epoch), ModeSafe, "")
	must(t, err)
	_, err = s.BumpAgentByAction(ctx, proof("a2", epoch), "model", 2, "")
	must(t, err)
	c, err := s.Superseded(ctx, "a1")
	must(t, err)
	equal(t, "another setting's change", c, (*ConfigChange)(nil))
	_, err = s.SetMode(ctx, ModeSafe, "ann", "mine now") // the same value, but hers
	must(t, err)
	c, err = s.Superseded(ctx, "a1")
	must(t, err)
	equal(t, "by", []any{c.Owner, c.Person, c.HeldBy, c.ActionID}, []any{"ann", true, "ann", ""})
	_, err = s.SetMode(ctx, ModeModel, "ann", "over")
	must(t, err)
	_, err = s.SetModeByAction(ctx, proof("a3", epoch), ModeSafe, "")
	must(t, err)
	c, err = s.Superseded(ctx, "a1")
	must(t, err)
	equal(t, "a person's change counts before an action's", []any{c.Owner, c.Reason}, []any{"ann", "over"})
	_, err = s.SetModeByAction(ctx, proof("a4", epoch), ModeModel, "undo")
	must(t, err)
	c, err = s.Superseded(ctx, "a3")
	must(t, err)
	equal(t, "by its undo", []any{c.Person, c.ActionID}, []any{false, "a4"})
}

func testEra(t *testing.T, s *Store) {
	ctx := t.Context()
	first, err := s.Desired(ctx)
	must(t, err)
	_, err = s.Set(ctx, Change{Setting: "healing", Value: "PAUSED", By: "ann", Person: true})
	must(t, err)
	second, err := s.Desired(ctx)
	must(t, err)
	if second.Era <= first.Era {
		t.Fatalf("the era went from %d to %d", first.Era, second.Era)
	}
	equal(t, "settings", second.Settings["healing"].Value, "PAUSED")
	_, err = s.Set(ctx, Change{Setting: SettingReference, Value: "nobody", By: "ann", Person: true})
	code(t, err, CodeUnknownReference)
	must(t, s.PutReference(ctx, Reference{ID: "ref1", Rows: 10, Document: json.RawMessage(`{}`), By: "aura"}))
	v, err := s.Set(ctx, Change{Setting: SettingReference, Value: "ref1", By: "aura"})
	must(t, err)
	third, err := s.Desired(ctx)
	must(t, err)
	equal(t, "reference", []any{third.Reference, third.ReferenceGeneration}, []any{"ref1", v.Generation})
	h, err := s.ConfigHistory(ctx, 1, 0)
	must(t, err)
	equal(t, "the era is the history's last line", third.Era, h[0].ID)
}

func testReferences(t *testing.T, s *Store) {
	ctx := t.Context()
	one := Reference{"ref1", moment(1), 3, 10000, json.RawMessage(`{"bins":[1]}`), "aura", "training sample"}
	two := Reference{"ref2", moment(2), 4, 1000, json.RawMessage(`{"bins":[2]}`), "healing", "drift"}
	must(t, s.PutReference(ctx, one))
	must(t, s.PutReference(ctx, two))
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
	_, err = s.SetAliases(ctx, map[string]int{registry.Champion: 1}, "ann", "")
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

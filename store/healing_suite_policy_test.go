package store

import (
	"encoding/json"
	"errors"
	"sync"
	"testing"
)

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
	late := verdictOn("r3", AGLApproved) // that was asked for in time, and signed for too long
	late.DecidedAt = ask("r3", "a1").ExpiresAt
	_, err = s.DecideRequest(ctx, late)
	code(t, err, CodeLate)
	late.Verdict = AGLDenied // is what becomes of it
	_, err = s.DecideRequest(ctx, late)
	must(t, err)
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

package governance

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aura/agents"
	"aura/agents/bus"
	"aura/agents/event"
	"aura/healing/incident"
	"aura/healing/policy"
	"aura/store"
	"aura/store/pgtest"
)

// mute takes announcements and passes on none.
type mute struct{}

func (mute) Publish(context.Context, ...*bus.Message) error { return nil }

// governor makes the agent of a process of a deployment, with a budget of two actions an hour.
func governor(t *testing.T, s *store.Store, instance string, key ed25519.PrivateKey) (*Agent, agents.Handler) {
	t.Helper()
	c := policy.DefaultConfig()
	c.Profile, c.Limits.GlobalHour, c.Limits.InFlight = policy.Demo, 2, 100
	p, err := policy.Compile(c.Rules)
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(Options{
		Store: s, Publisher: mute{}, Key: key, Rules: func() Rules { return Rules{c, p} }, Instance: instance, Now: func() time.Time { return time.Now().UTC() },
	})
	if err != nil {
		t.Fatal(err)
	}
	return a, a.Spec().NewHandler(agents.Life{Agent: Name, Instance: instance, Incarnation: 1})
}

// asked stores a request of an incident of its own.
func asked(t *testing.T, s *store.Store, epoch int64, n int) string {
	t.Helper()
	a := policy.Action{Type: incident.RestartAgent, Params: map[string]string{"agent": fmt.Sprint("agent", n)}}
	doc, _ := json.Marshal(policy.Proposal{Action: a, Purpose: policy.Forward, IncidentType: incident.AgentDown, Target: fmt.Sprint("agent", n)})
	now := time.Now().UTC()
	of := fmt.Sprint("INC-", n)
	id := of + "/a1"
	params, _ := json.Marshal(a.Params)
	_, err := s.SaveIncident(t.Context(), epoch, store.IncidentRow{
		ID: of, Type: incident.AgentDown, Status: store.IncidentOpen, State: "PROPOSED", Fingerprint: of, Target: "x", DetectedAt: now, Document: json.RawMessage("{}"),
	}, store.IncidentWrites{
		Actions: []store.ActionRow{{
			ID: id, IncidentID: of, Type: a.Type, Params: params, Inverse: json.RawMessage("null"), Digest: a.Digest(), AGLDecision: store.AGLPending,
			ProposedAt: now, Document: json.RawMessage("{}"),
		}},
		Requests: []store.PolicyRequest{{
			ID: id + "/r1", IncidentID: of, ActionID: id, ActionType: a.Type, Proposer: "healing", Digest: a.Digest(), Action: doc,
			CreatedAt: now, ExpiresAt: now.Add(10 * time.Minute),
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return id + "/r1"
}

// TestTwoGovernorsOneBudget: two processes on one PostgreSQL database that hear of ten requests at once allow two, as the hour's
// budget has it, though none of the actions was executed yet.
func TestTwoGovernorsOneBudget(t *testing.T) {
	address := pgtest.Start(t, "fsync=off").Database(t)
	_, key, _ := ed25519.GenerateKey(nil)
	var stores [2]*store.Store
	var handlers [2]agents.Handler
	for i := range stores {
		s, err := store.Open(t.Context(), store.Options{Dir: t.TempDir(), URL: address, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close(context.Background()) })
		stores[i] = s
		_, handlers[i] = governor(t, s, fmt.Sprint("p", i), key)
	}
	lease, err := stores[0].AcquireLease(t.Context(), store.LeaseHealing, "healing/p0", 1, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	var requests []string
	for n := range 10 {
		requests = append(requests, asked(t, stores[0], lease.Epoch, n))
	}
	var wg sync.WaitGroup
	for i, h := range handlers {
		for n := range requests {
			wg.Go(func() {
				e := &event.PolicyRequest{RequestID: requests[(n+5*i)%len(requests)]}
				if err := h.Handle(t.Context(), bus.NewMessage(e, time.Now()), nil); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	allowed := 0
	for _, id := range requests {
		rows, err := stores[1].PolicyDecisions(t.Context(), store.DecisionFilter{RequestIDs: []string{id}}, 0, 10)
		if err != nil || len(rows) != 1 {
			t.Fatalf("%s has %d verdicts, %v", id, len(rows), err)
		}
		if rows[0].Verdict == policy.Approved {
			allowed++
		}
	}
	if allowed != 2 {
		t.Errorf("%d actions were allowed in an hour, want 2", allowed)
	}
}

// TestAnotherGovernorTakesOver: a process that decided and is gone is followed after its lease; one that was stopped meanwhile
// writes nothing; one without the key in force leaves the lease to others.
func TestAnotherGovernorTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := store.Open(t.Context(), store.Options{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := s.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}()
		_, key, _ := ed25519.GenerateKey(nil)
		first, one := governor(t, s, "p0", key)
		second, two := governor(t, s, "p1", key)
		lease, err := s.AcquireLease(t.Context(), store.LeaseHealing, "healing/p0", 1, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		tell := func(h agents.Handler, id string) {
			t.Helper()
			if err := h.Handle(t.Context(), bus.NewMessage(&event.PolicyRequest{RequestID: id}, time.Now()), nil); err != nil {
				t.Fatal(err)
			}
		}
		decided := func(id string) bool {
			t.Helper()
			rows, err := s.PolicyDecisions(t.Context(), store.DecisionFilter{RequestIDs: []string{id}}, 0, 10)
			if err != nil {
				t.Fatal(err)
			}
			return len(rows) == 1
		}
		a, b, c := asked(t, s, lease.Epoch, 1), asked(t, s, lease.Epoch, 2), asked(t, s, lease.Epoch, 3)
		tell(one, a)
		tell(two, b)
		if !decided(a) || decided(b) {
			t.Fatal("not the holder of the lease alone decides")
		}
		time.Sleep(leaseTTL + time.Millisecond)
		tell(two, b)
		if !decided(b) {
			t.Fatal("nobody follows the holder that is gone")
		}
		first.taken = time.Now() // it believes so: it was stopped just before its write
		tell(one, c)
		if decided(c) {
			t.Error("a decision of an epoch that is over was kept")
		}
		if err := second.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		tell(one, c)
		if !decided(c) {
			t.Error("the lease was given back, and nobody decides")
		}
	})
}

package governance

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"aura/agents"
	"aura/agents/bus"
	"aura/agents/event"
	"aura/healing/incident"
	"aura/healing/policy"
	"aura/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hall is governance with a real store, and whoever asks it. It runs in synctest time.
type hall struct {
	t       *testing.T
	store   *store.Store
	agent   *Agent
	lease   store.Lease
	version int64
	told    []*event.PolicyDecision
}

func (h *hall) Publish(_ context.Context, messages ...*bus.Message) error {
	for _, m := range messages {
		h.told = append(h.told, m.Event.(*event.PolicyDecision))
	}
	return nil
}

func sit(t *testing.T, profile string, f func(h *hall)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := &hall{t: t}
		dir := t.TempDir()
		key, err := MakeKey(KeyFile(dir))
		if err != nil {
			t.Fatal(err)
		}
		if h.store, err = store.Open(t.Context(), store.Options{Dir: dir, Logger: slog.New(slog.DiscardHandler)}); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := h.store.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}()
		c := policy.DefaultConfig()
		c.Profile = profile
		p, err := policy.Compile(c.Rules)
		if err != nil {
			t.Fatal(err)
		}
		h.agent, err = New(Options{Store: h.store, Publisher: h, Key: key, Rules: func() Rules { return Rules{c, p} }, Now: func() time.Time { return time.Now().UTC() }})
		if err != nil {
			t.Fatal(err)
		}
		if h.lease, err = h.store.AcquireLease(t.Context(), store.LeaseHealing, "healing", 1, time.Hour); err != nil {
			t.Fatal(err)
		}
		f(h)
	})
}

var safe = policy.Action{Type: incident.EnableSafeMode, Params: map[string]string{}, Inverse: &policy.Action{Type: incident.DisableSafeMode}}

// ask stores the request of an action, changed by change, and returns it.
func (h *hall) ask(id string, p policy.Proposal, change func(r *store.PolicyRequest)) store.PolicyRequest {
	h.t.Helper()
	if p.Purpose == "" {
		p.Purpose = policy.Forward
	}
	doc, _ := json.Marshal(p)
	now := time.Now().UTC()
	r := store.PolicyRequest{
		ID: id + "/r1", IncidentID: "INC-1", ActionID: id, ActionType: p.Action.Type, Target: "mode", Proposer: "healing", Digest: p.Action.Digest(),
		Action: doc, CreatedAt: now, ExpiresAt: now.Add(10 * time.Minute),
	}
	if change != nil {
		change(&r)
	}
	params, _ := json.Marshal(p.Action.Params)
	inverse, _ := json.Marshal(p.Action.Inverse)
	row, err := h.store.SaveIncident(h.t.Context(), h.lease.Epoch, store.IncidentRow{
		ID: "INC-1", Type: incident.LatencySLOBreach, Status: store.IncidentOpen, State: "PROPOSED", Fingerprint: "f", Target: "service",
		DetectedAt: now, Version: h.version, Document: json.RawMessage("{}"),
	}, store.IncidentWrites{
		Actions:  []store.ActionRow{{ID: id, IncidentID: "INC-1", Type: r.ActionType, Target: "mode", Params: params, Inverse: inverse, Digest: r.Digest, Undo: p.Purpose != policy.Forward, Document: json.RawMessage("{}")}},
		Requests: []store.PolicyRequest{r},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.version = row.Version
	return r
}

// beat hands the agent one of its own beats: it sweeps.
func (h *hall) beat() {
	h.t.Helper()
	handler := h.agent.Spec().NewHandler(agents.Life{})
	if err := handler.Handle(h.t.Context(), bus.NewMessage(&event.AgentMetrics{Agent: Name}, time.Now()), nil); err != nil {
		h.t.Fatal(err)
	}
}

func (h *hall) verdict(r store.PolicyRequest) store.PolicyDecision {
	h.t.Helper()
	rows, err := h.store.PolicyDecisions(h.t.Context(), store.DecisionFilter{RequestIDs: []string{r.ID}}, 0, 10)
	if err != nil || len(rows) == 0 {
		h.t.Fatalf("no verdict: %v", err)
	}
	return rows[0]
}

// holds reports whether an envelope allows the action.
func (h *hall) allows(d store.PolicyDecision, id, purpose string, a policy.Action) error {
	public := h.agent.o.Key.Public().(ed25519.PublicKey)
	_, err := policy.Verify(d.Envelope, policy.Expected{ActionID: id, IncidentID: "INC-1", Purpose: purpose, Audience: policy.AudienceExecutor, Action: a},
		map[string]ed25519.PublicKey{policy.KeyID(public): public}, nil, time.Now())
	return err
}

func TestDemoApprovesAndSigns(t *testing.T) {
	sit(t, policy.Demo, func(h *hall) {
		r := h.ask("INC-1/a1", policy.Proposal{Action: safe}, nil)
		h.beat()
		d := h.verdict(r)
		if d.Verdict != policy.Approved || d.Rule != "demo" || d.By != Name || len(h.told) != 1 {
			t.Errorf("%+v", d)
		}
		if err := h.allows(d, "INC-1/a1", policy.Forward, safe); err != nil {
			t.Error(err)
		}
		var log policy.Decision
		if err := json.Unmarshal(d.Inputs, &log); err != nil || log.Input.Action != safe.Type || len(log.Input.Touches) != 1 || len(log.Skipped) == 0 {
			t.Errorf("the log doesn't say why: %s, %v", d.Inputs, err)
		}
		h.beat()
		if len(h.told) != 1 {
			t.Error("decided twice")
		}
	})
}

// TestDenials: what is denied has no envelope, and says which rule.
func TestDenials(t *testing.T) {
	for name, c := range map[string]struct {
		profile, rule string
		proposal      policy.Proposal
		prepare       func(h *hall)
		change        func(r *store.PolicyRequest)
	}{
		"off":                 {profile: policy.Off, rule: "off"},
		"off denies undo":     {profile: policy.Off, rule: "purpose", proposal: policy.Proposal{Purpose: policy.Undo, Undoes: "nobody"}},
		"paused":              {profile: policy.Demo, rule: "paused", prepare: func(h *hall) { h.must(h.agent.Pause(h.t.Context(), policy.LocalPrincipal(), true, "x")) }},
		"frozen":              {profile: policy.Demo, rule: "freeze", prepare: func(h *hall) { h.must(h.agent.Freeze(h.t.Context(), policy.LocalPrincipal(), true, "x")) }},
		"held by a person":    {profile: policy.Demo, rule: "hold", prepare: func(h *hall) { _, err := h.store.SetMode(h.t.Context(), store.ModeSafe, "ann", "x"); h.must(err) }},
		"sick platform":       {profile: policy.Demo, rule: "platform", prepare: func(h *hall) { h.agent.o.Unhealthy = func() float64 { return 1 } }},
		"another digest":      {profile: policy.Demo, rule: "malformed", change: func(r *store.PolicyRequest) { r.Digest = policy.Action{Type: "X"}.Digest() }},
		"another type":        {profile: policy.Demo, rule: "malformed", change: func(r *store.PolicyRequest) { r.ActionType = "ROLLBACK_MODEL" }},
		"not JSON":            {profile: policy.Demo, rule: "malformed", change: func(r *store.PolicyRequest) { r.Action = json.RawMessage("no") }},
		"false undo":          {profile: policy.Demo, rule: "purpose", proposal: policy.Proposal{Purpose: policy.Undo, Undoes: "INC-1/a9"}},
		"false restore":       {profile: policy.Demo, rule: "purpose", proposal: policy.Proposal{Purpose: policy.Restore}},
		"unknown purpose":     {profile: policy.Demo, rule: "purpose", proposal: policy.Proposal{Purpose: "FUN"}},
		"too late":            {profile: policy.Demo, rule: "expired", change: func(r *store.PolicyRequest) { r.ExpiresAt = r.CreatedAt }},
		"an action of nobody": {profile: policy.Demo, rule: "limits", proposal: policy.Proposal{Action: policy.Action{Type: "DROP_TABLES"}}},
	} {
		t.Run(name, func(t *testing.T) {
			sit(t, c.profile, func(h *hall) {
				if c.prepare != nil {
					c.prepare(h)
				}
				p := c.proposal
				if p.Action.Type == "" {
					p.Action = safe
				}
				r := h.ask("INC-1/a1", p, c.change)
				h.beat()
				if d := h.verdict(r); d.Verdict != policy.Denied || d.Rule != c.rule || len(d.Envelope) != 0 || d.Reason == "" {
					t.Errorf("%s by %q (%s), want DENIED by %s", d.Verdict, d.Rule, d.Reason, c.rule)
				}
			})
		})
	}
}

func (h *hall) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// TestUndoOfWhatWasDone: the inverse of an action of the same incident is allowed, whatever the budgets.
func TestUndoOfWhatWasDone(t *testing.T) {
	sit(t, policy.Demo, func(h *hall) {
		h.ask("INC-1/a1", policy.Proposal{Action: safe}, nil)
		h.beat()
		h.must(h.agent.Pause(h.t.Context(), policy.LocalPrincipal(), true, "x"))
		r := h.ask("INC-1/a1/undo", policy.Proposal{Action: *safe.Inverse, Purpose: policy.Undo, Undoes: "INC-1/a1"}, nil)
		h.beat()
		d := h.verdict(r)
		if err := h.allows(d, "INC-1/a1/undo", policy.Undo, *safe.Inverse); d.Verdict != policy.Approved || err != nil {
			t.Errorf("%+v, %v", d, err)
		}
		r = h.ask("INC-1/a1/undo2", policy.Proposal{Action: safe, Purpose: policy.Undo, Undoes: "INC-1/a1"}, nil)
		h.beat()
		if d := h.verdict(r); d.Verdict != policy.Denied || d.Rule != "purpose" {
			t.Errorf("an action that is not the inverse passes as an undo: %+v", d)
		}
	})
}

// TestPeople: supervised holds each action for a person; the role counts, the proposer never decides, late is refused.
func TestPeople(t *testing.T) {
	ann := policy.Principal{Name: "ann", Roles: []policy.Role{policy.Approver}}
	sit(t, policy.Supervised, func(h *hall) {
		r := h.ask("INC-1/a1", policy.Proposal{Action: safe}, nil)
		h.code(h.decide(ann, r, policy.Approved), store.CodeLate) // not asked of people yet
		h.beat()
		if d := h.verdict(r); d.Verdict != policy.Escalated || len(d.Envelope) != 0 || !d.ExpiresAt.Equal(r.ExpiresAt) {
			t.Errorf("%+v", d)
		}
		for who, want := range map[*policy.Principal]error{
			{Name: "healing", Roles: ann.Roles}:                  policy.ErrSelfApproval,
			{Name: "bob", Roles: []policy.Role{policy.Operator}}: policy.ErrRole,
			{Name: "governance", Agent: true, Roles: ann.Roles}:  policy.ErrAgentDecides,
			{Roles: ann.Roles}: policy.ErrNoName,
			{Name: "eve", Roles: []policy.Role{policy.Admin, policy.Viewer}}: policy.ErrRole,
		} {
			if err := h.decide(*who, r, policy.Approved); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", who.Name, err, want)
			}
		}
		h.must(h.decide(ann, r, policy.Approved))
		d := h.verdict(r)
		if err := h.allows(d, "INC-1/a1", policy.Forward, safe); err != nil || d.By != "ann" {
			t.Errorf("%v, by %s", err, d.By)
		}
		h.code(h.decide(ann, r, policy.Denied), store.CodeLate)
		h.code(h.decide(ann, r, "PERHAPS"), store.CodeInvalid)
	})
}

// TestExpiryMeansNo: a request that nobody answers is denied; the late approval is refused and changes nothing.
func TestExpiryMeansNo(t *testing.T) {
	ann := policy.Principal{Name: "ann", Roles: []policy.Role{policy.Approver}}
	for _, swept := range []bool{true, false} {
		sit(t, policy.Supervised, func(h *hall) {
			r := h.ask("INC-1/a1", policy.Proposal{Action: safe}, nil)
			h.beat()
			time.Sleep(10*time.Minute + time.Second)
			if swept {
				h.beat()
			}
			for _, verdict := range []string{policy.Approved, policy.Denied} {
				err := h.decide(ann, r, verdict)
				h.code(err, store.CodeLate)
				if !strings.Contains(err.Error(), "expired at") {
					t.Errorf("a late answer is told %v", err)
				}
			}
			h.beat()
			if d := h.verdict(r); d.Verdict != policy.Denied || d.Rule != "expired" || len(d.Envelope) != 0 {
				t.Errorf("%+v", d)
			}
		})
	}
}

func (h *hall) decide(p policy.Principal, r store.PolicyRequest, verdict string) error {
	_, err := h.agent.Decide(h.t.Context(), p, r.ID, verdict, "because")
	return err
}

func (h *hall) code(err error, want string) {
	h.t.Helper()
	var refused *store.Refused
	if !errors.As(err, &refused) || refused.Code != want {
		h.t.Errorf("%v, want %s", err, want)
	}
}

func TestPauseNeedsAnOperator(t *testing.T) {
	sit(t, policy.Demo, func(h *hall) {
		for _, p := range []policy.Principal{{Name: "ann", Roles: []policy.Role{policy.Approver}}, {Name: "x", Agent: true, Roles: []policy.Role{policy.Operator}}, {}} {
			if h.agent.Pause(h.t.Context(), p, true, "x") == nil {
				t.Errorf("%+v may pause", p)
			}
		}
	})
}

func TestKey(t *testing.T) {
	name := KeyFile(t.TempDir())
	if _, err := ReadKey(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	first, err := MakeKey(name)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(name)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info.Mode(), err)
	}
	if again, err := MakeKey(name); err != nil || !again.Equal(first) {
		t.Errorf("another key the second time: %v", err)
	}
	for mode, taken := range map[fs.FileMode]bool{
		0o600: true, 0o400: true, 0o440: true, 0o640: true, // a mounted secret is its group's to read
		0o644: false, 0o604: false, 0o601: false, 0o620: false, 0o660: false, 0o444: false, 0o666: false,
	} {
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
		got, err := ReadKey(name)
		if taken != (err == nil && got.Equal(first)) || !taken && !strings.Contains(err.Error(), fmt.Sprintf("mode %o", mode)) {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
	for _, content := range []string{"x", "", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if err := errors.Join(os.WriteFile(name, []byte(content), 0o600), os.Chmod(name, 0o600)); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadKey(name); err == nil {
			t.Errorf("%q was taken for a key", content)
		}
	}
}

// TestNextKey: wherever a rotation is stopped, the key in force is found, by one process or by several at once.
func TestNextKey(t *testing.T) {
	name := KeyFile(t.TempDir())
	old, err := MakeKey(name)
	if err != nil {
		t.Fatal(err)
	}
	next, err := NextKey(name)
	if err != nil || next.Equal(old) {
		t.Fatalf("the same key, %v", err)
	}
	if key, ok, err := FindKey(name, KeyID(old)); err != nil || !ok || !key.Equal(old) {
		t.Errorf("stopped before it was in force: %v, %v", ok, err)
	}
	if key, ok, err := FindKey(name, "another"); err != nil || ok || !key.Equal(old) {
		t.Errorf("a key that isn't here: %v, %v", ok, err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if key, ok, err := FindKey(name, KeyID(next)); err != nil || !ok || !key.Equal(next) {
				t.Errorf("in force: %v, %v", ok, err)
			}
		})
	}
	wg.Wait()
	entries, err := os.ReadDir(filepath.Dir(name))
	if err != nil || len(entries) != 1 {
		t.Fatalf("%v, %v", entries, err)
	}
	if info, err := entries[0].Info(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestPrincipals(t *testing.T) {
	sum := sha256.Sum256([]byte("secret"))
	good := "- {name: ann, roles: [approver], token_sha256: " + hex.EncodeToString(sum[:]) + "}\n"
	p, err := ParsePrincipals([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	if who, err := p.Of("secret"); err != nil || who.Name != "ann" || !who.Has(policy.Approver) {
		t.Errorf("%+v, %v", who, err)
	}
	if _, err := p.Of("Secret"); !errors.Is(err, ErrUnknownPrincipal) {
		t.Errorf("%v", err)
	}
	if who, err := (*Principals)(nil).Of(""); err != nil || who.Name != "local" {
		t.Errorf("%+v, %v", who, err)
	}
	for _, bad := range []string{good + good, "- {name: healing, token_sha256: aa}", "- {name: bob, roles: [king], token_sha256: " + hex.EncodeToString(sum[:]) + "}", "- {name: bob, token_sha256: zz}", "- {colour: red}", "a: b"} {
		if _, err := ParsePrincipals([]byte(bad)); err == nil {
			t.Errorf("accepted %q", bad)
		}
	}
}

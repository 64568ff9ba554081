package governance

import (
	"errors"
	"testing"
	"time"

	"aura/healing/policy"
	"aura/store"
)

var bounds = policy.Bounds{ExecuteWithin: 10 * time.Second, VerifyWithin: 15 * time.Second, Dwell: time.Second}

// bound is the action with a longer dwell.
func bound(dwell string) policy.Action {
	a := safe
	a.Params = map[string]string{policy.ParamDwell: dwell}
	return a
}

// TestAPersonModifies: what is wider is refused and the request still waits; what is narrower is signed, and nothing else.
func TestAPersonModifies(t *testing.T) {
	sit(t, policy.Supervised, func(h *hall) {
		r := h.ask("INC-1/a1", policy.Proposal{Action: safe, Bounds: bounds}, nil)
		h.beat()
		ann := policy.Principal{Name: "ann", Roles: []policy.Role{policy.Approver}}
		var narrow *policy.NarrowError
		for _, wider := range []map[string]string{{policy.ParamDwell: "1ms"}, {policy.ParamVerifyWithin: "1h"}, {"mode": "MODEL"}, nil} {
			if _, err := h.agent.Modify(h.t.Context(), ann, r.ID, wider, "x"); !errors.As(err, &narrow) {
				t.Errorf("%v: %v", wider, err)
			}
		}
		if _, err := h.agent.Modify(h.t.Context(), policy.Principal{Name: "eve", Roles: []policy.Role{policy.Operator}}, r.ID, map[string]string{policy.ParamDwell: "5s"}, "x"); !errors.Is(err, policy.ErrRole) {
			t.Errorf("an operator: %v", err)
		}
		d, err := h.agent.Modify(h.t.Context(), ann, r.ID, map[string]string{policy.ParamDwell: "5s"}, "be sure")
		if err != nil || d.Verdict != store.AGLModified {
			t.Fatalf("%+v, %v", d, err)
		}
		if err := h.allows(d, r.ActionID, policy.Forward, bound("5s")); err != nil {
			t.Errorf("what was decided: %v", err)
		}
		for name, a := range map[string]policy.Action{"what was proposed": safe, "something else": bound("6s")} {
			if err := h.allows(d, r.ActionID, policy.Forward, a); !errors.Is(err, policy.ErrDigest) {
				t.Errorf("%s: %v", name, err)
			}
		}
		row, err := h.store.Action(h.t.Context(), r.ActionID)
		if err != nil || row.AGLDecision != store.AGLModified || row.Digest != bound("5s").Digest() || string(row.Params) != `{"dwell":"5s"}` {
			t.Errorf("the row: %+v, %v", row, err)
		}
		var late *store.Refused
		if _, err := h.agent.Modify(h.t.Context(), ann, r.ID, map[string]string{policy.ParamDwell: "7s"}, "x"); !errors.As(err, &late) || late.Code != store.CodeLate {
			t.Errorf("a second decision: %v", err)
		}
	})
}

// TestARuleModifies: a rule may narrow what is proposed; where it is narrow enough it is plainly approved.
func TestARuleModifies(t *testing.T) {
	sit(t, policy.Demo, func(h *hall) {
		c := policy.DefaultConfig()
		c.Rules = []policy.Rule{{Name: "careful", When: "true", Decide: policy.Modified, Reason: "be sure", Modify: map[string]string{policy.ParamDwell: "5s"}}}
		p, err := policy.Compile(c.Rules)
		if err != nil {
			t.Fatal(err)
		}
		h.agent.o.Rules = func() Rules { return Rules{c, p} }
		first := h.ask("INC-1/a1", policy.Proposal{Action: safe, Bounds: bounds}, nil)
		h.beat()
		d := h.verdict(first)
		if err := h.allows(d, first.ActionID, policy.Forward, bound("5s")); err != nil || d.Verdict != store.AGLModified || d.Rule != "careful" {
			t.Errorf("%s %s: %v", d.Verdict, d.Rule, err)
		}
		strict := bounds
		strict.Dwell = 10 * time.Second
		second := h.ask("INC-1/a2", policy.Proposal{Action: safe, Bounds: strict}, nil)
		h.beat()
		d = h.verdict(second)
		if err := h.allows(d, second.ActionID, policy.Forward, safe); err != nil || d.Verdict != store.AGLApproved {
			t.Errorf("%s %s: %v", d.Verdict, d.Rule, err)
		}
	})
}

package healing

import (
	"strings"
	"testing"
	"time"

	"aura/healing/incident"
	"aura/store"
)

// TestTheRecordClaimsNoDecisionThatNobodyMade: agl_decision of actions that ended without one, in column and document.
func TestTheRecordClaimsNoDecisionThatNobodyMade(t *testing.T) {
	type outcome struct {
		action, decision string
		asked            bool
		result           incident.Result
		why              string
	}
	missing := outcome{incident.RollbackModel, "", false, incident.Refused, "it needs previous_better: it is not so in this scene"}
	for name, test := range map[string]struct {
		scene  *scene
		govern func(*world, store.PolicyRequest)
		goes   bool // the cause, before anybody has answered
		end    incident.State
		first  outcome
	}{
		"a precondition doesn't hold": {scene: scenes[2], end: incident.Resolved, first: missing},
		"what it would load is damaged": {
			scene: scenes[3], end: incident.Escalated,
			first: outcome{incident.RollbackModel, "", false, incident.Refused, "version 1: its checksum does not fit"},
		},
		"withdrawn before an answer": {
			govern: func(*world, store.PolicyRequest) {}, goes: true, end: incident.Cancelled,
			first: outcome{incident.EnableSafeMode, "", true, incident.Withdrawn, ""},
		},
		"withdrawn while it was held": {
			govern: func(w *world, r store.PolicyRequest) {
				d := store.PolicyDecision{RequestID: r.ID, Verdict: store.AGLEscalated, Rule: "supervised", By: "governance", DecidedAt: w.clock(), ExpiresAt: r.ExpiresAt}
				_, _ = w.store.DecideRequest(w.t.Context(), d) // the second one is refused
			}, goes: true, end: incident.Cancelled,
			first: outcome{incident.EnableSafeMode, store.AGLEscalated, true, incident.Withdrawn, ""},
		},
		"nobody answers": {
			govern: func(*world, store.PolicyRequest) {}, end: incident.Escalated,
			first: outcome{incident.EnableSafeMode, "", true, incident.Withdrawn, "a person was called"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(w *world) {
				if test.scene != nil {
					w.stage(test.scene)
				}
				w.govern = test.govern
				w.begin()
				w.breakModel(true)
				if test.goes {
					w.pass(3 * time.Second)
					w.breakModel(false)
				}
				in := w.until(test.end, 5*time.Minute)
				row, err := w.store.Action(w.t.Context(), in.Actions[0].ID)
				if err != nil {
					w.t.Fatal(err)
				}
				got := outcome{row.Type, row.AGLDecision, row.Asked(), incident.Result(row.Result), in.Actions[0].Reason}
				if !strings.Contains(got.why, test.first.why) {
					w.t.Errorf("why: %q, want %q", got.why, test.first.why)
				}
				if got.why = test.first.why; got != test.first {
					w.t.Errorf("%+v, want %+v", got, test.first)
				}
				if said := in.Actions[0].AGL; said != test.first.decision {
					w.t.Errorf("its document says %q, the column %q", said, test.first.decision)
				}
				w.audited()
			})
		})
	}
}

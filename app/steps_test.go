package app_test

import (
	"strings"
	"testing"
	"time"

	"aura/app"
	"aura/healing/incident"
	"aura/web/api"
)

// TestTheDetectStepSaysWhatWasSeen: in words, and as it was then.
func TestTheDetectStepSaysWhatWasSeen(t *testing.T) {
	t.Parallel()
	in := incident.Incident{Kind: incident.AgentDown, DetectedAt: time.Unix(1, 0), Signal: incident.Signal{Words: "a beat of the model agent 0.0 s ago"}}
	for want, seen := range map[string]*incident.Seen{
		"the model agent has crashed: panic: x": {Value: .02, Threshold: 1.5, Words: "the model agent has crashed: panic: x"},
		"0.02 against 1.5, n = 7":               {Value: .02, Threshold: 1.5, N: 7}, // kept before there were words
	} {
		in.Seen = seen
		if got := app.StepsOf(in)[0].Text; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	in.Seen, in.With = &incident.Seen{Words: "a PSI of 0.4"}, []incident.Drift{{Target: "income", PSI: 0.41}}
	if got, want := app.StepsOf(in)[0].Text, "a PSI of 0.4; also drifting with it: income (PSI 0.41)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// The six steps say how far a healing is, whatever became of it.
func TestStepsOfAnIncident(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)
	after := func(s int) time.Time { return at.Add(time.Duration(s) * time.Second) }
	detected := incident.Incident{Kind: incident.LatencySLOBreach, State: incident.Detected, OnsetAt: at, DetectedAt: after(1)}
	with := func(state incident.State, a incident.Action) incident.Incident {
		in := detected
		a.ID, a.Type, a.Purpose, a.ProposedAt = "a1", incident.EnableSafeMode, incident.Forward, after(2)
		in.State, in.Actions = state, []incident.Action{a}
		if a.Result == "" {
			in.CurrentID = "a1"
		}
		return in
	}
	yes := incident.Action{AGL: incident.AGLApproved, DecidedAt: after(3)}
	executed := yes
	executed.ExecutedAt = after(4)
	ended := func(r incident.Result) incident.Action {
		a := executed
		a.Result, a.EndedAt = r, after(9)
		return a
	}
	for name, test := range map[string]struct {
		in   incident.Incident
		want string // states of detect, propose, approve, execute, verify, learn
	}{
		"suspected":     {incident.Incident{State: incident.Suspected}, "now waiting waiting waiting waiting waiting"},
		"no suspicion":  {incident.Incident{State: incident.Cancelled}, "skipped skipped skipped skipped skipped skipped"},
		"detected":      {detected, "done now waiting waiting waiting waiting"},
		"proposed":      {with(incident.Proposed, incident.Action{AGL: incident.AGLPending}), "done done now waiting waiting waiting"},
		"held":          {with(incident.AwaitingApproval, incident.Action{AGL: incident.AGLEscalated}), "done done now waiting waiting waiting"},
		"approved":      {with(incident.Executing, yes), "done done done now waiting waiting"},
		"executed":      {with(incident.Verifying, executed), "done done done done now waiting"},
		"healed":        {with(incident.Resolved, ended(incident.Verified)), "done done done done done done"},
		"did not hold":  {with(incident.Detected, ended(incident.Undone)), "done done done done failed done"},
		"denied":        {with(incident.Escalated, incident.Action{AGL: incident.AGLDenied, DecidedAt: after(3), Result: incident.Denied}), "done done failed skipped skipped skipped"},
		"expired":       {with(incident.Escalated, incident.Action{AGL: incident.AGLDenied, Rule: "supervised", EndedAt: after(9), Result: incident.Denied, Reason: "nobody decided in time"}), "done done failed skipped skipped skipped"},
		"withdrawn":     {with(incident.Cancelled, incident.Action{AGL: incident.AGLEscalated, Result: incident.Withdrawn}), "done done skipped skipped skipped skipped"},
		"refused late":  {with(incident.Detected, incident.Action{AGL: incident.AGLApproved, DecidedAt: after(3), Result: incident.Refused}), "done done done failed skipped skipped"},
		"not asked":     {with(incident.Detected, incident.Action{AGL: incident.AGLPending, Result: incident.Refused, Reason: "it needs previous_better"}), "done done skipped skipped skipped skipped"},
		"handed over":   {with(incident.Escalated, ended(incident.HandedOver)), "done done done done failed skipped"},
		"nobody to ask": {func() incident.Incident { in := detected; in.State = incident.Escalated; return in }(), "done skipped skipped skipped skipped skipped"},
	} {
		var got []string
		last, text := 0.0, ""
		for _, s := range app.StepsOf(test.in) {
			got = append(got, s.State)
			text += s.Name + ": " + s.Text + "\n"
			if s.SinceOnsetS != nil {
				if *s.SinceOnsetS < last {
					t.Errorf("%s: %s goes back in time", name, s.Name)
				}
				last = *s.SinceOnsetS
			}
		}
		if steps := app.StepsOf(test.in); name == "expired" && (*steps[2].SinceOnsetS != 9 || !strings.Contains(text, "approve: nobody decided in time\nexecute: \n")) {
			t.Errorf("%s after %v:\n%s", name, *steps[2].SinceOnsetS, text)
		}
		if asked := !strings.Contains(text, "approve: not asked\nexecute: it needs previous_better"); asked != (name != "not asked") {
			t.Errorf("%s: asked %v:\n%s", name, asked, text)
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%s: %q, want %q", name, strings.Join(got, " "), test.want)
		}
	}
}

// After a retry the ladder begins at its foot: what the pass before has tried is on the timeline, not at the rungs of this one.
func TestANewPassBeginsWithNothingTried(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)
	failed := incident.Action{
		ID: "a1", Type: incident.EnableSafeMode, Purpose: incident.Forward, ProposedAt: at, ExecutedAt: at, EndedAt: at.Add(time.Second),
		Result: incident.Undone, AGL: incident.AGLApproved,
	}
	in := incident.Incident{
		Kind: incident.LatencySLOBreach, State: incident.Detected, DetectedAt: at, RungIndex: 1, Actions: []incident.Action{failed},
		Ladder: []incident.Rung{{Action: incident.EnableSafeMode}, {Action: incident.RestartAgent}},
	}
	if got := app.LadderOf(in)[0].State; got != api.StepFailed {
		t.Errorf("in its own pass the rung is %s", got)
	}
	in.RungIndex, in.PassAt = 0, at.Add(time.Minute)
	if got := app.LadderOf(in)[0]; got.State != api.StepWaiting || got.Note != "" {
		t.Errorf("in the next pass the rung is %s: %s", got.State, got.Note)
	}
	for _, s := range app.StepsOf(in) {
		if s.State == api.StepFailed {
			t.Errorf("%s has failed before this pass tried anything", s.Name)
		}
	}
	failed.ID, failed.EndedAt, failed.Result = "a2", time.Time{}, ""
	in.Actions, in.CurrentID = append(in.Actions, failed), "a2"
	if got := app.LadderOf(in)[0].State; got != api.StepNow {
		t.Errorf("tried again the rung is %s", got)
	}
}

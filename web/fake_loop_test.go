package web

import (
	"context"
	"fmt"
	"slices"
	"time"

	"aura/web/api"
)

// The fake's answers for the loop.

func incidentNow() api.IncidentDetail {
	zero, took := 0.4, 1.2
	return api.IncidentDetail{
		Incident: api.Incident{
			ID: "i-1", Type: "LATENCY_SLO_BREACH", Status: "MITIGATING", State: "VERIFYING", Target: "service", Reason: "ENABLE_SAFE_MODE took effect",
			DetectedAt: then, OnsetAt: then.Add(-time.Second), LastAction: "ENABLE_SAFE_MODE", Actions: 1,
		},
		Steps: []api.Step{
			{Name: "detect", State: api.StepDone, At: then, SinceOnsetS: &zero},
			{Name: "propose", State: api.StepDone, At: then, SinceOnsetS: &zero, TookS: &took, Text: "ENABLE_SAFE_MODE: it protects at once"},
			{Name: "approve", State: api.StepNow},
			{Name: "execute", State: api.StepWaiting},
			{Name: "verify", State: api.StepWaiting},
			{Name: "learn", State: api.StepWaiting},
		},
		Ladder:    []api.Rung{{Rung: 1, Action: "ENABLE_SAFE_MODE", Why: "it protects at once", State: api.StepNow}},
		ActionLog: []api.Action{{ID: "i-1/a1", Type: "ENABLE_SAFE_MODE", AGLDecision: "APPROVED", ProposedAt: then}},
		Timeline:  []api.TimelineStep{{Seq: 1, At: then, State: "DETECTED", Text: "signal confirmed"}},
	}
}

func (f *fake) Incidents(_ context.Context, filter api.IncidentFilter, limit int, cursor string) (api.List[api.Incident], error) {
	if cursor != "" {
		return api.List[api.Incident]{}, f.err
	}
	n := incidentNow().Incident
	n.Reason = fmt.Sprintf("%s/%s", filter.Status, filter.Type)
	return api.List[api.Incident]{Items: []api.Incident{n}, NextCursor: fmt.Sprintf("after %d", limit)}, f.err
}

func (f *fake) Incident(_ context.Context, id string) (api.IncidentDetail, error) {
	if id != "i-1" {
		return api.IncidentDetail{}, api.Refuse(api.NotFound, "there is no incident %q", id)
	}
	return incidentNow(), f.err
}

func (f *fake) Actions(_ context.Context, incident string, limit int, _ string) (api.List[api.Action], error) {
	return api.List[api.Action]{Items: []api.Action{{ID: "i-1/a1", IncidentID: incident, Rung: limit, Type: "ENABLE_SAFE_MODE", AGLDecision: "APPROVED"}}}, f.err
}

func (f *fake) Memories(_ context.Context, kind string, limit int) ([]api.Memory, error) {
	return []api.Memory{{Type: kind, ActionType: "ENABLE_SAFE_MODE", TookS: float64(limit), Healed: true, At: then}}, f.err
}

func (f *fake) Ranking(_ context.Context, kind string) ([]api.Ranking, error) {
	return []api.Ranking{{Type: kind, Class: "c", Reason: "the configured order", Rungs: []api.RankedRung{{Action: "ENABLE_SAFE_MODE", Why: "configured position 1"}}}}, f.err
}

func (f *fake) Playbook(context.Context) (api.Playbook, error) {
	return api.Playbook{Digest: "d1", Profile: "demo", Items: []api.PlaybookLadder{{Type: "PERF_DROP", Rungs: []api.PlaybookRung{{Action: "ROLLBACK_MODEL", Verification: "signal"}}}}}, f.err
}

func (f *fake) Reload(_ context.Context, by api.Change) (api.Reload, error) {
	if by.Reason == "bad" {
		return api.Reload{}, api.RefuseFields(api.Field{Field: "healing.playbooks", Problem: "PERF_DROP[0].action: unknown action"})
	}
	f.remember(by)
	return api.Reload{Applied: []string{"healing.playbooks"}, NeedRestart: []string{}, Playbook: "d2"}, f.err
}

func (f *fake) RotateKey(_ context.Context, by api.Change) (api.KeyRotation, error) {
	f.remember(by)
	return api.KeyRotation{KeyID: "k2", Previous: "k1"}, f.err
}

func (f *fake) Scoreboard(_ context.Context, window time.Duration) (api.Scoreboard, error) {
	return api.Scoreboard{At: then, WindowS: window.Seconds(), Items: []api.Score{{Type: "ALL"}}}, f.err
}

func (f *fake) Tell(ctx context.Context, id, verb string, by api.Change) (api.IncidentDetail, error) {
	if verb == api.VerbClose {
		return api.IncidentDetail{}, api.Refuse(api.Conflict, "its signal is CONFIRMED still")
	}
	d, err := f.Incident(ctx, id)
	if err == nil {
		by.Reason = verb + " " + by.Reason
		f.remember(by)
	}
	return d, err
}

func (f *fake) Judge(ctx context.Context, id, action string, needless bool, by api.Change) (api.IncidentDetail, error) {
	d, err := f.Incident(ctx, id)
	if err == nil {
		by.Reason = fmt.Sprint(action, " ", needless, " ", by.Reason)
		f.remember(by)
	}
	return d, err
}

func (f *fake) Graph() api.Graph {
	return api.Graph{
		States: []string{"DETECTED", "RESOLVED"}, Initial: "DETECTED", Final: []string{"RESOLVED"}, Mermaid: "stateDiagram-v2\n", Dot: "digraph incident {}\n",
		Arrows: []api.Arrow{{From: "DETECTED", To: "RESOLVED", Event: "SIGNAL", When: "signal < healthy"}, {From: "RESOLVED", To: "DETECTED", When: "relapse"}},
	}
}

func (f *fake) Signals(context.Context) (api.SignalReport, error) {
	return api.SignalReport{At: then, Items: []api.Signal{{Kind: "DATA_DRIFT", Target: "income", State: "HEALTHY", Threshold: .2, Unit: "PSI", N: 500}}}, f.err
}

func (f *fake) Approvals(_ context.Context, decided bool, _ int, _ string) (api.List[api.Approval], error) {
	return api.List[api.Approval]{Items: []api.Approval{{RequestID: "r-1", ActionType: "ROLLBACK_MODEL", Status: map[bool]string{true: "DENIED", false: "ESCALATED"}[decided]}}}, f.err
}

func (f *fake) Decide(_ context.Context, id string, r api.Ruling, by api.Principal) (api.Approval, error) {
	switch {
	case id == "r-late":
		return api.Approval{}, api.Refuse(api.Conflict, "request r-late has expired")
	case id != "r-1" && id != "i-1/a1/r1":
		return api.Approval{}, api.Refuse(api.NotFound, "there is no request %q", id)
	case !slices.Contains(by.Roles, "approver"):
		return api.Approval{}, api.Refuse(api.Forbidden, "role")
	}
	f.remember(api.Change{By: by.Name, Reason: r.Decision + " " + r.Reason})
	return api.Approval{RequestID: id, Status: r.Decision, Params: r.Params, DecidedBy: by.Name}, f.err
}

func (f *fake) Healing(context.Context) (api.Healing, error) {
	return api.Healing{State: api.HealingActive, Profile: "demo"}, f.err
}

func (f *fake) Pause(_ context.Context, by api.Change) (api.Healing, error) {
	f.remember(by)
	return api.Healing{State: api.HealingPaused, By: by.By, Reason: by.Reason}, f.err
}

func (f *fake) Resume(_ context.Context, by api.Change) (api.Healing, error) {
	f.remember(by)
	return api.Healing{State: api.HealingActive, By: by.By}, f.err
}

func (f *fake) Audit(_ context.Context, subject string, limit int, _ string) (api.List[api.AuditEntry], error) {
	return api.List[api.AuditEntry]{Items: []api.AuditEntry{{Seq: int64(limit), Subject: subject, Kind: "setting.changed"}}}, f.err
}

func (f *fake) VerifyAudit(context.Context) (api.AuditReport, error) {
	return api.AuditReport{Records: 4, Broken: 5, Problem: "its hash is another"}, f.err
}

func (f *fake) Query(_ context.Context, sql string, limit int) (api.QueryResult, error) {
	if sql == "DROP TABLE incidents" {
		return api.QueryResult{}, api.RefuseFields(api.Field{Field: "sql", Problem: "a query begins with SELECT"})
	}
	return api.QueryResult{Columns: []string{"n"}, Rows: [][]any{{limit}}}, f.err
}

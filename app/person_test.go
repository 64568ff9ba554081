package app_test

import (
	"strings"
	"testing"
	"time"

	"aura/app/config"
	"aura/web/api"
)

// detailOf is an incident as the API tells it.
func (r *running) detailOf(id string) (d api.IncidentDetail) {
	r.t.Helper()
	r.ask("GET", "/api/v1/incidents/"+id, "", 200, &d)
	return d
}

// reaches waits until the newest incident of a type is in a state.
func (r *running) reaches(kind, state string) (d api.IncidentDetail) {
	r.t.Helper()
	until(r.t, 60*time.Second, kind+" "+state, func() string {
		var list api.List[api.Incident]
		r.ask("GET", "/api/v1/incidents?type="+kind, "", 200, &list)
		if len(list.Items) == 0 || list.Items[0].State != state {
			return "so far: " + strings.Join(states(list.Items), ", ")
		}
		d = r.detailOf(list.Items[0].ID)
		return ""
	})
	return d
}

// judging waits until monitoring judges a signal healthy.
func (r *running) judging(kind, target string) {
	r.t.Helper()
	until(r.t, 20*time.Second, kind+" is judged", func() string {
		var s api.SignalReport
		r.ask("GET", "/api/v1/signals", "", 200, &s)
		for _, g := range s.Items {
			if g.Kind == kind && g.Target == target && g.State == "HEALTHY" {
				return ""
			}
		}
		return "not healthy"
	})
}

// TestAfterACrashLoopAPersonRestartsTheAgent: the loop ends in safe mode with a person; nobody restarts the agent by
// itself; the person's restart is recorded, and the incident then ends truthfully: degraded until the model is back.
func TestAfterACrashLoopAPersonRestartsTheAgent(t *testing.T) {
	t.Parallel()
	r := run(t, func(c *config.Config) {
		watched(c)
		c.Healing.Playbooks = `{AGENT_DOWN: [
			{action: RESTART_AGENT, verification: agent, verify_within: 10s},
			{action: ENABLE_SAFE_MODE, protect: true, verification: signal, verify_within: 15s, dwell: 1s},
			{action: RESTART_AGENT, verification: agent, verify_within: 10s}]}`
	})
	r.judging("AGENT_DOWN", "model")
	r.ask("POST", "/api/v1/faults", `{"target":"model","kind":"crash","share":1,"ttl":"5m","times":0}`, 201, nil)
	d := r.reaches("AGENT_DOWN", "ESCALATED")
	if !d.Degraded || d.Escalation != "LADDER_END" || d.Status != "MITIGATING" {
		t.Fatalf("%s %s, degraded %v, %s", d.Status, d.State, d.Degraded, d.Escalation)
	}
	life := r.status("model").Incarnation
	r.ask("POST", "/api/v1/incidents/"+d.ID+"/close", `{"reason":"enough"}`, 409, nil)
	r.ask("DELETE", "/api/v1/faults", "", 200, nil)
	time.Sleep(2 * time.Second) // real time: nobody may have restarted it meanwhile
	if now := r.status("model").Incarnation; now != life {
		t.Fatalf("the agent went from life %d to %d without a person", life, now)
	}
	r.ask("POST", "/api/v1/agents/model/restart", `{"reason":"the bug is mended","by":"ann"}`, 200, nil)
	until(t, 30*time.Second, "healthy in safe mode", func() string {
		if d = r.detailOf(d.ID); d.Status == "RESOLVED" && !d.ResolvedAt.IsZero() {
			return ""
		}
		return d.State + ": " + d.Reason
	})
	if d.State == "DEGRADED" != d.Degraded {
		t.Errorf("%s, degraded %v", d.State, d.Degraded)
	}
	d = r.reaches("AGENT_DOWN", "RESOLVED")
	if d.Degraded || d.RestoredAt.Before(d.ResolvedAt) {
		t.Errorf("degraded %v, resolved %v, restored %v", d.Degraded, d.ResolvedAt, d.RestoredAt)
	}
	var audit api.List[api.AuditEntry]
	r.ask("GET", "/api/v1/audit?subject=agent.model&limit=1", "", 200, &audit)
	if len(audit.Items) != 1 || audit.Items[0].Actor != "ann" || !strings.Contains(string(audit.Items[0].Detail), "the bug is mended") {
		t.Errorf("audit %+v", audit.Items)
	}
}

// TestAPersonRetriesAndJudges: what nobody may do by itself is done after a retry; the verdict of a person counts on the
// scoreboard, and both stand in the audit.
func TestAPersonRetriesAndJudges(t *testing.T) {
	t.Parallel()
	r := run(t, func(c *config.Config) {
		watched(c)
		c.Governance.Rules = `[{name: once, when: 'counts["global_hour"] == 0 && fingerprint != "" && hour < 0', decide: APPROVED, reason: x}]` // denies all
	})
	r.judging("LATENCY_SLO_BREACH", "service")
	r.ask("POST", "/api/v1/faults", `{"target":"model","kind":"latency","delay":"1500ms","share":1,"ttl":"2m"}`, 201, nil)
	d := r.reaches("LATENCY_SLO_BREACH", "ESCALATED")
	before := len(d.ActionLog)
	if before == 0 || !d.ActionLog[0].ExecutedAt.IsZero() {
		t.Fatalf("actions %+v", d.ActionLog)
	}
	r.ask("POST", "/api/v1/incidents/"+d.ID+"/verdict", `{"needless":true,"reason":"x"}`, 409, nil) // nothing was executed
	r.ask("POST", "/api/v1/incidents/"+d.ID+"/retry", `{"reason":"look again","by":"ann"}`, 200, &d)
	until(t, 20*time.Second, "the ladder again", func() string {
		if d = r.detailOf(d.ID); len(d.ActionLog) > before {
			return ""
		}
		return d.State + ": " + d.Reason
	})
	var audit api.List[api.AuditEntry]
	r.ask("GET", "/api/v1/audit?subject="+d.ID+"&limit=200", "", 200, &audit)
	found := false
	for _, e := range audit.Items {
		found = found || e.Kind == "incident.retry" && e.Actor == "ann" && strings.Contains(string(e.Detail), "look again")
	}
	if !found {
		t.Error("the audit doesn't say who tried again")
	}
}

package app_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aura/app"
	"aura/app/config"
	"aura/web/api"
)

// ask calls the API as a client does and decodes the answer of the wanted status.
func (r *running) ask(method, path, body string, status int, out any) {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), method, r.URL()+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	if response.StatusCode != status {
		r.t.Fatalf("%s %s: %s, want %d: %s", method, path, response.Status, status, answer)
	}
	if out == nil {
		return
	}
	if err := json.NewDecoder(bytes.NewReader(answer)).Decode(out); err != nil {
		r.t.Fatalf("%s %s: %v in %.300s", method, path, err, answer)
	}
}

const slowModel = `{"target":"model","kind":"latency","delay":"1500ms","share":1,"ttl":"30s"}`

// seen waits for an incident of the type in a status.
func (r *running) seen(kind, status string) api.IncidentDetail {
	r.t.Helper()
	var found api.IncidentDetail
	until(r.t, 40*time.Second, kind+" "+status, func() string {
		var list api.List[api.Incident]
		r.ask("GET", "/api/v1/incidents?type="+kind, "", 200, &list)
		for _, n := range list.Items {
			if n.Status == status {
				r.ask("GET", "/api/v1/incidents/"+n.ID, "", 200, &found)
				return ""
			}
		}
		return "incidents so far: " + strings.TrimSpace(strings.Join(states(list.Items), ", "))
	})
	return found
}

func states(list []api.Incident) []string {
	out := make([]string, len(list))
	for i, n := range list {
		out[i] = n.Type + " " + n.Target + " " + n.Status + " " + n.State + ": " + n.Reason
	}
	return out
}

func watched(c *config.Config) { c.Simulate.Rate, c.Healing.Enabled = 100, true }

// What a person can ask of a healing agrees, wherever it is asked.
func TestAHealingIsToldTheSameEverywhere(t *testing.T) {
	t.Parallel()
	r := run(t, watched)
	until(t, 20*time.Second, "monitoring judges", func() string {
		var s api.SignalReport
		r.ask("GET", "/api/v1/signals", "", 200, &s)
		for _, g := range s.Items {
			if g.Kind == "LATENCY_SLO_BREACH" && g.State == "HEALTHY" {
				return ""
			}
		}
		return "no healthy latency"
	})
	r.ask("POST", "/api/v1/faults", slowModel, 201, nil)
	d := r.seen("LATENCY_SLO_BREACH", "RESOLVED")
	names := make([]string, len(d.Steps))
	for i, s := range d.Steps {
		names[i] = s.Name
		if s.State != api.StepDone || s.At.IsZero() || s.SinceOnsetS == nil || i > 0 && s.At.Before(d.Steps[i-1].At) {
			t.Errorf("step %+v", s)
		}
	}
	if got := strings.Join(names, " "); got != "detect propose approve execute verify learn" {
		t.Errorf("steps %q", got)
	}
	if len(d.Ladder) == 0 || d.Ladder[0].State != api.StepDone || d.Ladder[0].Why == "" || d.OrderReason == "" {
		t.Errorf("ladder %+v because %q", d.Ladder, d.OrderReason)
	}
	if len(d.Timeline) < 5 || len(d.ActionLog) == 0 || d.ActionLog[0].AGLDecision != "APPROVED" || d.ActionLog[0].ExecutedAt.IsZero() {
		t.Errorf("timeline %+v, actions %+v", d.Timeline, d.ActionLog)
	}
	var actions api.List[api.Action]
	r.ask("GET", "/api/v1/actions?incident_id="+d.ID, "", 200, &actions)
	if len(actions.Items) == 0 || actions.Items[len(actions.Items)-1].ID != d.ActionLog[0].ID {
		t.Errorf("actions %+v", actions.Items)
	}
	var memory api.List[api.Memory]
	r.ask("GET", "/api/v1/memory?type=LATENCY_SLO_BREACH", "", 200, &memory)
	if len(memory.Items) == 0 || memory.Items[len(memory.Items)-1].ActionID != d.ActionLog[0].ID {
		t.Errorf("memory %+v", memory.Items)
	}
	var decided api.List[api.Approval]
	r.ask("GET", "/api/v1/approvals?status=decided", "", 200, &decided)
	if len(decided.Items) == 0 || decided.Items[len(decided.Items)-1].ActionID != d.ActionLog[0].ID || decided.Items[len(decided.Items)-1].Rule == "" {
		t.Errorf("approvals %+v", decided.Items)
	}
	for _, a := range decided.Items {
		if a.Status == "INVALID" {
			t.Errorf("a genuine verdict is shown as %s: %s", a.Status, a.Reason)
		}
	}
	var board api.Scoreboard
	r.ask("GET", "/api/v1/scoreboard", "", 200, &board)
	all := board.Items[0]
	if all.FromDetection.N < 1 || all.FromOnset.N < 1 || *all.FromOnset.P50S < *all.FromDetection.P50S || all.Success.Count != 1 || board.SLO.N == 0 {
		t.Errorf("scoreboard %+v", board)
	}
	var rows api.QueryResult
	r.ask("POST", "/api/v1/query", `{"sql":"SELECT incident_id, incident_type, status, detected_at FROM incidents ORDER BY detected_at DESC LIMIT 10;"}`, 200, &rows)
	if len(rows.Rows) == 0 || rows.Rows[0][0] != d.ID {
		t.Errorf("query %+v", rows)
	}
	var audit api.AuditReport
	r.ask("GET", "/api/v1/audit/verify", "", 200, &audit)
	if !audit.OK || audit.Records == 0 {
		t.Errorf("audit %+v", audit)
	}
	r.ask("GET", "/incidents/"+d.ID, "", 200, nil)
	r.stop()
	verifyFinds(t, r.dir)
}

// verifyFinds edits rows that the audit vouches for, each in a copy of a directory that somebody has healed in.
func verifyFinds(t *testing.T, dir string) {
	for edit, want := range map[string]string{
		"SELECT 1": "",
		"UPDATE desired_state SET owner = 'ghost' WHERE setting = 'mode'":                     "desired_state mode",
		"UPDATE desired_state SET value = 'SAFE_MODE', generation = 9 WHERE setting = 'mode'": "desired_state mode",
		"DELETE FROM config_history WHERE id = 2":                                             "config_history 2",
		"UPDATE config_history SET reason = 'x' WHERE id = 2":                                 "config_history 2",
		"UPDATE incidents SET status = 'FAILED'":                                              "incidents INC-",
		"UPDATE policy_decisions SET verdict = 'DENIED' WHERE verdict = 'APPROVED'":           "policy_decisions ",
		"UPDATE policy_decisions SET decided_by = 'ann' WHERE verdict = 'APPROVED'":           "policy_decisions ",
		"UPDATE policy_decisions SET envelope = replace(envelope, 'FORWARD', 'RESTORE')":      "policy_decisions ",
		"UPDATE policy_decisions SET envelope = '' WHERE verdict = 'APPROVED'":                "policy_decisions ",
		"DELETE FROM policy_decisions":                                                        "policy_decisions ",
		"UPDATE healing_actions SET agl_decision = 'DENIED' WHERE executed_at IS NOT NULL":    "healing_actions ",
		"UPDATE healing_actions SET digest = 'x', agl_decision = 'APPROVED'":                  "healing_actions ",
		"UPDATE healing_actions SET params = '{\"a\":\"b\"}' WHERE agl_decision = 'APPROVED'": "healing_actions ",
		"UPDATE healing_actions SET executed_at = NULL":                                       "healing_actions ",
		"UPDATE healing_actions SET result = 'HEALED'":                                        "healing_actions ",
		"UPDATE healing_actions SET finished_at = executed_at WHERE executed_at IS NOT NULL":  "healing_actions ",
		"UPDATE incidents SET incident_type = 'DATA_DRIFT'":                                   "incidents INC-",
		"UPDATE incidents SET detected_at = '2026-01-02T03:04:05.000000Z'":                    "incidents INC-",
		"UPDATE incidents SET resolved_at = detected_at":                                      "incidents INC-",
		"DELETE FROM executed_actions":                                                        "executed_actions ",
		"UPDATE executed_actions SET at = at + 1":                                             "executed_actions ",
		"UPDATE policy_decisions SET decided_at = decided_at + 1":                             "policy_decisions ",
		"UPDATE policy_requests SET status = 'WITHDRAWN'":                                     "policy_requests ",
		"UPDATE policy_requests SET expires_at = 0":                                           "policy_requests ",
		"UPDATE config_history SET changed_at = changed_at + 1 WHERE id = 2":                  "config_history 2",
		"UPDATE model_versions SET metrics = '{}'":                                            "model_versions ",
		"UPDATE aliases SET version = 9":                                                      "aliases ",
		"DELETE FROM alias_history":                                                           "alias_history ",
		"UPDATE references_ SET rows = 3":                                                     "references_ ",
	} {
		edited := t.TempDir()
		if err := os.CopyFS(edited, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		_ = os.Chmod(filepath.Join(edited, "keys", "agl.ed25519"), 0o600)
		db, err := sql.Open("sqlite", filepath.Join(edited, "aura.db"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(edit); err != nil {
			t.Fatalf("%s: %v", edit, err)
		}
		_ = db.Close()
		cfg := config.Default()
		cfg.Data.Dir = edited
		got, err := app.VerifyAudit(t.Context(), cfg)
		if err != nil || got.OK != (want == "") || !strings.HasPrefix(got.Row, want) || got.Broken != 0 || got.Rows == 0 || got.Unproven != 0 {
			t.Errorf("%s: %+v, %v", edit, got, err)
		}
	}
}

// With governance.profile supervised a person decides, once, and too late is 409.
func TestAPersonDecides(t *testing.T) {
	t.Parallel()
	r := run(t, func(c *config.Config) {
		watched(c)
		c.Governance.Profile = "supervised"
	})
	r.ask("POST", "/api/v1/faults", slowModel, 201, nil)
	var waiting api.List[api.Approval]
	until(t, 40*time.Second, "an action waits", func() string {
		r.ask("GET", "/api/v1/approvals", "", 200, &waiting)
		if len(waiting.Items) > 0 && waiting.Items[0].Status == "ESCALATED" {
			return ""
		}
		return "none"
	})
	a := waiting.Items[0]
	if a.ActionType != "ENABLE_SAFE_MODE" || a.Inverse != "DISABLE_SAFE_MODE" || a.Proposer != "healing" || a.ExpiresAt.IsZero() {
		t.Errorf("approval %+v", a)
	}
	path := "/api/v1/approvals/" + a.RequestID + "/decision"
	var answer api.Approval
	r.ask("POST", path, `{"decision":"MODIFIED","reason":"sound","params":{"dwell":"1ms"}}`, 422, nil)
	r.ask("POST", path, `{"decision":"MODIFIED","reason":"sound","params":{"dwell":"3s"}}`, 200, &answer)
	if answer.Status != "MODIFIED" || answer.DecidedBy != "local" || answer.Reason != "sound" || answer.Params["dwell"] != "3s" {
		t.Errorf("answer %+v", answer)
	}
	r.ask("POST", path, `{"decision":"DENIED","reason":"second thoughts"}`, 409, nil)
	r.ask("POST", "/api/v1/approvals/nothing/decision", `{"decision":"DENIED","reason":"x"}`, 404, nil)
	d := r.seen("LATENCY_SLO_BREACH", "RESOLVED")
	if act := d.ActionLog[0]; act.Approver != "local" || act.AGLDecision != "MODIFIED" || act.EndedAt.Sub(act.ExecutedAt) < 3*time.Second {
		t.Errorf("%+v", act)
	}
}

// A pause is everybody's, in force at once, and stands in the audit.
func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	r := run(t, watched)
	var h api.Healing
	r.ask("POST", "/api/v1/healing/pause", `{"reason":"drill","by":"ann"}`, 200, &h)
	if h.State != api.HealingPaused || h.By != "ann" || h.Reason != "drill" {
		t.Errorf("paused: %+v", h)
	}
	r.ask("POST", "/api/v1/healing/resume", `{"reason":"over","by":"bob"}`, 200, &h)
	if h.State != api.HealingActive || h.By != "bob" {
		t.Errorf("resumed: %+v", h)
	}
	var audit api.List[api.AuditEntry]
	r.ask("GET", "/api/v1/audit?subject=healing.paused", "", 200, &audit)
	if len(audit.Items) != 2 || audit.Items[0].Actor != "bob" || audit.Items[1].Actor != "ann" {
		t.Errorf("audit %+v", audit.Items)
	}
}

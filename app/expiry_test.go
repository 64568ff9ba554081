package app_test

import (
	"testing"
	"time"

	"aura/app/config"
	"aura/web/api"
)

// TestNobodyDecidesInTime: silence is no. The request is DENIED, a late yes gets 409 and changes nothing, the system is as
// it was.
func TestNobodyDecidesInTime(t *testing.T) {
	t.Parallel()
	r := run(t, func(c *config.Config) {
		watched(c)
		c.Governance.Profile, c.Governance.ApprovalTTL = "supervised", 2*time.Second
	})
	r.judging("LATENCY_SLO_BREACH", "service")
	r.ask("POST", "/api/v1/faults", `{"target":"model","kind":"latency","delay":"1500ms","share":1,"ttl":"5m"}`, 201, nil)
	d := r.reaches("LATENCY_SLO_BREACH", "ESCALATED")
	if len(d.ActionLog) == 0 {
		t.Fatal("nothing was proposed")
	}
	for _, a := range d.ActionLog {
		if a.Result == "REFUSED" {
			continue // a rung that couldn't even be asked for
		}
		if a.AGLDecision != "DENIED" || a.Result != "DENIED" || !a.ExecutedAt.IsZero() {
			t.Errorf("%s %s: %s", a.Type, a.AGLDecision, a.Result)
		}
		r.ask("POST", "/api/v1/approvals/"+a.ID+"/r1/decision", `{"decision":"APPROVED","reason":"sorry, I am late"}`, 409, nil)
	}
	until(t, 20*time.Second, "the denials on record", func() string {
		var list struct{ Items []api.Approval }
		r.ask("GET", "/api/v1/approvals?status=decided", "", 200, &list)
		denied := map[string]bool{}
		for _, a := range list.Items {
			denied[a.ActionID] = a.Status == "DENIED" && a.Rule == "expired" && a.DecidedBy == "governance"
		}
		for _, a := range d.ActionLog {
			if a.Result == "DENIED" && !denied[a.ID] {
				return a.ID + " has none"
			}
		}
		return ""
	})
	var mode api.Mode
	r.ask("GET", "/api/v1/mode", "", 200, &mode)
	if mode.Mode != "MODEL" || mode.Generation != 1 {
		t.Errorf("mode %+v", mode)
	}
	if after := r.detailOf(d.ID); after.State != "ESCALATED" || after.Degraded {
		t.Errorf("%s, degraded %v", after.State, after.Degraded)
	}
}

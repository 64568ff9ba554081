package web

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"strings"
	"testing"

	"aura/web/api"
)

func TestLoopRoutes(t *testing.T) {
	for _, test := range []struct {
		method, path, body string
		code               int
		want               string
	}{
		{"GET", "/api/v1/incidents", "", 200, `"next_cursor":"after 50"`},
		{"GET", "/api/v1/incidents?status=OPEN&type=PERF_DROP&limit=3", "", 200, `"reason":"OPEN/PERF_DROP"`},
		{"GET", "/api/v1/incidents?limit=3", "", 200, `"next_cursor":"after 3"`},
		{"GET", "/api/v1/incidents?cursor=x", "", 200, `"items":[]`},
		{"GET", "/api/v1/incidents?status=open", "", 422, `"field":"status"`},
		{"GET", "/api/v1/incidents?type=FIRE", "", 422, `"field":"type"`},
		{"GET", "/api/v1/incidents/i-1", "", 200, `"step":"detect"`},
		{"GET", "/api/v1/incidents/i-2", "", 404, "not-found"},
		{"POST", "/api/v1/incidents/i-1/retry", `{"reason":"mended"}`, 200, `"incident_id":"i-1"`},
		{"POST", "/api/v1/incidents/i-1/escalate", `{"reason":"mine"}`, 200, `"incident_id":"i-1"`},
		{"POST", "/api/v1/incidents/i-1/close", `{"reason":"enough"}`, 409, "CONFIRMED still"},
		{"POST", "/api/v1/incidents/i-2/retry", `{"reason":"x"}`, 404, "not-found"},
		{"POST", "/api/v1/incidents/i-1/retry", `{}`, 422, `"field":"reason"`},
		{"POST", "/api/v1/incidents/i-1/verdict", `{"needless":true,"reason":"it was a blip"}`, 200, `"incident_id":"i-1"`},
		{"POST", "/api/v1/incidents/i-1/verdict", `{"reason":"x"}`, 422, `"field":"needless"`},
		{"GET", "/api/v1/incidents/graph", "", 200, `"initial":"DETECTED"`},
		{"GET", "/api/v1/incidents/graph?format=mermaid", "", 200, "stateDiagram-v2"},
		{"GET", "/api/v1/incidents/graph?format=dot", "", 200, "digraph incident"},
		{"GET", "/api/v1/incidents/graph?format=png", "", 422, `"field":"format"`},
		{"GET", "/api/v1/actions?incident_id=i-1&limit=7", "", 200, `"incident_id":"i-1"`},
		{"GET", "/api/v1/actions?limit=7", "", 200, `"rung":7`},
		{"GET", "/api/v1/memory?type=PERF_DROP&limit=9", "", 200, `"took_s":9`},
		{"GET", "/api/v1/memory?type=PERF_DROP", "", 200, `"order_reason":"the configured order"`},
		{"GET", "/api/v1/playbook", "", 200, `"digest":"d1"`},
		{"POST", "/api/v1/config/reload", `{"reason":"a new ladder","by":"ann"}`, 200, `"applied":["healing.playbooks"]`},
		{"POST", "/api/v1/keys/rotate", `{"reason":"ann left","by":"bob"}`, 200, `"key_id":"k2"`},
		{"POST", "/api/v1/keys/rotate", `{}`, 422, `"field":"reason"`},
		{"POST", "/api/v1/config/reload", `{"reason":"bad"}`, 422, "PERF_DROP[0].action: unknown action"},
		{"GET", "/api/v1/scoreboard", "", 200, `"window_s":86400`},
		{"GET", "/api/v1/scoreboard?window=1h", "", 200, `"window_s":3600`},
		{"GET", "/api/v1/scoreboard?window=1000h", "", 422, `"field":"window"`},
		{"GET", "/api/v1/scoreboard?window=-1h", "", 422, `"field":"window"`},
		{"GET", "/api/v1/signals", "", 200, `"target":"income"`},
		{"GET", "/api/v1/approvals", "", 200, `"status":"ESCALATED"`},
		{"GET", "/api/v1/approvals?status=decided", "", 200, `"status":"DENIED"`},
		{"GET", "/api/v1/approvals?status=all", "", 422, `"field":"status"`},
		{"POST", "/api/v1/approvals/r-1/decision", `{"decision":"APPROVED","reason":"sound"}`, 200, `"status":"APPROVED"`},
		{"POST", "/api/v1/approvals/r-1/decision", `{"decision":"DENIED","reason":"not now"}`, 200, `"decided_by":"local"`},
		{"POST", "/api/v1/approvals/r-1/decision", `{"decision":"MODIFIED","reason":"x"}`, 422, `"field":"params"`},
		{"POST", "/api/v1/approvals/r-1/decision", `{"decision":"APPROVED","reason":"x","params":{"dwell":"5s"}}`, 422, `"field":"params"`},
		{"POST", "/api/v1/approvals/r-1/decision", `{"decision":"MODIFIED","reason":"x","params":{"dwell":"5s"}}`, 200, `"status":"MODIFIED"`},
		{"POST", "/api/v1/approvals/r-1/decision", `{"decision":"ESCALATED","reason":"x"}`, 422, `"field":"decision"`},
		{"POST", "/api/v1/approvals/r-1/decision", `{"decision":"APPROVED"}`, 422, `"field":"reason"`},
		{"POST", "/api/v1/approvals/r-1/decision", `{"decision":"APPROVED","reason":"x","by":"ann"}`, 422, `"field":"by"`},
		{"POST", "/api/v1/approvals/i-1/a1/r1/decision", `{"decision":"APPROVED","reason":"x"}`, 200, `"request_id":"i-1/a1/r1"`},
		{"POST", "/api/v1/approvals/i-1%2Fa1%2Fr1/decision", `{"decision":"APPROVED","reason":"x"}`, 200, `"request_id":"i-1/a1/r1"`},
		{"POST", "/api/v1/approvals/i-1/a1/r1/other", `{"decision":"APPROVED","reason":"x"}`, 404, "not-found"},
		{"POST", "/api/v1/approvals/r-late/decision", `{"decision":"APPROVED","reason":"x"}`, 409, "expired"},
		{"POST", "/api/v1/approvals/r-2/decision", `{"decision":"APPROVED","reason":"x"}`, 404, "not-found"},
		{"GET", "/api/v1/healing", "", 200, `"state":"ACTIVE"`},
		{"POST", "/api/v1/healing/pause", `{"reason":"drill","by":"ann"}`, 200, `"by":"ann"`},
		{"POST", "/api/v1/healing/resume", `{"reason":"over"}`, 200, `"state":"ACTIVE"`},
		{"POST", "/api/v1/healing/pause", `{}`, 422, `"field":"reason"`},
		{"GET", "/api/v1/audit?subject=mode&limit=4", "", 200, `"subject":"mode"`},
		{"GET", "/api/v1/audit", "", 200, `"seq":50`},
		{"GET", "/api/v1/audit/verify", "", 200, `"broken":5`},
		{"POST", "/api/v1/query", `{"sql":"SELECT 1"}`, 200, `"rows":[[1000]]`},
		{"POST", "/api/v1/query", `{"sql":"SELECT 1","limit":5}`, 200, `"rows":[[5]]`},
		{"POST", "/api/v1/query", `{"sql":"DROP TABLE incidents"}`, 422, `"field":"sql"`},
		{"POST", "/api/v1/query", `{"sql":""}`, 422, `"field":"sql"`},
		{"POST", "/api/v1/faults", `{"kind":"drift","feature":"income","mean":1,"ttl":"1m"}`, 201, `"target":"source"`},
		{"POST", "/api/v1/faults", `{"kind":"crash","ttl":"1m"}`, 422, `target`},
		{"GET", "/incidents/i-1", "", 200, "it protects at once"},
		{"GET", "/incidents/i-2", "", 404, "not-found"},
	} {
		w := call(newTestServer(t, &fake{}), test.method, test.path, test.body)
		if w.Code != test.code || !strings.Contains(w.Body.String(), test.want) {
			t.Errorf("%s %s %s: %d, want %d with %q: %.300s", test.method, test.path, test.body, w.Code, test.code, test.want, w.Body)
		}
		if w.Code >= 400 {
			decodeProblem(t, w.Code, w.Header(), w.Body.Bytes())
		}
	}
}

func TestTheNextPageKeepsTheFilter(t *testing.T) {
	w := call(newTestServer(t, &fake{}), "GET", "/api/v1/incidents?limit=7&status=OPEN", "")
	if got, want := w.Header().Get("Link"), `</api/v1/incidents?cursor=after+7&limit=7&status=OPEN>; rel="next"`; got != want {
		t.Errorf("Link %q, want %q", got, want)
	}
}

func TestTheMachineIsAPicture(t *testing.T) {
	w := call(newTestServer(t, &fake{}), "GET", "/api/v1/incidents/graph?format=svg", "")
	if w.Code != 200 || w.Header().Get("Content-Type") != "image/svg+xml" {
		t.Fatalf("%d %s", w.Code, w.Header())
	}
	d := xml.NewDecoder(w.Body)
	texts := ""
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if c, ok := token.(xml.CharData); ok {
			texts += string(c) + "\n"
		}
	}
	for _, want := range []string{"DETECTED", "RESOLVED", "SIGNAL: signal < healthy", "relapse"} {
		if !strings.Contains(texts, want) {
			t.Errorf("the picture doesn't say %q", want)
		}
	}
}

func TestLoopRoutesOfABrokenBackend(t *testing.T) {
	s := newTestServer(t, &fake{err: http.ErrHandlerTimeout})
	for _, path := range []string{"incidents", "incidents/i-1", "actions", "memory", "scoreboard", "signals", "approvals", "healing", "audit", "audit/verify"} {
		if w := call(s, "GET", "/api/v1/"+path, ""); w.Code != 500 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

func TestFormsOfTheLoop(t *testing.T) {
	for _, test := range []struct {
		path, body, location string
		change               api.Change
	}{
		{"/actions/approvals", "request=r-1&decision=APPROVED&reason=fine", "/?done=approved", api.Change{By: "local", Reason: "APPROVED fine"}},
		{"/actions/approvals", "request=r-1&decision=DENIED&reason=no", "/?done=denied", api.Change{By: "local", Reason: "DENIED no"}},
		{"/actions/incidents", "incident=i-1&verb=retry&reason=mended", "/?done=retry", api.Change{By: "local", Reason: "retry mended"}},
		{"/actions/incidents", "incident=i-1&verb=needless&reason=blip", "/?done=needless", api.Change{By: "local", Reason: " true blip"}},
		{"/actions/healing", "verb=pause&reason=drill", "/?done=pause", api.Change{By: "local", Reason: "drill"}},
		{"/actions/healing", "verb=resume&reason=over", "/?done=resume", api.Change{By: "local", Reason: "over"}},
	} {
		f := &fake{}
		w := call(newTestServer(t, f), "POST", test.path, test.body, "Content-Type", formType)
		if w.Code != http.StatusSeeOther || w.Header().Get("Location") != test.location || len(f.changes) != 1 || f.changes[0] != test.change {
			t.Errorf("%s %s: %d to %q: %+v", test.path, test.body, w.Code, w.Header().Get("Location"), f.changes)
		}
	}
	for _, test := range []struct {
		path, body string
		code       int
	}{
		{"/actions/approvals", "request=r-1&decision=MAYBE", 422},
		{"/actions/approvals", "request=r-late&decision=APPROVED&reason=x", 409},
		{"/actions/healing", "verb=stop", 422},
		{"/actions/incidents", "incident=i-1&verb=forget", 422},
		{"/actions/incidents", "incident=i-1&verb=close&reason=x", 409},
		{"/actions/incidents", "incident=i-2&verb=retry&reason=x", 404},
		{"/actions/drill", "drill=flood", 422},
	} {
		f := &fake{}
		w := call(newTestServer(t, f), "POST", test.path, test.body, "Content-Type", formType)
		if w.Code != test.code || len(f.changes)+len(f.faults) > 0 || !strings.Contains(w.Body.String(), "Not done:") {
			t.Errorf("%s %s: %d %+v", test.path, test.body, w.Code, f.changes)
		}
	}
}

func TestEveryDrillIsAFaultThatIsAccepted(t *testing.T) {
	for name, want := range drillFaults {
		f := &fake{}
		w := call(newTestServer(t, f), "POST", "/actions/drill", "drill="+name, "Content-Type", formType)
		if w.Code != http.StatusSeeOther || len(f.faults) != 1 || f.faults[0].Kind != want.Kind || f.faults[0].Target != want.Target {
			t.Errorf("%s: %d %+v", name, w.Code, f.faults)
		}
		body, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		if w := call(newTestServer(t, &fake{}), "POST", "/api/v1/faults", string(body)); w.Code != 201 {
			t.Errorf("%s over the API: %d %s", name, w.Code, w.Body)
		}
	}
}

// people are known by their tokens.
type people map[string]api.Principal

func (p people) Principal(token string) (api.Principal, bool) {
	who, ok := p[token]
	return who, ok
}

// With principals each request has a name, nobody takes another's, and roles decide.
func TestPrincipals(t *testing.T) {
	known := people{
		"v": {Name: "vera", Roles: []string{"viewer"}}, "o": {Name: "otto", Roles: []string{"viewer", "operator"}}, "a": {Name: "ann", Roles: []string{"approver"}}, "r": {Name: "root", Roles: []string{"admin"}},
		"i": {Name: "bank", Roles: []string{"ingest"}},
	}
	const decide, pause = `{"decision":"APPROVED","reason":"x"}`, `{"reason":"x","by":"ann"}`
	const outcome = `{"application_id":"x","outcome":"repaid"}`
	for _, test := range []struct {
		token, method, path, body string
		code                      int
		by                        string
	}{
		{"", "GET", "/api/v1/incidents", "", 401, ""},
		{"wrong", "GET", "/api/v1/incidents", "", 401, ""},
		{"", "GET", "/livez", "", 200, ""},
		{"", "GET", "/readyz", "", 200, ""},
		{"wrong", "GET", "/readyz", "", 200, ""},
		{"i", "GET", "/readyz", "", 200, ""},
		{"v", "GET", "/api/v1/incidents", "", 200, ""},
		{"v", "POST", "/api/v1/query", `{"sql":"SELECT 1"}`, 200, ""},
		{"v", "POST", "/api/v1/applications", "{}", 403, ""},
		{"v", "POST", "/api/v1/feedback", outcome, 403, ""},
		{"a", "POST", "/api/v1/feedback", outcome, 403, ""},
		{"i", "POST", "/api/v1/feedback", outcome, 200, ""},
		{"i", "POST", "/api/v1/applications", "{}", 422, ""}, // looked at, and found wanting
		{"o", "POST", "/api/v1/feedback", outcome, 200, ""},
		{"r", "POST", "/api/v1/feedback", outcome, 200, ""},
		{"i", "GET", "/api/v1/incidents", "", 403, ""},
		{"i", "GET", "/livez", "", 200, ""},
		{"i", "POST", "/api/v1/query", `{"sql":"SELECT 1"}`, 403, ""},
		{"i", "POST", "/api/v1/healing/pause", pause, 403, ""},
		{"i", "PUT", "/api/v1/mode", `{"mode":"MODEL","reason":"x"}`, 403, ""},
		{"v", "POST", "/api/v1/approvals/r-1/decision", decide, 403, ""},
		{"v", "POST", "/api/v1/healing/pause", pause, 403, ""},
		{"v", "DELETE", "/api/v1/faults", "", 403, ""},
		{"o", "POST", "/api/v1/approvals/r-1/decision", decide, 403, ""},
		{"o", "POST", "/api/v1/healing/pause", pause, 200, "otto"},
		{"a", "POST", "/api/v1/healing/pause", pause, 403, ""},
		{"a", "POST", "/api/v1/approvals/r-1/decision", decide, 200, "ann"},
		{"o", "POST", "/api/v1/incidents/i-1/retry", pause, 200, "otto"},
		{"v", "POST", "/api/v1/incidents/i-1/retry", pause, 403, ""},
		{"o", "POST", "/api/v1/incidents/i-1/verdict", `{"needless":true,"reason":"x","by":"ann"}`, 200, "otto"},
		{"o", "POST", "/api/v1/config/reload", pause, 403, ""},
		{"r", "POST", "/api/v1/config/reload", pause, 200, "root"},
		{"o", "POST", "/api/v1/keys/rotate", pause, 403, ""},
		{"r", "POST", "/api/v1/keys/rotate", pause, 200, "root"},
		{"o", "PUT", "/api/v1/mode", `{"mode":"MODEL","reason":"x","by":"ann"}`, 200, "otto"},
		{"o", "POST", "/api/v1/models/3/promote", pause, 200, "otto"},
		{"o", "POST", "/api/v1/agents/model/restart", pause, 200, "otto"},
		{"process", "POST", "/api/v1/approvals/r-1/decision", decide, 200, "local"},
	} {
		f := &fake{}
		s := newTestServer(t, f, func(o *Options) { o.Principals, o.Token = known, "process" })
		var headers []string
		if test.token != "" {
			headers = []string{"Authorization", "Bearer " + test.token}
		}
		w := call(s, test.method, test.path, test.body, headers...)
		by := ""
		if len(f.changes) > 0 {
			by = f.changes[0].By
		}
		if w.Code != test.code || by != test.by {
			t.Errorf("%s %s with %q: %d by %q, want %d by %q: %.200s", test.method, test.path, test.token, w.Code, by, test.code, test.by, w.Body)
		}
	}
}

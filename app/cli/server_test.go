package cli

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"aura/web/api"
)

// request is what the server of a test got.
type request struct{ method, path, body, auth, media string }

// answering starts a server that notes requests and answers all of them alike.
func answering(t *testing.T, status int, media, body string) (url string, got *[]request) {
	t.Helper()
	got = new([]request)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		*got = append(*got, request{r.Method, r.URL.RequestURI(), string(content), r.Header.Get("Authorization"), r.Header.Get("Content-Type")})
		w.Header().Set("Content-Type", media)
		w.Header().Set("Retry-After", "3")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return server.URL, got
}

func marshal(t *testing.T, v any) string {
	t.Helper()
	encoded, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(encoded)
}

func TestRequestsAndOutput(t *testing.T) {
	auc, latency := 0.9231, 1.25
	model := api.Model{Version: 3, Digest: "0123456789abcdef", Aliases: []string{"champion"}, Metrics: api.Metrics{CVAUC: &auc}, Rows: 10}
	agent := api.Agent{Name: "model", State: "RUNNING", Incarnation: 2, Handled: 99, Queue: 4346, Topics: []string{"predictions", "features"}}
	fault := api.Fault{ID: "f1", Target: "model", Kind: "latency", Delay: "2s", Share: 1}
	mode := api.Mode{Mode: api.ModeSafe, Generation: 7, Reason: "because"}
	record := api.Record{
		ID: "id1", ApplicationID: "A-1", Status: api.StatusDecided, Decision: api.Decline, Probability: &auc, LatencyMS: &latency,
		Reasons: []api.Reason{{Code: "R01", Feature: "debt_ratio", Text: "too much debt"}}, Outcome: "defaulted",
	}
	since, took, share := 0.5, 4.0, 1.0
	at := time.Date(2026, 11, 25, 9, 30, 0, 0, time.UTC)
	incident := api.IncidentDetail{
		Incident: api.Incident{
			ID: "i-1", Type: "LATENCY_SLO_BREACH", Status: "RESOLVED", State: "DEGRADED", Target: "service", DetectedAt: at, ResolvedAt: at.Add(4 * time.Second),
			Degraded: true, LastAction: "ENABLE_SAFE_MODE (VERIFIED)",
		},
		Signal: api.Evidence{State: "HEALTHY", Words: "a median of 20 ms", Value: 2004, Threshold: 300, N: 100},
		Steps:  []api.Step{{Name: "detect", State: api.StepDone, At: at, SinceOnsetS: &since}},
		Ladder: []api.Rung{{Rung: 1, Action: "ENABLE_SAFE_MODE", Why: "it protects at once", State: api.StepDone}},
		ActionLog: []api.Action{
			{Type: "ROLLBACK_MODEL", ProposedAt: at.Add(time.Second), Result: "REFUSED", Reason: "it needs previous_better: the signal says no"},
			{Type: "RESTART_AGENT", ProposedAt: at.Add(time.Second), Asked: true, Result: "WITHDRAWN"},
			{Type: "ENABLE_SAFE_MODE", ProposedAt: at.Add(2 * time.Second), Asked: true, AGLDecision: "APPROVED", Result: "VERIFIED"},
		},
		Timeline: []api.TimelineStep{{Seq: 1, At: at.Add(1500 * time.Millisecond), State: "DETECTED", Text: "signal confirmed"}},
	}
	ended := incident
	ended.Degraded = false
	approval := api.Approval{RequestID: "r-1", ActionType: "ROLLBACK_MODEL", Status: "APPROVED", DecidedBy: "ann"}
	healing := api.Healing{State: api.HealingPaused, By: "ann", Reason: "drill"}
	signals := api.SignalReport{Items: []api.Signal{
		{Kind: "LATENCY_SLO_BREACH", Value: 12, Unit: "ms"},
		{Kind: "PERF_DROP", Value: .93, Unit: "share"},
		{Kind: "DATA_DRIFT", Target: "income", Value: .01},
		{Kind: "DATA_DRIFT", Target: "credit_score", Value: .9, Bug: "unit 12"},
	}}
	board := api.Scoreboard{
		Items: []api.Score{{Type: "ALL", FromDetection: api.Times{P50S: &took, P95S: &took, N: 3}, Success: api.Share{Share: &share, Count: 3, N: 3}}},
		SLO:   api.SLO{Share: api.Share{Share: ptr(.9995), Count: 1999, N: 2000}, Undecided: 1, LimitMS: 300},
	}
	for _, c := range []struct {
		args               string
		method, path, body string
		answer             any
		out                []string
	}{
		{"agent ls", "GET", "/api/v1/agents", "", api.List[api.Agent]{Items: []api.Agent{agent}}, []string{"model", "RUNNING", "99", "4346 of 2 topics"}},
		{"agent restart model --reason stuck", "POST", "/api/v1/agents/model/restart", `{"reason":"stuck","by":"ann"}`, agent, []string{"RUNNING"}},
		{"mode show", "GET", "/api/v1/mode", "", mode, []string{"SAFE_MODE", "because"}},
		{"mode set safe_mode --reason x --by bob", "PUT", "/api/v1/mode", `{"mode":"SAFE_MODE","reason":"x","by":"bob"}`, mode, []string{"SAFE_MODE"}},
		{"model ls --limit 2 --cursor c", "GET", "/api/v1/models?cursor=c&limit=2", "", api.List[api.Model]{Items: []api.Model{model}}, []string{"champion", "0.9231", "0123456789ab"}},
		{"model show v3", "GET", "/api/v1/models/3", "", model, []string{"champion", "0.9231"}},
		{"model promote 3 --reason x", "POST", "/api/v1/models/3/promote", `{"reason":"x","by":"ann"}`, api.Switch{Version: 3, Previous: 2, Generation: 5}, []string{"3", "2", "5"}},
		{"model rollback --reason x", "POST", "/api/v1/models/rollback", `{"reason":"x","by":"ann"}`, api.Switch{Version: 2, Generation: 6}, []string{"2", "6"}},
		{"model history", "GET", "/api/v1/models/history?limit=50", "", api.List[api.AliasChange]{Items: []api.AliasChange{{Alias: "champion", Version: 3, By: "ann"}}}, []string{"champion", "ann"}},
		{"application show A/1", "GET", "/api/v1/applications/A%2F1", "", record, []string{"DECLINE", "R01 debt_ratio: too much debt", "defaulted", "1.25ms"}},
		{"application ls", "GET", "/api/v1/decisions?limit=50", "", api.List[api.Record]{Items: []api.Record{record}}, []string{"A-1", "DECLINE"}},
		{"feedback A-1 repaid", "POST", "/api/v1/feedback", `{"application_id":"A-1","outcome":"repaid"}`, api.FeedbackResult{ApplicationID: "A-1", Kind: "joined", Outcome: "repaid"}, []string{"joined", "repaid"}},
		{"inject drift --feature credit_score --mean 0 --ttl 60s", "POST", "/api/v1/faults", `{"target":"source","kind":"drift","share":1,"ttl":"1m0s","feature":"credit_score","mean":0}`, fault, []string{"f1"}},
		{"inject stuck --feature income --value 5 --times 3 --ttl 60s", "POST", "/api/v1/faults", `{"target":"source","kind":"stuck","share":1,"ttl":"1m0s","times":3,"feature":"income","value":5}`, fault, []string{"f1"}},
		{"inject bad-model --ttl 60s", "POST", "/api/v1/faults", `{"target":"model","kind":"bad-model","share":1,"ttl":"1m0s"}`, fault, []string{"f1"}},
		{"inject latency --target model --delay 2s --share 0.5 --ttl 60s", "POST", "/api/v1/faults", `{"target":"model","kind":"latency","delay":"2s","share":0.5,"ttl":"1m0s"}`, fault, []string{"f1", "latency"}},
		{"inject crash --target model --ttl 60s --times 0", "POST", "/api/v1/faults", `{"target":"model","kind":"crash","share":1,"ttl":"1m0s","times":0}`, fault, []string{"f1"}},
		{"fault ls", "GET", "/api/v1/faults", "", api.List[api.Fault]{Items: []api.Fault{fault}}, []string{"f1", "2s"}},
		{"fault stop f1", "DELETE", "/api/v1/faults/f1", "", nil, []string{"1 fault(s) ended"}},
		{"incident ls --status open --type perf_drop", "GET", "/api/v1/incidents?limit=50&status=OPEN&type=PERF_DROP", "", api.List[api.Incident]{Items: []api.Incident{incident.Incident}}, []string{"i-1", "LATENCY_SLO_BREACH", "4.0s (safe mode)", "ENABLE_SAFE_MODE (VERIFIED)"}},
		{"incident ls --limit 1", "GET", "/api/v1/incidents?limit=1", "", api.List[api.Incident]{Items: []api.Incident{{ID: "i-2", Status: "RESOLVED", State: "CANCELLED", DetectedAt: time.Now()}}}, []string{"never confirmed"}},
		{"incident show i-1", "GET", "/api/v1/incidents/i-1", "", incident, []string{"RESOLVED (DEGRADED)", "HEALTHY: a median of 20 ms", "it protects at once", "1.5s", "signal confirmed", "not asked    1.0s", "REFUSED    it needs previous_better: the signal says no", "not decided  1.0s", "APPROVED     2.0s"}},
		{"incident watch i-1 --for 10s", "GET", "/api/v1/incidents/i-1", "", ended, []string{"+1.5s", "DETECTED", "signal confirmed"}},
		{"incident retry i-1 --reason mended", "POST", "/api/v1/incidents/i-1/retry", `{"reason":"mended","by":"ann"}`, incident, []string{"RESOLVED (DEGRADED)"}},
		{"incident escalate i-1 --reason mine", "POST", "/api/v1/incidents/i-1/escalate", `{"reason":"mine","by":"ann"}`, incident, []string{"i-1"}},
		{"incident close i-1 --reason enough", "POST", "/api/v1/incidents/i-1/close", `{"reason":"enough","by":"ann"}`, incident, []string{"i-1"}},
		{"incident verdict i-1 needless --reason blip --action i-1/a1", "POST", "/api/v1/incidents/i-1/verdict", `{"needless":true,"action_id":"i-1/a1","reason":"blip","by":"ann"}`, api.IncidentDetail{ActionLog: []api.Action{{ID: "i-1/a1", Type: "ENABLE_SAFE_MODE", Needless: ptr(true)}}}, []string{"i-1/a1", "needless"}},
		{"approval ls --status decided", "GET", "/api/v1/approvals?limit=50&status=decided", "", api.List[api.Approval]{Items: []api.Approval{approval}}, []string{"r-1", "ROLLBACK_MODEL", "ann"}},
		{"approval approve r-1 --reason fine", "POST", "/api/v1/approvals/r-1/decision", `{"decision":"APPROVED","reason":"fine"}`, approval, []string{"APPROVED", "ann"}},
		{"approval approve r-1 --reason fine --with dwell=10s --with verify_within=12s", "POST", "/api/v1/approvals/r-1/decision", `{"decision":"MODIFIED","reason":"fine","params":{"dwell":"10s","verify_within":"12s"}}`, approval, []string{"r-1"}},
		{"approval deny r/1 --reason no", "POST", "/api/v1/approvals/r%2F1/decision", `{"decision":"DENIED","reason":"no"}`, approval, []string{"r-1"}},
		{"heal status", "GET", "/api/v1/healing", "", healing, []string{"PAUSED", "drill"}},
		{"heal pause --reason drill", "POST", "/api/v1/healing/pause", `{"reason":"drill","by":"ann"}`, healing, []string{"PAUSED"}},
		{"heal resume --reason over --by bob", "POST", "/api/v1/healing/resume", `{"reason":"over","by":"bob"}`, healing, []string{"open incidents"}},
		{"drift show", "GET", "/api/v1/signals", "", signals, []string{"credit_score", "0.9", "unit 12"}},
		{"drift show --all", "GET", "/api/v1/signals", "", signals, []string{"LATENCY_SLO_BREACH", "12ms", "93.0 %"}},
		{"memory ls --type PERF_DROP --limit 3", "GET", "/api/v1/memory?limit=3&type=PERF_DROP", "", api.List[api.Memory]{Items: []api.Memory{{Type: "PERF_DROP", ActionType: "ROLLBACK_MODEL", Healed: true, TookS: 3.25}}}, []string{"ROLLBACK_MODEL", "yes", "3.2s"}},
		{"memory ls", "GET", "/api/v1/memory?limit=50", "", map[string]any{"ranking": []api.Ranking{{Type: "PERF_DROP", Class: "c1", Rungs: []api.RankedRung{{Action: "RESTART_AGENT", Why: "moved up from position 2"}}}}}, []string{"RESTART_AGENT", "moved up from position 2", "c1"}},
		{"playbook show", "GET", "/api/v1/playbook", "", api.Playbook{Digest: "d1", Items: []api.PlaybookLadder{{Type: "PERF_DROP", Rungs: []api.PlaybookRung{{Action: "TRIGGER_RETRAINING", Verification: "signal", Then: map[string][]string{"promote": {"PROMOTE_MODEL"}}}}}}}, []string{"d1", "TRIGGER_RETRAINING", "promote: PROMOTE_MODEL"}},
		{"keys rotate --reason left", "POST", "/api/v1/keys/rotate", `{"reason":"left","by":"ann"}`, api.KeyRotation{KeyID: "k2", Previous: "k1"}, []string{"k2", "k1"}},
		{"config reload --reason new", "POST", "/api/v1/config/reload", `{"reason":"new","by":"ann"}`, api.Reload{Applied: []string{"healing.playbooks"}, Playbook: "d2"}, []string{"healing.playbooks", "nothing changed", "d2"}},
		{"scoreboard --window 2h", "GET", "/api/v1/scoreboard?window=2h", "", board, []string{"MTTR FROM DETECTION P50", "MTTR FROM ONSET P50", "ALL", "4.0s", "100.00 % (3 of 3)", "- (0)", "99.95 % (1999 of 2000), 1 of them late and not decided yet, since"}},
		{"audit ls --subject mode", "GET", "/api/v1/audit?limit=50&subject=mode", "", api.List[api.AuditEntry]{Items: []api.AuditEntry{{Seq: 5, Kind: "setting.changed", Subject: "mode", Detail: json.RawMessage(`{"a":1}`)}}}, []string{"setting.changed", `{"a":1}`}},
		{"audit verify", "GET", "/api/v1/audit/verify", "", api.AuditReport{OK: true, Records: 9, Head: "abc"}, []string{"every record holds", "9", "abc"}},
		{"query SELECT/**/1 --limit 5", "POST", "/api/v1/query", `{"sql":"SELECT/**/1","limit":5}`, api.QueryResult{Columns: []string{"n", "x"}, Rows: [][]any{{1.5, nil}, {12345678, "a"}}}, []string{"1.5", "12345678", "a"}},
		{"fault stop --all", "DELETE", "/api/v1/faults", "", map[string]int{"removed": 4}, []string{"4 fault(s) ended"}},
	} {
		t.Run(c.args, func(t *testing.T) {
			answer := ""
			if c.answer != nil {
				answer = marshal(t, c.answer)
			}
			url, got := answering(t, 200, "application/json", answer)
			environ := []string{"AURA_TOKEN=tok", "USER=ann", "AURA_SERVER=" + url}
			for _, form := range []string{"table", "json"} {
				*got = nil
				o := try(t, Commands{}, environ, append(strings.Fields(c.args), "-o", form)...)
				if o.code != 0 || o.err != "" || len(*got) != 1 {
					t.Fatalf("exit %d, %d requests: %s", o.code, len(*got), o.err)
				}
				r := (*got)[0]
				if r.method != c.method || r.path != c.path || r.body != c.body || r.auth != "Bearer tok" || (r.media == "application/json") != (c.body != "") {
					t.Errorf("request %+v", r)
				}
				if form == "json" {
					if !json.Valid([]byte(o.out)) {
						t.Errorf("not one JSON document: %q", o.out)
					}
					continue
				}
				for _, part := range c.out {
					if !strings.Contains(o.out, part) {
						t.Errorf("%q lacks %q", o.out, part)
					}
				}
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	const media = "application/problem+json"
	for _, c := range []struct {
		status      int
		media, body string
		code        int
		want        []string
	}{
		{
			422, media, `{"title":"Unprocessable Entity","detail":"invalid: ttl","errors":[{"field":"ttl","problem":"range","got":"1h","want":"at most 15m"}]}`,
			2,
			[]string{"invalid: ttl", "ttl: range, got 1h, expected: at most 15m", "correct"},
		},
		{400, media, `{"title":"Bad Request"}`, 2, []string{"Bad Request", "correct"}},
		{401, media, `{"title":"Unauthorized"}`, 5, []string{"AURA_TOKEN"}},
		{403, media, `{"title":"Forbidden"}`, 5, []string{"ask"}},
		{404, media, `{"title":"Not Found","detail":"no such agent"}`, 6, []string{"no such agent", "ls"}},
		{409, media, `{"title":"Conflict","detail":"no previous champion"}`, 6, []string{"no previous champion", "show"}},
		{429, media, `{"title":"Too Many Requests"}`, 7, []string{"later", "in 3 s"}},
		{503, media, `{"title":"Service Unavailable"}`, 7, []string{"/readyz"}},
		{504, media, `{"title":"Gateway Timeout"}`, 4, []string{"/readyz"}},
		{500, media, `{"title":"Internal Server Error","trace_id":"abc"}`, 1, []string{"trace abc"}},
		{404, "text/html", `<html>`, 6, []string{"not as an AURA server does", "--server"}},
		{302, "text/html", ``, 1, []string{"not as an AURA server does"}},
		{200, "application/json", `<html>`, 1, []string{"something else", "aura version"}},
	} {
		url, _ := answering(t, c.status, c.media, c.body)
		o := try(t, Commands{}, nil, "agent", "ls", "--server", url)
		if o.code != c.code || o.out != "" {
			t.Errorf("%d: exit %d, want %d; stdout %q", c.status, o.code, c.code, o.out)
		}
		for _, part := range c.want {
			if !strings.Contains(o.err, part) {
				t.Errorf("%d: %q lacks %q", c.status, o.err, part)
			}
		}
	}
}

// TestAnOutcomeOfNoApplication: what counts for nothing is no success, in either form of output.
func TestAnOutcomeOfNoApplication(t *testing.T) {
	url, _ := answering(t, 200, "application/json", `{"application_id":"A-1","kind":"unknown","outcome":"repaid"}`)
	for _, form := range []string{"table", "json"} {
		o := try(t, Commands{}, nil, "feedback", "A-1", "repaid", "--server", url, "-o", form)
		if o.code != ExitPrecondition || !strings.Contains(o.out, "unknown") || !strings.Contains(o.err, "A-1") || !strings.Contains(o.err, "send the outcome again") {
			t.Errorf("%s: exit %d, %q, %q", form, o.code, o.out, o.err)
		}
	}
}

func TestServerIsFoundInDataDirectory(t *testing.T) {
	url, got := answering(t, 200, "application/json", `{"items":[]}`)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, AddressFile), []byte(strings.TrimPrefix(url, "http://")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ environ, args []string }{
		{nil, []string{"agent", "ls", "--data", dir}},
		{[]string{"AURA_DATA_DIR=" + dir}, []string{"agent", "ls"}},
		{[]string{"AURA_SERVER=127.0.0.1:1"}, []string{"agent", "ls", "--server", url}},
	} {
		*got = nil
		if o := try(t, Commands{}, c.environ, c.args...); o.code != 0 || len(*got) != 1 {
			t.Errorf("%v %v: exit %d: %s", c.environ, c.args, o.code, o.err)
		}
	}
}

// On a bad day the file may be broken: the emergency stop must be within reach all the same, by an address or by what the
// data directory says, and a reload, whose answer comes from the server. It is told in one line. Where what the command
// needs itself is wrong, or the command line, it is refused.
func TestBrokenConfigurationDoesNotStopAClient(t *testing.T) {
	url, got := answering(t, 200, "application/json", marshal(t, api.Mode{Mode: api.ModeSafe}))
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	write("data/"+AddressFile, url)
	const playbooks = "healing: {playbooks: {PERF_DROP: [{action: REBOOT, verification: signal}]}}\n"
	here, bearer := "AURA_DATA_DIR="+filepath.Join(dir, "data"), "AURA_TOKEN=tok"
	for _, c := range []struct {
		file, args string
		environ    []string
		code       int
		told       string
	}{
		{"nonsense: 1", "mode set SAFE_MODE --reason x --server " + url, []string{bearer}, 0, "nonsense"},
		{playbooks, "heal pause --reason x", []string{here, bearer}, 0, "REBOOT"},
		{playbooks, "config reload --reason x", []string{here, bearer}, 0, "REBOOT"},
		{playbooks + "bus: {lanes: 0}\nhttp: {token: tok}", "heal status", []string{here}, 0, "(and 1 more)"},
		{"bus: [", "heal pause --reason x", []string{here, bearer}, 0, "mend the YAML"},
		{playbooks + "data: {dir: " + filepath.Join(dir, "data") + "}\nhttp: {token: tok}", "heal pause --reason x", nil, 0, "REBOOT"},
		{"data: {dir: ''}", "heal pause --reason x", nil, 3, "data.dir"},
		{"data: {dir: ''}", "heal pause --reason x", []string{here, bearer}, 0, ""},
		{"data: {dir: 5}", "heal pause --reason x", []string{here, bearer}, 0, "data.dir = 5"},
		{"http: {token: 5}", "heal pause --reason x", []string{here}, 3, "http.token"},
		{"", "heal pause --reason x --set nonsense=1", []string{here, bearer}, 3, "nonsense"},
		{"", "heal pause --reason x --config nosuch.yaml", []string{here, bearer}, 3, "no such file"},
	} {
		*got = nil
		write("config.yaml", c.file)
		o := tryIn(t, t.Context(), dir, Commands{}, c.environ, strings.Fields(c.args)...)
		if o.code != c.code || !strings.Contains(o.err, c.told) || c.code == 0 && (strings.Count(o.err, "\n") > 1 || len(*got) != 1 || (*got)[0].auth != "Bearer tok") {
			t.Errorf("%s with %q: exit %d, %d requests: %s", c.args, c.file, o.code, len(*got), o.err)
		}
	}
}

func TestTimeoutAndInterrupt(t *testing.T) {
	hang := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	defer close(hang)
	if o := try(t, Commands{}, nil, "agent", "ls", "--server", server.URL, "--timeout", "50ms"); o.code != 4 || !strings.Contains(o.err, "--timeout waits longer") {
		t.Errorf("exit %d: %s", o.code, o.err)
	}
	ctx, cancel := contextCancelled(t)
	defer cancel()
	if o := tryIn(t, ctx, t.TempDir(), Commands{}, nil, "agent", "ls", "--server", server.URL); o.code != 130 || !strings.Contains(o.err, "interrupted") {
		t.Errorf("exit %d: %s", o.code, o.err)
	}
}

func TestBaseURL(t *testing.T) {
	for given, want := range map[string]string{
		"127.0.0.1:80": "http://127.0.0.1:80", "0.0.0.0:80": "http://127.0.0.1:80", "[::]:80": "http://[::1]:80", ":80": "http://127.0.0.1:80",
		"https://aura.example/": "https://aura.example", "http://u:p@x": "", "http://": "", "x?y": "", "::": "",
	} {
		if got, err := baseURL(given); got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v; want %q", given, got, err, want)
		}
	}
}

// Colours go to a terminal only, never where somebody asked for none, and change no column.
func TestColours(t *testing.T) {
	url, _ := answering(t, 200, "application/json", marshal(t, api.List[api.Agent]{Items: []api.Agent{{Name: "model", State: "CRASHED", Cause: "panic"}}}))
	run := func(terminal bool, environ ...string) string {
		var out, errs bytes.Buffer
		i := &invocation{Streams: Streams{nil, &out, &errs}, environ: environ, dir: t.TempDir(), terminal: func(io.Writer) bool { return terminal }}
		if code := i.execute(t.Context(), []string{"agent", "ls", "--server", url}); code != 0 {
			t.Fatalf("exit %d: %s", code, errs.String())
		}
		return out.String()
	}
	plain, coloured := run(false), run(true)
	if strings.Contains(plain, "\x1b") || !strings.Contains(coloured, "\x1b[31mCRASHED\x1b[0m") {
		t.Errorf("plain %q, coloured %q", plain, coloured)
	}
	if regexp.MustCompile("\x1b\\[[0-9]*m").ReplaceAllString(coloured, "") != plain {
		t.Errorf("colours moved columns:\n%q\n%q", plain, coloured)
	}
	for _, environ := range []string{"NO_COLOR=1", "TERM=dumb"} {
		if got := run(true, environ); got != plain {
			t.Errorf("%s: %q", environ, got)
		}
	}
}

func TestFaultsOff(t *testing.T) {
	url, _ := answering(t, 404, "application/problem+json", `{"title":"Not Found","detail":"no such route"}`)
	for _, args := range []string{"fault ls", "fault stop --all", "inject crash --target model --ttl 1m"} {
		if o := try(t, Commands{}, []string{"AURA_SERVER=" + url}, strings.Fields(args)...); o.code != 6 || !strings.Contains(o.err, "faults.enabled") {
			t.Errorf("%s: exit %d: %s", args, o.code, o.err)
		}
	}
}

// What came from outside can't write to the terminal.
func TestControlCharactersAreReplaced(t *testing.T) {
	url, _ := answering(t, 200, "application/json", marshal(t, api.Mode{Mode: "MODEL", Reason: "\x1b]0;owned\x07\r\nx"}))
	if o := try(t, Commands{}, nil, "mode", "show", "--server", url); o.code != 0 || strings.ContainsAny(o.out, "\x1b\x07\r") {
		t.Errorf("exit %d: %q", o.code, o.out)
	}
}

package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"aura/web/api"
)

// TestBare: a process without web answers for itself, and for nothing else.
func TestBare(t *testing.T) {
	s := newTestServer(t, &fake{}, func(o *Options) { o.Bare = true })
	for path, want := range map[string]int{
		"/livez": 200, "/readyz": 200, "/api/v1/agents": 200, "/api/v1/faults": 200,
		"/": 404, "/api/v1/decisions": 404, "/api/v1/incidents": 404, "/api/v1/events": 404,
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Host = "127.0.0.1:8080"
		s.Handler().ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("GET %s: %d, want %d: %s", path, w.Code, want, w.Body)
		}
	}
}

func TestRoutes(t *testing.T) {
	const fault = `{"target":"model","kind":"latency","delay":"2s","share":1,"ttl":"60s"}`
	for _, test := range []struct {
		method, path, body string
		code               int
		want               string // in the answer
	}{
		{"GET", "/api/v1/applications/A-1", "", 200, `"application_id":"A-1"`},
		{"GET", "/api/v1/applications/unknown", "", 404, `"type":"urn:aura:problem:not-found"`},
		{"GET", "/api/v1/applications/a%00b", "", 400, `holds a NUL`},
		{"GET", "/api/v1/applications/%ff", "", 400, `no UTF-8`},
		{"GET", "/api/v1/decisions?cursor=a%00b", "", 400, `holds a NUL`},
		{"GET", "/api/v1/decisions", "", 200, `"next_cursor":"after 50"`},
		{"GET", "/api/v1/decisions?limit=7", "", 200, `"next_cursor":"after 7"`},
		{"GET", "/api/v1/decisions?limit=1000", "", 422, `"field":"limit"`},
		{"GET", "/api/v1/decisions?limit=x", "", 422, `"field":"limit"`},
		{"GET", "/api/v1/decisions?cursor=x", "", 200, `"items":[]`},
		{"GET", "/api/v1/decisions?page=2", "", 422, `page`},
		{"POST", "/api/v1/feedback", `{"application_id":"A-1","outcome":"repaid"}`, 200, `"kind":"joined"`},
		{"POST", "/api/v1/feedback", `{"application_id":"A-1","outcome":"lost"}`, 422, `"field":"outcome"`},
		{"POST", "/api/v1/feedback", `{"application_id":"A-1"}`, 422, `"field":"outcome","problem":"missing"`},
		{"POST", "/api/v1/feedback", `{"application_id":"A-1","outcome":"repaid","x":1}`, 422, `"field":"x","problem":"unknown"`},
		{"POST", "/api/v1/feedback", `{"application_id":"A-1","outcome":"repaid","observed_at":"soon"}`, 422, `"field":"observed_at"`},
		{"POST", "/api/v1/feedback", `{`, 400, `"type":"urn:aura:problem:malformed"`},
		{"POST", "/api/v1/feedback", ``, 400, `"type":"urn:aura:problem:malformed"`},
		{"POST", "/api/v1/feedback", `{"application_id":"` + strings.Repeat("x", 70000) + `"}`, 413, `too-large`},
		{"GET", "/api/v1/agents", "", 200, `"items":[{"name":"model"`},
		{"POST", "/api/v1/agents/model/restart", "", 400, "malformed"},
		{"POST", "/api/v1/agents/model/restart", `{}`, 422, `"field":"reason","problem":"missing"`},
		{"POST", "/api/v1/agents/model/restart", `{"reason":""}`, 422, `"field":"reason"`},
		{"POST", "/api/v1/agents/model/restart", `{"reason":"  "}`, 422, `"field":"reason"`},
		{"POST", "/api/v1/agents/model/restart", `{"reason":"a\u0000b"}`, 422, `"field":"reason"`},
		{"POST", "/api/v1/healing/pause", `{"reason":"  "}`, 422, `"field":"reason"`},
		{"POST", "/api/v1/healing/resume", `{"reason":"\t"}`, 422, `"field":"reason"`},
		{"POST", "/api/v1/incidents/i-1/retry", `{"reason":" "}`, 422, `"field":"reason"`},
		{"POST", "/api/v1/incidents/i-1/verdict", `{"needless":true,"reason":" "}`, 422, `"field":"reason"`},
		{"POST", "/api/v1/approvals/r-1/decision", `{"decision":"APPROVED","reason":" "}`, 422, `"field":"reason"`},
		{"POST", "/api/v1/config/reload", `{"reason":" "}`, 422, `"field":"reason"`},
		{"POST", "/api/v1/keys/rotate", `{"reason":" "}`, 422, `"field":"reason"`},
		{"PUT", "/api/v1/mode", `{"mode":"SAFE_MODE","reason":" "}`, 422, `"field":"reason"`},
		{"POST", "/api/v1/agents/model/restart", `{"reason":"stuck"}`, 200, `"incarnation":3`},
		{"POST", "/api/v1/agents/nobody/restart", `{"reason":"x"}`, 404, "not-found"},
		{"GET", "/api/v1/models", "", 200, `"version":3`},
		{"GET", "/api/v1/models/3", "", 200, `"version":3`},
		{"GET", "/api/v1/models/3/onnx", "", 200, "\x08\x08onnx"},
		{"GET", "/api/v1/models/champion/onnx", "", 200, "\x08\x08onnx"},
		{"GET", "/api/v1/models/4/onnx", "", 404, `there is no version 4`},
		{"GET", "/api/v1/models/4", "", 404, "not-found"},
		{"GET", "/api/v1/models/x", "", 422, `"field":"version"`},
		{"GET", "/api/v1/models/history", "", 200, `"alias":"champion"`},
		{"POST", "/api/v1/models/3/promote", `{"reason":"better"}`, 200, `"generation":8`},
		{"POST", "/api/v1/models/3/promote", `{}`, 422, `"field":"reason","problem":"missing"`},
		{"POST", "/api/v1/models/4/promote", `{"reason":"better"}`, 409, "doesn't load"},
		{"POST", "/api/v1/models/rollback", `{"reason":"worse"}`, 200, `"version":2`},
		{"GET", "/api/v1/mode", "", 200, `"mode":"MODEL"`},
		{"PUT", "/api/v1/mode", `{"mode":"SAFE_MODE","reason":"test","by":"ann"}`, 200, `"by":"ann"`},
		{"PUT", "/api/v1/mode", `{"mode":"safe","reason":"test"}`, 422, `"field":"mode"`},
		{"PUT", "/api/v1/mode", `{"mode":"SAFE_MODE"}`, 422, `"field":"reason"`},
		{"POST", "/api/v1/faults", fault, 201, `"id":"f1"`},
		{"POST", "/api/v1/faults", strings.Replace(fault, "60s", "1h", 1), 422, `"field":"ttl"`},
		{"POST", "/api/v1/faults", strings.Replace(fault, "2s", "-2s", 1), 422, `"field":"delay"`},
		{"POST", "/api/v1/faults", strings.Replace(fault, `"share":1`, `"share":2`, 1), 422, `"field":"share"`},
		{"POST", "/api/v1/faults", strings.Replace(fault, "latency", "flood", 1), 422, `"field":"kind"`},
		{"GET", "/api/v1/faults", "", 200, `"items":`},
		{"DELETE", "/api/v1/faults/f1", "", 204, ""},
		{"DELETE", "/api/v1/faults/f2", "", 404, "not-found"},
		{"DELETE", "/api/v1/faults", "", 200, `"removed":0`},
		{"GET", "/livez", "", 200, `"alive":true`},
		{"HEAD", "/livez", "", 200, ""},
		{"GET", "/readyz", "", 200, `"ready":true`},
		{"GET", "/metrics", "", 200, "aura_http_requests_total"},
		{"GET", "/openapi.json", "", 200, `"openapi":"3.1.0"`},
		{"GET", "/openapi.yaml", "", 200, "openapi: 3.1.0"},
		{"GET", "/docs", "", 404, "not-found"},
		{"GET", "/nowhere", "", 404, "not-found"},
		{"GET", "/assets/nothing.js", "", 404, "not-found"},
		{"PATCH", "/api/v1/mode", "{}", 405, "method-not-allowed"},
		{"DELETE", "/", "", 405, "method-not-allowed"},
	} {
		t.Run(test.method+" "+test.path+" "+test.body[:min(len(test.body), 60)], func(t *testing.T) {
			s := newTestServer(t, &fake{})
			call(s, "GET", "/livez", "") // so that there is something to measure
			w := call(s, test.method, test.path, test.body)
			if w.Code != test.code || !strings.Contains(w.Body.String(), test.want) {
				t.Errorf("%d, want %d with %q: %s", w.Code, test.code, test.want, w.Body)
			}
			if w.Code >= 400 {
				decodeProblem(t, w.Code, w.Header(), w.Body.Bytes())
			}
		})
	}
}

func TestNextPageIsALinkToo(t *testing.T) {
	w := call(newTestServer(t, &fake{}), "GET", "/api/v1/decisions?limit=7", "")
	if got, want := w.Header().Get("Link"), `</api/v1/decisions?cursor=after+7&limit=7>; rel="next"`; got != want {
		t.Errorf("Link %q, want %q", got, want)
	}
}

func TestNotReadySaysWhy(t *testing.T) {
	w := call(newTestServer(t, &fake{notReady: "no champion"}), "GET", "/readyz", "")
	if w.Code != 503 || !strings.Contains(w.Body.String(), "no champion") {
		t.Errorf("%d: %s", w.Code, w.Body)
	}
	secured := newTestServer(t, &fake{notReady: "no champion"}, func(o *Options) { o.Token = "secret" })
	if w := call(secured, "GET", "/readyz", ""); w.Code != 503 || strings.Contains(w.Body.String(), "no champion") {
		t.Errorf("a probe without the token: %d: %s", w.Code, w.Body)
	}
	if w := call(secured, "GET", "/readyz", "", "Authorization", "Bearer secret"); w.Code != 503 || !strings.Contains(w.Body.String(), "no champion") {
		t.Errorf("with it: %d: %s", w.Code, w.Body)
	}
}

func TestWithoutFaultsTheirRoutesDontExist(t *testing.T) {
	s := newTestServer(t, &fake{}, func(o *Options) { o.Backend.Faults = nil })
	for _, method := range []string{"GET", "POST", "DELETE"} {
		if w := call(s, method, "/api/v1/faults", ""); w.Code != 404 {
			t.Errorf("%s: %d", method, w.Code)
		}
	}
	for _, path := range []string{"/actions/faults", "/actions/faults/stop"} {
		if w := call(s, "POST", path, "x=1", "Content-Type", "application/x-www-form-urlencoded"); w.Code != 404 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if w := call(s, "GET", "/openapi.json", ""); strings.Contains(w.Body.String(), "faults") {
		t.Error("the document shows faults")
	}
	if w := call(s, "GET", "/", ""); strings.Contains(w.Body.String(), "/actions/faults") || !strings.Contains(w.Body.String(), "Fault injection is off") {
		t.Error("the page offers faults")
	}
}

// A broken backend is a 500 (or 503 for time) everywhere, as a problem that shows nothing of its inside.
func TestBrokenBackend(t *testing.T) {
	f := &fake{err: errors.New("secret inside")}
	s := newTestServer(t, f)
	for _, path := range []string{"applications/A-1", "decisions", "agents", "models", "models/3", "models/history", "mode", "faults"} {
		w := call(s, "GET", "/api/v1/"+path, "")
		p := decodeProblem(t, w.Code, w.Header(), w.Body.Bytes())
		if w.Code != 500 || p.TraceID == "" || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if w := call(s, "GET", "/", ""); w.Code != 500 || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("page: %d %s", w.Code, w.Body)
	}
	if w := call(s, "GET", "/livez", ""); w.Code != 200 {
		t.Errorf("livez depends on the backend: %d", w.Code)
	}
}

func TestPanicIsAProblem(t *testing.T) {
	s := newTestServer(t, &fake{})
	h := s.recover(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("secret inside") }))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != 500 || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("%d: %s", w.Code, w.Body)
	}
	decodeProblem(t, w.Code, w.Header(), w.Body.Bytes())
}

func TestEveryRefusalHasItsStatus(t *testing.T) {
	for code, want := range status {
		p := problem(t.Context(), newTestServer(t, &fake{}).options.Logger, api.Refuse(code, "why"))
		data, err := json.Marshal(p)
		if err != nil || p.Status != want || p.Type != "urn:aura:problem:"+string(code) {
			t.Errorf("%s: %v %s", code, err, data)
		}
	}
}

func TestMetricsAreWellFormedAndBounded(t *testing.T) {
	s := newTestServer(t, &fake{})
	for range 50 {
		call(s, "GET", "/nowhere/"+newTraceID(), "")
		call(s, "X"+newTraceID()[:4], "/api/v1/applications/"+newTraceID(), "")
	}
	problems, err := testutil.GatherAndLint(s.options.Gatherer)
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
	if n, err := testutil.GatherAndCount(s.options.Gatherer, "aura_http_requests_total"); err != nil || n > 4 {
		t.Errorf("%d series after requests to many paths (%v)", n, err)
	}
}

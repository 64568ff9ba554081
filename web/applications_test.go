package web

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"aura/web/api"
)

const goodBody = `{"application_id":"A-1","features":{"credit_score":700,"debt_ratio":0.3,"income":52000,"loan_amount":12000,"employment_years":4}}`

func TestSubmitAnswersWithTheWholeRecord(t *testing.T) {
	f := &fake{keep: true}
	w := call(newTestServer(t, f), "POST", "/api/v1/applications", goodBody,
		"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	var got map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{
		"application_id", "decision", "probability_of_default", "reasons", "model_version", "model_digest", "mode", "decided_at", "latency_ms", "trace_id",
	} {
		if got[k] == nil {
			t.Errorf("the record lacks %s: %s", k, w.Body)
		}
	}
	s := f.submissions[0]
	if s.ApplicationID != "A-1" || s.TraceID != "0af7651916cd43dd8448eb211c80319c" || s.Wait != 2*time.Second {
		t.Errorf("submitted %+v", s)
	}
	if !strings.HasPrefix(string(s.Features), `{"credit_score":700`) || !strings.HasSuffix(string(s.Features), `"employment_years":4}`) {
		t.Errorf("features %s", s.Features)
	}
}

func TestSubmitPending(t *testing.T) {
	for _, test := range []struct {
		name    string
		pending bool
		prefer  string
		wait    time.Duration
	}{
		{"respond-async", false, "respond-async", 0},
		{"respond-async among others", false, "return=minimal, Respond-Async; foo=bar, wait=9", 0},
		{"past its deadline", true, "", 2 * time.Second},
		{"its own deadline", true, "wait=1", time.Second},
		{"a deadline too far", true, "wait=4000", 10 * time.Second},
		{"nonsense", true, "wait=soon,,=", 2 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := &fake{pending: test.pending, keep: true}
			w := call(newTestServer(t, f), "POST", "/api/v1/applications", strings.Replace(goodBody, "A-1", "A/1 ü", 1), "Prefer", test.prefer)
			if w.Code != http.StatusAccepted {
				t.Fatalf("status %d: %s", w.Code, w.Body)
			}
			if got, want := w.Header().Get("Location"), "/api/v1/applications/A%2F1%20%C3%BC"; got != want {
				t.Errorf("Location %q, want %q", got, want)
			}
			if f.submissions[0].Wait != test.wait {
				t.Errorf("waits %v, want %v", f.submissions[0].Wait, test.wait)
			}
			if applied := w.Header().Get("Preference-Applied"); (applied == "respond-async") != (test.wait == 0) {
				t.Errorf("Preference-Applied %q", applied)
			}
			got := call(newTestServer(t, f), "GET", w.Header().Get("Location"), "")
			if got.Code != 200 || !strings.Contains(got.Body.String(), `"application_id":"A/1 ü"`) {
				t.Errorf("the location answers %d: %s", got.Code, got.Body)
			}
		})
	}
}

// decodeProblem checks that an answer is a problem with the status, and returns it.
func decodeProblem(t *testing.T, code int, header http.Header, body []byte) Problem {
	t.Helper()
	var p Problem
	if err := json.Unmarshal(body, &p); err != nil {
		t.Fatalf("not a problem: %v: %s", err, body)
	}
	if ct := header.Get("Content-Type"); ct != "application/problem+json" {
		t.Errorf("Content-Type %q", ct)
	}
	if p.Status != code || p.Type == "" || p.Title == "" {
		t.Errorf("status %d with problem %+v", code, p)
	}
	return p
}

func TestSubmitRefusesBadBodies(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40)
	for _, test := range []struct {
		name, body string
		code       int
		field      string
	}{
		{"no JSON", `{"application_id":`, 400, ""},
		{"two values", goodBody + goodBody, 400, ""},
		{"NaN", `{"features":{"income":NaN}}`, 400, ""},
		{"not UTF-8", "{\"features\":{\"income\":\"\xff\"}}", 400, ""},
		{"only space", "  \n", 400, ""},
		{"too deep", `{"features":` + deep + `}`, 400, ""},
		{"too deep and broken", strings.Repeat("[", 50000), 400, ""},
		{"an array", `[1]`, 422, "body"},
		{"no features", `{"application_id":"A-1"}`, 422, "features"},
		{"features null", `{"features":null}`, 422, "features"},
		{"features list", `{"features":[1]}`, 422, "features"},
		{"unknown key", `{"features":{},"feature":{}}`, 422, "feature"},
		{"wrong case", `{"Features":{},"features":{}}`, 422, "Features"},
		{"doubled key", `{"features":{},"features":{}}`, 422, "features"},
		{"id number", `{"application_id":7,"features":{}}`, 422, "application_id"},
		{"id null", `{"application_id":null,"features":{}}`, 422, "application_id"},
		{"id empty", `{"application_id":"","features":{}}`, 422, "application_id"},
		{"id long", `{"application_id":"` + strings.Repeat("x", 201) + `","features":{}}`, 422, "application_id"},
		{"id with control", `{"application_id":"a\u0000b","features":{}}`, 422, "application_id"},
		{"id lone surrogate", `{"application_id":"a\ud800b","features":{}}`, 422, "application_id"},
		{"too large", `{"features":{"a":"` + strings.Repeat("x", 70000) + `"}}`, 413, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := &fake{keep: true}
			w := call(newTestServer(t, f), "POST", "/api/v1/applications", test.body)
			if w.Code != test.code {
				t.Fatalf("status %d, want %d: %s", w.Code, test.code, w.Body)
			}
			p := decodeProblem(t, w.Code, w.Header(), w.Body.Bytes())
			if test.field != "" && (len(p.Errors) == 0 || p.Errors[0].Field != test.field) {
				t.Errorf("errors %+v, want one for %s", p.Errors, test.field)
			}
			if len(f.submissions) > 0 {
				t.Error("it reached the backend")
			}
		})
	}
}

func TestSubmitRefusals(t *testing.T) {
	for _, test := range []struct {
		err   error
		code  int
		retry string
	}{
		{api.RefuseFields(api.Field{Field: "income", Problem: "range", Got: "-1", Want: ">= 0"}), 422, ""},
		{api.Refuse(api.Conflict, "known with another body"), 409, ""},
		{api.RefuseFull(1500 * time.Millisecond), 429, "2"},
		{api.RefuseUnavailable("the disk is full", 0, nil), 503, "1"},
		{http.ErrHandlerTimeout, 500, ""},
	} {
		w := call(newTestServer(t, &fake{err: test.err}), "POST", "/api/v1/applications", goodBody)
		if w.Code != test.code || w.Header().Get("Retry-After") != test.retry {
			t.Errorf("%v: status %d, Retry-After %q", test.err, w.Code, w.Header().Get("Retry-After"))
		}
		p := decodeProblem(t, w.Code, w.Header(), w.Body.Bytes())
		if p.TraceID == "" {
			t.Errorf("%v: no trace id", test.err)
		}
		if test.code == 500 && strings.Contains(w.Body.String(), test.err.Error()) {
			t.Error("a broken thing shows its inside")
		}
	}
}

package web

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"aura/web/api"
)

// FuzzFeedback posts anything as an outcome: it is taken, and then it was one, or it is refused as a problem that says why.
func FuzzFeedback(f *testing.F) {
	for _, body := range []string{
		`{"application_id":"A-1","outcome":"repaid"}`, `{"application_id":"A-1","outcome":"defaulted","observed_at":"2026-01-02T03:04:05Z"}`,
		`{"application_id":"A-1","outcome":"lost"}`, `{"application_id":"","outcome":"repaid"}`, `{"outcome":1}`, `[]`, `{`, `null`, "\xff",
		`{"application_id":"A-1","outcome":"repaid","observed_at":"yesterday"}`, `{"application_id":"A-1","outcome":"repaid","outcome":"defaulted"}`,
	} {
		f.Add([]byte(body))
	}
	handler := newTestServer(f, &fake{}).Handler()
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1:8080/api/v1/feedback", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code == http.StatusOK {
			var o api.Outcome
			if err := json.Unmarshal(body, &o); err != nil || o.ApplicationID == "" || o.Outcome != "repaid" && o.Outcome != "defaulted" {
				t.Fatalf("taken for an outcome: %q", body)
			}
			return
		}
		var p Problem
		if w.Code < 400 || w.Code >= 500 || json.Unmarshal(w.Body.Bytes(), &p) != nil || p.Detail == "" {
			t.Fatalf("%q: %d %s", body, w.Code, w.Body)
		}
	})
}
